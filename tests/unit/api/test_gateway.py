"""Commands and their decisions, over the log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from tiercel_api.gateway import Gateway
from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import Conflict, LogUnavailable, NotFound, Rejected
from tiercel_engine.eventlog.base import NewRecord
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_schemas.codec import decode, encode
from tiercel_schemas.commands import KillExecution, SaveFlow
from tiercel_schemas.events import CommandRejected, EventBatch, ExecutionStateChanged
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.topics import Topics

TOPICS = Topics(partitions=2)
KILL = KillExecution("command-1", "execution-1")
SAVE = SaveFlow("command-2", "house", "flow", "id: flow", 0)


@pytest.fixture
def log() -> Iterator[MemoryLog]:
    log = MemoryLog(FakeClock())
    log.create_topics(TOPICS.all())
    yield log
    log.close()


@asynccontextmanager
async def opened(log: MemoryLog, timeout_s: float = 10.0) -> AsyncIterator[Gateway]:
    gateway = Gateway(log, TOPICS, log.appender(), timeout_s)
    try:
        yield gateway
    finally:
        await gateway.close()


def answer(log: MemoryLog, topic: str, key: str, *records: object) -> None:
    """Append what the executor would, once a command is there."""
    commands = log.tail([TOPICS.commands.name], from_beginning=True)
    appender = log.appender()
    try:
        assert commands.poll(1, 10.0)
        for record in records:
            appender.append(NewRecord(topic, key, encode(record)))  # type: ignore[arg-type]
        appender.flush(10.0)
    finally:
        commands.close()
        appender.close()


def killing(command_id: str | None, first_seq: int = 7) -> EventBatch:
    events = (ExecutionStateChanged("KILLING"), ExecutionStateChanged("KILLED"))
    return EventBatch("execution-1", first_seq, 0, "KillExecution", events, command_id)


def rejected(command_id: str, kind: str) -> CommandRejected:
    return CommandRejected("execution-1", command_id, "KillExecution", "because", kind, 0)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 20)

    asyncio.run(bounded())


def test_a_command_waits_for_its_decision(log: MemoryLog) -> None:
    async def scenario() -> None:
        async with opened(log) as gateway:
            topic = TOPICS.executions.name
            answering = asyncio.create_task(
                asyncio.to_thread(
                    answer, log, topic, "execution-1", killing(None, 5), killing("command-1")
                )
            )

            watch = await gateway.ask("execution-1", KILL)

            assert watch.last_seq == 8
            assert watch.is_terminated
            await answering

    run(scenario)


@pytest.mark.parametrize(
    ("kind", "error"),
    [("NOT_FOUND", NotFound), ("CONFLICT", Conflict), ("INVALID", Rejected), ("NEW", Rejected)],
)
def test_a_refusal_is_raised_as_its_error(
    log: MemoryLog, kind: str, error: type[Exception]
) -> None:
    async def scenario() -> None:
        async with opened(log) as gateway:
            topic = TOPICS.executions.name
            answering = asyncio.create_task(
                asyncio.to_thread(
                    answer,
                    log,
                    topic,
                    "execution-1",
                    rejected("command-of-others", "CONFLICT"),
                    rejected("command-1", kind),
                )
            )

            with pytest.raises(error, match="because"):
                await gateway.ask("execution-1", KILL)
            await answering

    run(scenario)


def test_a_decision_that_does_not_come_is_told_in_time(log: MemoryLog) -> None:
    async def scenario() -> None:
        async with opened(log, timeout_s=0.05) as gateway:
            with pytest.raises(LogUnavailable):
                await gateway.ask("execution-1", KILL)
            with pytest.raises(LogUnavailable):
                await gateway.save_flow(SAVE)

    run(scenario)


def test_saving_a_flow_answers_the_revision_of_its_command(log: MemoryLog) -> None:
    async def scenario() -> None:
        other = FlowRevision("house", "flow", 1, "id: other", 0, command_id="command-0")
        mine = FlowRevision("house", "flow", 2, "id: flow", 0, command_id="command-2")
        async with opened(log) as gateway:
            answering = asyncio.create_task(
                asyncio.to_thread(answer, log, TOPICS.flows.name, "main/house/flow/2", other, mine)
            )

            assert await gateway.save_flow(SAVE) == mine
            await answering

    run(scenario)


def test_a_flow_that_is_refused_is_told(log: MemoryLog) -> None:
    async def scenario() -> None:
        refusal = CommandRejected("main/house/flow", "command-2", "SaveFlow", "taken", "INVALID", 0)
        async with opened(log) as gateway:
            answering = asyncio.create_task(
                asyncio.to_thread(answer, log, TOPICS.executions.name, "main/house/flow", refusal)
            )

            with pytest.raises(Rejected, match="taken"):
                await gateway.save_flow(SAVE)
            await answering

    run(scenario)


def test_records_nobody_follows_are_not_even_decoded(log: MemoryLog) -> None:
    async def scenario() -> None:
        async with opened(log) as gateway, gateway.watching("execution-1") as watch:
            topic = TOPICS.executions.name
            for key, value in (
                ("execution-2", b"no record"),
                ("execution-1", b"no record"),
                ("execution-1", encode(killing("c"))),
            ):
                await asyncio.to_thread(_append_raw, log, topic, key, value)

            assert await watch.changed(10.0)
            assert list(watch.decided) == ["c"]

    run(scenario)


def _append_raw(log: MemoryLog, topic: str, key: str, value: bytes) -> None:
    appender = log.appender()
    appender.append(NewRecord(topic, key, value))
    appender.flush(10.0)
    appender.close()


def test_an_append_returns_once_the_record_is_there(log: MemoryLog) -> None:
    async def scenario() -> None:
        async with opened(log) as gateway:
            await gateway.send("execution-1", KILL)

            commands = log.tail([TOPICS.commands.name], from_beginning=True)
            [record] = commands.poll(10, 0.0)
            commands.close()
            assert record.key == "execution-1"
            assert decode(record.value) == KILL

    run(scenario)
