"""The slots of a flow that limits its executions: who has one, and who waits in which order.

Theory of operation. The partition of the flow's key owns them. Executions ask for a slot and give
it back by command, so there is one writer and the count is exact. What happened is written as
`SlotBatch` records beside the executions' events and folded from there after a restart. Every
command may come twice: whoever has a slot, or waits for one, is answered again, and who gives back
what it does not have changes nothing. An answer to an execution that is over comes back as a
release, so no slot is lost. Each change costs the same, however long the queue is.
"""

from __future__ import annotations

from typing import Any

import msgspec
from immutables import Map
from msgspec.structs import replace

from tiercel_schemas.codec import AvroRecord
from tiercel_schemas.concurrency import (
    AnswerSlot,
    ReleaseSlot,
    RequestSlot,
    SlotBatch,
    SlotChange,
)
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.state import State

LIMIT, GRANTED, QUEUED, RELEASED = "LIMIT", "GRANTED", "QUEUED", "RELEASED"
#: Executions that one command lets run at most; others follow by further commands.
CHUNK = 500
#: What becomes of one too many.
REFUSED = {"CANCEL": State.CANCELLED, "FAIL": State.FAILED}


class LimitSaved(msgspec.Struct, frozen=True):
    """A revision of the flow was saved; what it says of executions at once."""

    key: FlowKey
    flow_revision: int
    limit: int | None
    behavior: str


class GrantSlots(msgspec.Struct, frozen=True):
    """There may be free slots, and executions that wait for them."""

    key: FlowKey


class Slots(msgspec.Struct, frozen=True):
    """The slots of one flow. `sequence` is the number of its last change.

    Attributes:
        limit: executions at once; None for any number.
        behavior: what becomes of one too many: QUEUE, CANCEL or FAIL.
        flow_revision: the revision that says so.
        holders: executions with a slot.
        queue: place in the queue -> execution; places only grow.
        places: execution -> its place.
        first, next: the lowest place that is taken, and the next to be given.
    """

    key: FlowKey
    sequence: int = 0
    limit: int | None = None
    behavior: str = "QUEUE"
    flow_revision: int = 0
    holders: Map[str, None] = Map()
    queue: Map[int, str] = Map()
    places: Map[str, int] = Map()
    first: int = 0
    next: int = 0

    @property
    def has_room(self) -> bool:
        return self.limit is None or len(self.holders) < self.limit


class SlotGap(AssertionError):
    """The log lacks changes of a flow's slots."""


def fold(slots: Slots, batch: SlotBatch) -> Slots:
    """Apply one record; changes already seen are ignored.

    Raises:
        SlotGap: the batch starts after the next expected number.
    """
    if batch.first_seq > slots.sequence + 1:
        raise SlotGap(
            f"Expected change {slots.sequence + 1} of the slots of {slots.key}, but the log went "
            f"on with {batch.first_seq}."
        )
    for change in batch.changes[slots.sequence + 1 - batch.first_seq :]:
        slots = apply(slots, change)
    return slots


def apply(slots: Slots, change: SlotChange) -> Slots:
    """The slots after one change. Replayed for ever: it decides nothing."""
    slots = replace(slots, sequence=slots.sequence + 1)
    if change.kind == LIMIT:
        return replace(
            slots,
            limit=change.limit,
            behavior=change.behavior,
            flow_revision=change.flow_revision,
        )
    who = change.execution_id
    if change.kind == QUEUED:
        return replace(
            slots,
            queue=slots.queue.set(slots.next, who),
            places=slots.places.set(who, slots.next),
            next=slots.next + 1,
        )
    slots = _out_of_queue(slots, who)
    if change.kind == GRANTED:
        return replace(slots, holders=slots.holders.set(who, None))
    assert change.kind == RELEASED, change
    return replace(slots, holders=slots.holders.delete(who)) if who in slots.holders else slots


