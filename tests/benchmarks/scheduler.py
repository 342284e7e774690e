"""P11: 100,000 flows, each with a Schedule: the start of a scheduler, and one pass of it.

    python tests/benchmarks/scheduler.py [--flows 100000] [--data DIR]

Over the embedded log. The flows and the states of their triggers are in the log already, as they
are when a server starts again; reading new flows is a matter of when they are saved. A pass is one
turn of the loop: what it costs when nothing is due, and when one trigger is, without waiting.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from pathlib import Path

from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.base import NewRecord
from tiercel_engine.eventlog.embedded import SqliteLog
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_engine.storage.objects import Storage
from tiercel_scheduler.service import Scheduler
from tiercel_scheduler.settings import SchedulerSettings
from tiercel_schemas import codec
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey, TriggerKey
from tiercel_schemas.topics import Topics, partition_for
from tiercel_schemas.triggers import TriggerState

NOW_US = 1_760_000_000_000_000
PASSES = 200
SOURCE = """id: {flow_id}
namespace: bench
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: "{{{{ trigger.date }}}}"
triggers:
  - id: daily
    type: io.kestra.plugin.core.trigger.Schedule
    cron: "{minute} {hour} * * *"
"""


def fill(log: SqliteLog, topics: Topics, count: int) -> None:
    """Put flows and the states of their triggers into the log."""
    appender = log.appender()
    for number in range(count):
        key = FlowKey("main", "bench", f"flow-{number}")
        source = SOURCE.format(flow_id=key.flow_id, minute=number % 60, hour=number // 60 % 24)
        flow = FlowRevision(key.namespace, key.flow_id, 1, source, NOW_US)
        lane = partition_for(str(key), topics.flows.partitions)
        appender.append(NewRecord(topics.flows.name, f"{key}/1", codec.encode(flow), lane))
        trigger = TriggerKey(*key, "daily")
        due_us = NOW_US + 3_600_000_000 + number * 1_000
        state = TriggerState(*trigger, "SCHEDULE", 1, NOW_US, "x", next_us=due_us)
        value = codec.encode(state)
        appender.append(NewRecord(topics.triggers.name, str(trigger), value, lane))
        if number % 1_000 == 999:
            appender.flush(60)
    appender.flush(60)
    appender.close()


def measure(folder: Path, count: int) -> None:
    clock = FakeClock(NOW_US)
    log = SqliteLog(folder / "log.db", clock, "normal")
    topics = Topics()
    log.create_topics(topics.all())
    fill(log, topics, count)
    gc.collect()

    begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
    catalog = FlowCatalog(log, topics, PluginRegistry.load(), clock)
    scheduler = Scheduler(
        log=log,
        topics=topics,
        catalog=catalog,
        storage=Storage(folder / "storage"),
        clock=clock,
        instance="bench",
        settings=SchedulerSettings(idle_poll_s=0.0),
    )
    scheduler.open()
    while not scheduler.ready.is_set():
        scheduler.turn()
    start_s = time.perf_counter() - begin_s
    start_cpu_s = time.process_time() - begin_cpu_s
    assert len(scheduler.states()) == count

    idle = [_turn(scheduler) for _ in range(PASSES)]
    clock.advance(3_600.0)
    due = []
    for _ in range(PASSES):
        clock.advance(0.001)
        due.append(_turn(scheduler))
    print(f"triggers              {count}")
    print(f"start                 {start_s:.2f} s ({start_cpu_s:.2f} s of CPU)")
    print(f"pass, nothing due     {_p50(idle):.2f} ms (p99 {_p99(idle):.2f})")
    print(f"pass, one due         {_p50(due):.2f} ms (p99 {_p99(due):.2f})")
    scheduler.close()
    catalog.close()
    log.close()


def _turn(scheduler: Scheduler) -> float:
    """One pass, in milliseconds."""
    begin_s = time.perf_counter()
    scheduler.turn()
    return (time.perf_counter() - begin_s) * 1_000


def _p50(values: list[float]) -> float:
    return statistics.median(values)


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flows", type=int, default=100_000)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options.data or Path(folder), options.flows)


if __name__ == "__main__":
    main()
