"""A scheduler whose process slept while others took its triggers over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tests.scheduler_harness import CORE, Stage, flow, us

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.base import Consumer, NewRecord, TopicPartition
from tiercel_engine.eventlog.local_consumer import LocalConsumer
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_schemas import triggers as t

EVERY_MINUTE = f'  - {{id: tick, type: {CORE}.trigger.Schedule, cron: "* * * * *"}}\n'
ON_MISS = f"""  - id: after
    type: {CORE}.trigger.Flow
    dependsOn: [{{namespace: tests, flowId: nobody}}]
    window: {{every: PT1M}}
    onMiss: {{behavior: FAIL}}
"""


@pytest.mark.parametrize("heir", ["0", "1"])
def test_its_late_turn_doubles_nothing_and_takes_nothing_back(
    tmp_path: Path, heir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a turn without a record to consume, decided but not yet committed
    clock = FakeClock(us("2025-03-05T10:00:30"))
    log = MemoryLog(clock)
    stage = Stage(log, clock, tmp_path)
    sleeper = stage.scheduler("0")
    stage.save(flow("ticks", EVERY_MINUTE), "ticks")
    stage.save(flow("misses", ON_MISS), "misses")
    stage.turns(3)
    commit = sleeper._transactions.commit
    slept: list[int] = []

    def sleep_and_commit(
        records: Sequence[NewRecord], consumed: Mapping[TopicPartition, int], consumer: Consumer
    ) -> None:
        monkeypatch.undo()
        assert records
        assert not consumed
        slept.append(len(records))
        stage.schedulers.remove(sleeper)
        if heir != "0":
            # Its session has timed out.
            assert isinstance(consumer, LocalConsumer)
            assert consumer.group is not None
            consumer.group.leave(consumer, log.partitions())
        stage.scheduler(heir)
        stage.until("2025-03-05T10:03:30", 10)
        stage.ask(t.SetTriggerDisabled("c", "main", "tests", "ticks", "tick", True), "ticks")
        stage.turns(3)
        commit(records, consumed, consumer)

    monkeypatch.setattr(sleeper._transactions, "commit", sleep_and_commit)

    # when
    clock.advance(36)
    while not slept:
        sleeper.turn()
    stage.schedulers.append(sleeper)
    if heir != "0":
        stage.turns(6)
    for scheduler in list(stage.schedulers):
        stage.crash(scheduler)
    stage.scheduler("2")
    stage.until("2025-03-05T10:05:30", 10)

    # then: what the heir wrote stands, for whoever reads it back
    assert stage.dates("ticks") == [f"2025-03-05T10:0{minute}:00Z" for minute in (1, 2, 3)]
    assert stage.state("ticks/tick").disabled
    deadlines = [stage.variables(x)["deadline"] for x in stage.created("misses")]
    assert sorted(deadlines) == [f"2025-03-05T10:0{minute}:00Z" for minute in (1, 2, 3, 4, 5)]
    stage.close()
