"""Every adapter of the event log's port, each test running over all three."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.base import EventLog
from tiercel_engine.eventlog.embedded import SqliteLog
from tiercel_engine.eventlog.kafka import KafkaLog
from tiercel_engine.eventlog.memory import Faults, MemoryLog


@pytest.fixture(params=["memory", "sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    """An empty log; for Kafka, on a broker shared by the whole run."""
    opened: EventLog
    if request.param == "memory":
        opened = MemoryLog(SystemClock(), faults=Faults(gap=0.5))
    elif request.param == "sqlite":
        opened = SqliteLog(tmp_path / "log.db", SystemClock())
    else:
        opened = KafkaLog(request.getfixturevalue("kafka_bootstrap"), SystemClock())
    yield opened
    opened.close()
