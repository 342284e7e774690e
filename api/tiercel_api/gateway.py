"""Sends commands, and waits for what became of them.

A command is durable once its append was acknowledged. What the executor made of it is read where
everybody reads it: from the executions topic (or the flows topic), never by a call.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tiercel_api.tail import Tail
from tiercel_engine.errors import (
    Conflict,
    LogUnavailable,
    Moved,
    NotFound,
    Rejected,
    UserError,
)
from tiercel_engine.eventlog.base import Appender, EventLog, NewRecord
from tiercel_schemas.codec import AvroRecord, encode
from tiercel_schemas.commands import PurgeRevisions, SaveFlow
from tiercel_schemas.events import (
    CommandRejected,
    EventBatch,
    ExecutionRestarted,
    ExecutionStateChanged,
)
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey, TriggerKey
from tiercel_schemas.logs import LogEntry
from tiercel_schemas.state import State, is_terminated
from tiercel_schemas.topics import Topics
from tiercel_schemas.triggers import TriggerState

#: How long an append may take to become durable.
APPEND_TIMEOUT_S = 10.0
#: Which error a refusal is.
REFUSALS: dict[str, type[UserError]] = {
    "NOT_FOUND": NotFound,
    "CONFLICT": Conflict,
    "INVALID": Rejected,
    "MOVED": Moved,
}
#: A refusal that is none: nothing had to change.
STALE = "STALE"


class ExecutionWatch:
    """What the log said of one execution since the watch began. Belongs to the event loop.

    Attributes:
        last_seq: number of its newest event; 0 when none came.
        state: the newest state that an event named.
        decided: command id -> how it was refused, None when it was done.
    """

    __slots__ = ("_changed", "decided", "last_seq", "state")

    def __init__(self) -> None:
        self.last_seq = 0
        self.state: str | None = None
        self.decided: dict[str, CommandRejected | None] = {}
        self._changed = asyncio.Event()

    def __call__(self, record: EventBatch | CommandRejected, offset: int) -> None:
        """Take one record of the executions topic."""
        if isinstance(record, CommandRejected):
            self.decided[record.command_id] = record
        else:
            self.last_seq = max(self.last_seq, record.first_seq + len(record.events) - 1)
            for event in record.events:
                if isinstance(event, ExecutionStateChanged):
                    self.state = event.state
                elif isinstance(event, ExecutionRestarted):
                    self.state = State.RESTARTED
            if record.command_id is not None:
                self.decided[record.command_id] = None
        self._changed.set()

    @property
    def is_terminated(self) -> bool:
        """Whether the newest state is a final one."""
        return self.state is not None and is_terminated(self.state)

    def wake(self) -> None:
        """Let `changed` return."""
        self._changed.set()

    async def changed(self, timeout_s: float) -> bool:
        """Wait for the next record, or `wake`; False when neither came in time."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    async def decision(self, command_id: str, timeout_s: float) -> None:
        """Wait until the executor has decided on a command.

        Raises:
            NotFound, Conflict, Rejected: it refused.
            LogUnavailable: it did not decide in time. The command may still be done later.
        """
        deadline = time.monotonic() + timeout_s
        while command_id not in self.decided:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not await self.changed(left_s):
                raise LogUnavailable("Expected the executor to decide in time, but it did not.")
        self.raise_refusal(command_id)

    def raise_refusal(self, command_id: str) -> None:
        """Raise what the executor refused this command with, if it did."""
        refusal = self.decided.get(command_id)
        if refusal is not None and refusal.kind != STALE:
            raise REFUSALS.get(refusal.kind, Rejected)(refusal.reason)


