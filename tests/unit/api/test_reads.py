"""Waiting for the read model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from tiercel_api import reads
from tiercel_api.reads import Indexed, Reads
from tiercel_engine.errors import LogBusy
from tiercel_engine.repository.base import JsonObject, ReadModels


class OneRow:
    """A read model with one execution, and the indexer's word about it."""

    def __init__(self) -> None:
        self.sequence = 0
        self.looks = 0
        self._listeners: list[Indexed] = []

    def execution(self, execution_id: str) -> JsonObject | None:
        self.looks += 1
        return {"id": execution_id, "seq": self.sequence} if self.sequence else None

    def execution_sequence(self, execution_id: str) -> int:
        self.looks += 1
        return self.sequence

    def on_indexed(self, listener: Indexed) -> None:
        self._listeners.append(listener)

    def write(self, execution_id: str, sequence: int) -> None:
        self.sequence = sequence
        for listener in self._listeners:
            listener({execution_id: sequence})


@asynccontextmanager
async def opened(rows: OneRow, told: bool) -> AsyncIterator[Reads]:
    opened_reads = Reads(cast(ReadModels, rows), 1, rows.on_indexed if told else None)
    try:
        yield opened_reads
    finally:
        opened_reads.close()


def run(scenario: Callable[[], Awaitable[Any]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 20)

    asyncio.run(bounded())


async def looked(rows: OneRow, times: int) -> None:
    while rows.looks < times:
        await asyncio.sleep(0)


@pytest.mark.parametrize("told", [True, False])
def test_a_reader_waits_until_the_row_holds_its_event(told: bool) -> None:
    async def scenario() -> None:
        rows = OneRow()
        async with opened(rows, told) as reader:
            waiting = asyncio.create_task(reader.execution_at("e", 5, 10.0))
            await looked(rows, 1)
            rows.write("other", 1)
            rows.write("e", 4)
            await looked(rows, 2)
            assert not waiting.done()

            rows.write("e", 5)

            assert await waiting == {"id": "e", "seq": 5}

    run(scenario)


def test_the_word_of_the_indexer_wakes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "PAUSE_TOLD_S", 1_000.0)

    async def scenario() -> None:
        rows = OneRow()
        async with opened(rows, told=True) as reader:
            waiting = asyncio.create_task(reader.execution_at("e", 1, 10.0))
            await looked(rows, 1)

            await asyncio.to_thread(rows.write, "e", 1)

            assert await waiting is not None

    run(scenario)


def test_what_does_not_come_is_none_in_time() -> None:
    async def scenario() -> None:
        rows = OneRow()
        async with opened(rows, told=False) as reader:
            assert await reader.execution_at("e", 1, 0.0) is None
            assert rows.looks == 1
            assert await reader.execution_at("e", 1, 0.01) is None

    run(scenario)


def test_only_so_many_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "WAITING_MAX", 1)

    async def scenario() -> None:
        rows = OneRow()
        async with opened(rows, told=True) as reader:
            waiting = asyncio.create_task(reader.execution_at("e", 1, 10.0))
            await looked(rows, 1)

            with pytest.raises(LogBusy):
                await reader.execution_at("f", 1, 10.0)

            rows.write("e", 1)
            assert await waiting is not None
            assert await reader.execution_at("e", 1, 0.0) is not None

    run(scenario)


def test_nobody_waits_for_what_was_written_and_is_gone() -> None:
    async def scenario() -> None:
        rows = OneRow()
        async with opened(rows, told=True) as opened_reads:
            rows.write("one", 3)
            assert await opened_reads.execution_at("one", 1, 10.0) is not None
            rows.sequence = 0
            looks = rows.looks

            assert await opened_reads.execution_at("one", 1, 10.0) is None

            assert rows.looks == looks + 1

    run(scenario)