def _out_of_queue(slots: Slots, who: str) -> Slots:
    place = slots.places.get(who)
    if place is None:
        return slots
    queue, first = slots.queue.delete(place), slots.first
    while first < slots.next and first not in queue:  # Passes each place once in all.
        first += 1
    return replace(slots, queue=queue, places=slots.places.delete(who), first=first)


class SlotStep:
    """What one command does to the slots of a flow. Drop it, and nothing has happened.

    Attributes:
        commands: (key, command) to executions.
        more: whether more executions could run than one command lets.
    """

    def __init__(self, slots: Slots, at_us: int) -> None:
        self.slots = slots
        self.at_us = at_us
        self.first_sequence = slots.sequence + 1
        self.changes: list[SlotChange] = []
        self.commands: list[tuple[str, AvroRecord]] = []
        self.more = False

    def emit(self, change: SlotChange) -> None:
        self.slots = apply(self.slots, change)
        self.changes.append(change)

    def answer(self, execution_id: str, outcome: str) -> None:
        key = self.slots.key
        answer = AnswerSlot(
            execution_id=execution_id,
            tenant=key.tenant,
            namespace=key.namespace,
            flow_id=key.flow_id,
            outcome=outcome,
        )
        self.commands.append((execution_id, answer))

    def grant(self, execution_id: str) -> None:
        self.emit(SlotChange(GRANTED, execution_id))
        self.answer(execution_id, GRANTED)

    def batch(self, cause: str) -> SlotBatch:
        """The changes as a record. There must be some."""
        key = self.slots.key
        return SlotBatch(
            tenant=key.tenant,
            namespace=key.namespace,
            flow_id=key.flow_id,
            first_seq=self.first_sequence,
            at_us=self.at_us,
            cause=cause,
            changes=tuple(self.changes),
        )


SlotCommand = RequestSlot | ReleaseSlot | LimitSaved | GrantSlots


def key_of(command: Any) -> FlowKey:
    """The flow whose slots a command is about."""
    if isinstance(command, LimitSaved | GrantSlots):
        return command.key
    return FlowKey(command.tenant, command.namespace, command.flow_id)


def decide(slots: Slots, command: SlotCommand, at_us: int) -> SlotStep:
    """What `command` does to the slots now."""
    step = SlotStep(slots, at_us)
    match command:
        case RequestSlot():
            _learn(step, command.flow_revision, command.limit, command.behavior)
            _request(step, command.execution_id, command.forced)
        case ReleaseSlot(execution_id=who):
            if who in slots.holders or who in slots.places:
                step.emit(SlotChange(RELEASED, who))
        case LimitSaved():
            _learn(step, command.flow_revision, command.limit, command.behavior)
        case GrantSlots():
            pass
    _grant_waiting(step)
    return step


def _learn(step: SlotStep, revision: int, limit: int | None, behavior: str) -> None:
    """Take the limit of the newest revision; an older one says nothing."""
    if revision > step.slots.flow_revision:
        step.emit(SlotChange(LIMIT, limit=limit, behavior=behavior, flow_revision=revision))


def _request(step: SlotStep, who: str, forced: bool) -> None:
    slots = step.slots
    if who in slots.holders:
        if not forced:
            step.answer(who, GRANTED)
    elif forced:
        # It runs already, so it takes no answer.
        step.emit(SlotChange(GRANTED, who))
    elif who in slots.places:
        step.answer(who, QUEUED)
    elif slots.has_room and not slots.queue:
        step.grant(who)
    elif slots.behavior in REFUSED:
        step.answer(who, REFUSED[slots.behavior])
    else:
        step.emit(SlotChange(QUEUED, who))
        step.answer(who, QUEUED)


def _grant_waiting(step: SlotStep) -> None:
    """Let those who have waited longest run, as far as there is room."""
    for _ in range(CHUNK):
        slots = step.slots
        if not slots.queue or not slots.has_room:
            return
        step.grant(slots.queue[slots.first])
    step.more = bool(step.slots.queue) and step.slots.has_room