class Gateway:
    """The API's hand in the log. Belongs to the event loop."""

    def __init__(
        self, event_log: EventLog, topics: Topics, appender: Appender, command_timeout_s: float
    ) -> None:
        self._topics = topics
        self._command_timeout_s = command_timeout_s
        self._appender = appender
        self._acknowledgements = _Acknowledgements()
        # Ids need to be unique, not secret. Asking the system for each would give the interpreter
        # away twice per request, and getting it back takes longer than the request.
        self._random = random.Random(os.urandom(32))
        self._executions = Tail(event_log, topics.executions.name)
        self._flows = Tail(event_log, topics.flows.name, lambda key: key.rpartition("/")[0])
        self.logs = Tail(event_log, topics.logs.name)
        self._triggers = Tail(event_log, topics.triggers.name, with_ends=True)

    async def close(self) -> None:
        """Stop following, and give up the appender."""
        for tail in (self._executions, self._flows, self.logs, self._triggers):
            await tail.close()
        await asyncio.to_thread(self._appender.close)

    def random_bits(self) -> int:
        """80 random bits, for an id."""
        return self._random.getrandbits(80)

    def command_id(self) -> str:
        """A new, unique command id."""
        return f"{self._random.getrandbits(128):032x}"

    async def append(
        self, topic: str, key: str, record: AvroRecord, partition: int | None = None
    ) -> None:
        """Append one record, to the partition of its key unless told; return once it is durable.

        Raises:
            RecordTooLarge: its value is too large for the log.
            LogBusy: the log takes nothing more right now.
            LogUnavailable: the log did not say in time whether it is durable.
        """
        await self.append_record(NewRecord(topic, key, encode(record), partition))

    async def append_record(self, record: NewRecord) -> None:
        """Append a record whose value is made already. Raises as `append`."""
        loop = asyncio.get_running_loop()
        durable: asyncio.Future[None] = loop.create_future()
        self._appender.append(
            record,
            lambda error: self._acknowledgements.put(durable, error),
        )
        late = loop.call_later(APPEND_TIMEOUT_S, _give_up, durable)
        try:
            await durable
        finally:
            late.cancel()

    def append_soon(self, topic: str, key: str, record: AvroRecord) -> None:
        """Append one record without waiting until it is durable. Raises LogBusy."""
        self._appender.append(NewRecord(topic, key, encode(record)))

    def say(self, line: LogEntry) -> None:
        """Append a line of a trigger's log without waiting for it. Raises LogBusy."""
        self.append_soon(self._topics.logs.name, line.trigger_id or "", line)

    async def send(self, key: str, command: AvroRecord) -> None:
        """Append a command; return once it is durable. Raises as `append`."""
        await self.append(self._topics.commands.name, key, command)

    @asynccontextmanager
    async def watching(self, execution_id: str) -> AsyncIterator[ExecutionWatch]:
        """Follow one execution's events from now on."""
        watch = ExecutionWatch()
        async with self._executions.following(execution_id, watch):
            yield watch

    async def ask(self, execution_id: str, command: Any) -> ExecutionWatch:
        """Send a command to an execution and wait for the decision.

        Returns:
            what the log said up to the decision: `last_seq` is 0 when nothing had to change.

        Raises:
            NotFound, Conflict, Rejected: the executor refused it.
            LogUnavailable: it did not decide in time.
        """
        async with self.watching(execution_id) as watch:
            await self.send(execution_id, command)
            await watch.decision(command.command_id, self._command_timeout_s)
            return watch

    async def ask_trigger(self, key: TriggerKey, command: Any) -> TriggerState | None:
        """Send a command to a trigger; return the state that answers it, None once it has none.

        Raises:
            NotFound, Conflict, Rejected: the scheduler refused it.
            LogUnavailable: it did not decide in time.
        """
        answer: asyncio.Future[TriggerState | None] = asyncio.get_running_loop().create_future()

        def stated(state: TriggerState | None, offset: int) -> None:
            is_answer = state is None or state.command_id == command.command_id
            if is_answer and not answer.done():
                answer.set_result(state)

        async with self._triggers.following(str(key), stated):
            await self.append(self._topics.trigger_commands.name, str(key.flow), command)
            try:
                state = await asyncio.wait_for(answer, self._command_timeout_s)
            except TimeoutError:
                raise LogUnavailable(
                    "Expected the scheduler to decide in time, but it did not. Is one running?"
                ) from None
        if state is not None and state.refusal is not None:
            raise REFUSALS.get(state.refusal_kind, Rejected)(state.refusal)
        return state

    async def save_flow(self, command: SaveFlow) -> FlowRevision:
        """Store or delete a flow; return the revision that came of it.

        Raises:
            NotFound, Conflict, Rejected: the executor refused it.
            LogUnavailable: it did not decide in time.
        """
        return (await self._revise(command, 1))[0]

    async def purge_revisions(self, command: PurgeRevisions) -> list[FlowRevision]:
        """Purge revisions, each named once; return what is left of them. Raises as `save_flow`."""
        return await self._revise(command, len(command.revisions))

    async def _revise(self, command: SaveFlow | PurgeRevisions, count: int) -> list[FlowRevision]:
        """Send a command that writes so many revisions; return them."""
        key = str(FlowKey(command.tenant, command.namespace, command.flow_id))
        stored: asyncio.Future[list[FlowRevision]] = asyncio.get_running_loop().create_future()
        found: list[FlowRevision] = []

        def revised(revision: FlowRevision, offset: int) -> None:
            if revision.command_id == command.command_id and not stored.done():
                found.append(revision)
                if len(found) == count:
                    stored.set_result(found)

        async with self._flows.following(key, revised), self.watching(key) as watch:
            await self.send(key, command)
            refused: asyncio.Future[None] = asyncio.ensure_future(
                watch.decision(command.command_id, self._command_timeout_s)
            )
            try:
                either: set[asyncio.Future[Any]] = {stored, refused}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if stored.done():
                    return stored.result()
                refused.result()
                return await asyncio.wait_for(stored, self._command_timeout_s)
            finally:
                refused.cancel()


def _give_up(durable: asyncio.Future[None]) -> None:
    if not durable.done():
        durable.set_exception(LogUnavailable("Expected the log to answer in time, but it did not."))


class _Acknowledgements:
    """Acknowledged appends on their way from the log's thread into the event loop.

    All that come before the loop wakes up share one call into it: waking it is the dear part.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.Future[None], Exception | None]] = []

    def put(self, durable: asyncio.Future[None], error: Exception | None) -> None:
        """Runs in any thread."""
        with self._lock:
            self._waiting.append((durable, error))
            is_first = len(self._waiting) == 1
        if is_first and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        with self._lock:
            settled, self._waiting = self._waiting, []
        for durable, error in settled:
            if durable.done():
                continue
            if error is None:
                durable.set_result(None)
            else:
                durable.set_exception(error)


GATEWAY = web.AppKey("gateway", Gateway)
