"""One bench per log that is there in one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.worker.harness import Bench

from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.embedded import SqliteLog
from tiercel_engine.eventlog.memory import MemoryLog


@pytest.fixture(params=["memory", "sqlite"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    log = (
        MemoryLog(SystemClock())
        if request.param == "memory"
        else SqliteLog(tmp_path / "log.db", SystemClock())
    )
    bench = Bench(log, tmp_path)
    yield bench
    bench.close()
