"""P11: flows each with a Schedule: the start of a scheduler over 100,000, and one pass of it.

Over the embedded log. The flows and the states of their triggers are in the log already, as they
are when a server starts again; reading new flows is a matter of when they are saved. A pass is one
turn of the loop: what it costs when nothing is due, and when one trigger is, without waiting.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def measured(count: int, add: Callable[..., Any]) -> None:
    """Give `add` (metric, value, unit, no bare loop) what a scheduler of `count` triggers takes."""
    with tempfile.TemporaryDirectory() as folder:
        clock, topics = FakeClock(NOW_US), Topics()
        log = SqliteLog(Path(folder) / "log.db", clock, "normal")
        log.create_topics(topics.all())
        fill(log, topics, count)
        gc.collect()
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        catalog = FlowCatalog(log, topics, PluginRegistry.load(), clock)
        scheduler = Scheduler(
            log=log,
            topics=topics,
            catalog=catalog,
            storage=Storage(Path(folder) / "storage"),
            clock=clock,
            instance="bench",
            settings=SchedulerSettings(idle_poll_s=0.0),
        )
        scheduler.open()
        while not scheduler.ready.is_set():
            scheduler.turn()
        add("start", time.perf_counter() - begin_s, "s", None)
        add("start_cpu", time.process_time() - begin_cpu_s, "s", None)
        assert len(scheduler.states()) == count
        _passes(scheduler, clock, add)
        scheduler.close()
        catalog.close()
        log.close()


def _passes(scheduler: Scheduler, clock: FakeClock, add: Callable[..., Any]) -> None:
    idle = [_turn(scheduler) for _ in range(PASSES)]
    clock.advance(3_600.0)
    due = []
    for _ in range(PASSES):
        clock.advance(0.001)
        due.append(_turn(scheduler))
    for name, times in (("pass_idle", idle), ("pass_one_due", due)):
        add(f"{name}_p50", statistics.median(times), "ms", None)
        add(f"{name}_p99", sorted(times)[int(len(times) * 0.99)], "ms", None)


def _turn(scheduler: Scheduler) -> float:
    """One pass, in milliseconds."""
    begin_s = time.perf_counter()
    scheduler.turn()
    return (time.perf_counter() - begin_s) * 1_000
