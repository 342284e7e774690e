"""Following single keys of a topic."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest

from tiercel_api import tail
from tiercel_api.tail import Tail
from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import LogUnavailable
from tiercel_engine.eventlog.base import Consumer, NewRecord
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_schemas.codec import encode
from tiercel_schemas.logs import LogEntry
from tiercel_schemas.topics import Topics

TOPICS = Topics(partitions=2)
TOPIC = TOPICS.logs.name


class FailingOnce(MemoryLog):
    """A log that cannot be followed at first."""

    failures = 1

    def tail(self, topics: Sequence[str], from_beginning: bool) -> Consumer:
        if self.failures:
            self.failures -= 1
            raise LogUnavailable("Not yet.")
        return super().tail(topics, from_beginning)


@pytest.fixture
def log() -> Iterator[MemoryLog]:
    log = FailingOnce(FakeClock())
    log.create_topics(TOPICS.all())
    yield log
    log.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "REOPEN_S", 0.01)
    monkeypatch.setattr(tail, "LINGER_S", 0.01)


def write(log: MemoryLog, key: str, *messages: str) -> None:
    appender = log.appender()
    for message in messages:
        entry = LogEntry("house", "flow", 0, "INFO", message, execution_id=key)
        appender.append(NewRecord(TOPIC, key, encode(entry)))
    appender.flush(10.0)
    appender.close()


def end(log: MemoryLog, key: str) -> None:
    appender = log.appender()
    appender.append(NewRecord(TOPIC, key, None))
    appender.flush(10.0)
    appender.close()


def run(scenario: Callable[[], Awaitable[Any]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 20)

    asyncio.run(bounded())


class Heard:
    """What came, and waiting for it."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def __call__(self, record: Any, offset: int) -> None:
        self.messages.append("(end)" if record is None else record.message)

    async def until(self, count: int) -> list[str]:
        while len(self.messages) < count:
            await asyncio.sleep(0.001)
        return self.messages


def test_each_follower_hears_its_own_key_from_now_on(log: MemoryLog) -> None:
    async def scenario() -> None:
        write(log, "a", "before")
        following = Tail(log, TOPIC)
        first, second, other = Heard(), Heard(), Heard()
        async with (
            following.following("a", first),
            following.following("a", second),
            following.following("b", other),
        ):
            await asyncio.to_thread(write, log, "a", "one", "two")
            await asyncio.to_thread(write, log, "b", "three")
            await asyncio.to_thread(write, log, "c", "four")

            assert await first.until(2) == ["one", "two"]
            assert await second.until(2) == ["one", "two"]
            assert await other.until(1) == ["three"]
        await following.close()

    run(scenario)


def test_the_end_of_a_key_is_told_to_who_asks_for_it(log: MemoryLog) -> None:
    async def scenario() -> None:
        following = Tail(log, TOPIC, with_ends=True)
        heard = Heard()
        async with following.following("a", heard):
            await asyncio.to_thread(end, log, "a")

            assert await heard.until(1) == ["(end)"]
        await following.close()

    run(scenario)


def test_the_thread_leaves_with_the_last_follower_and_comes_again(log: MemoryLog) -> None:
    async def scenario() -> None:
        following = Tail(log, TOPIC)
        heard = Heard()
        for count in (1, 2):
            async with following.following("a", heard):
                await asyncio.to_thread(write, log, "a", "again")
                await heard.until(count)
            while following._reader is not None:
                await asyncio.sleep(0.001)
        await following.close()
        assert heard.messages == ["again", "again"]

    run(scenario)


def test_a_topic_that_does_not_open_is_told_in_time(
    log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "OPEN_TIMEOUT_S", 0.05)
    monkeypatch.setattr(FailingOnce, "failures", 1_000_000)

    async def scenario() -> None:
        following = Tail(log, TOPIC)
        with pytest.raises(LogUnavailable):
            async with following.following("a", Heard()):
                pass
        await following.close()

    run(scenario)
