"""Checkpoints: the live executions of a partition at an offset, in internal storage.

An optimisation only. A checkpoint that is missing, torn or of another version is ignored, and the
fold starts at offset 0; both ways give the same state (a test says so).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from immutables import Map
from msgspec.structs import asdict, replace

from tiercel_engine.execution.fan_out_state import FanOut, Sending
from tiercel_engine.execution.index_set import IndexSet
from tiercel_engine.execution.model import (
    Block,
    BlockKey,
    Evaluated,
    Evaluation,
    Execution,
    TaskRun,
)
from tiercel_engine.execution.slots import Slots
from tiercel_engine.executor.partition import Partition
from tiercel_schemas.ids import FlowKey

#: Counts up whenever the layout of `Execution` or what it holds changes.
VERSION = 11

_MAPS = (
    "task_runs",
    "blocks",
    "runs_of_task",
    "valued_runs",
    "values",
    "leased",
    "evaluations",
    "evaluated",
    "retrying",
    "paused",
    "waiting",
    "members",
    "unasked",
    "variables",
    "fan_outs",
)


class SavedFanOut(msgspec.Struct):
    """A fan-out with its persistent maps as plain ones; bits as hexadecimal text."""

    fields: dict[str, Any]
    open: dict[int, str]
    paused: dict[int, str]
    bad: dict[str, dict[int, str]]
    ended: dict[str, int]
    sending: dict[int, Sending]
    replaced: dict[int, str]


class SavedExecution(msgspec.Struct):
    """An execution with its persistent maps as lists."""

    fields: dict[str, Any]
    task_runs: list[TaskRun]
    blocks: list[tuple[str, str, Block]]
    runs_of_task: dict[str, str]
    valued_runs: list[tuple[str, tuple[str, ...], str]]
    values: dict[str, tuple[str, ...]]
    leased: list[str]
    evaluations: list[Evaluation]
    evaluated: list[tuple[str, str, Evaluated]]
    retrying: list[str]
    paused: list[str]
    waiting: list[str]
    members: dict[str, list[str]]
    unasked: list[BlockKey]
    variables: dict[str, str | None]
    fan_outs: dict[str, SavedFanOut]


class SavedSlots(msgspec.Struct):
    """The slots of a flow, without those of its fields that follow from the others."""

    key: FlowKey
    sequence: int
    limit: int | None
    behavior: str
    flow_revision: int
    holders: list[str]
    queue: list[tuple[int, str]]
    first: int
    next: int


class Checkpoint(msgspec.Struct):
    """A partition's state; `offset` is the next one to fold in the executions topic."""

    offset: int
    executions: list[SavedExecution]
    given_ids: list[str]
    ended_given: dict[str, int]
    ended_recent: dict[str, int]
    ended_sequences: dict[str, int]
    slots: list[SavedSlots]
    version: int = VERSION


def take(partition: Partition, offset: int) -> Checkpoint:
    """A cheap snapshot: persistent structures are shared, not copied."""
    given, recent = partition.ended.dump()
    return Checkpoint(
        offset=offset,
        executions=[_save(x) for x in partition.executions.values()],
        given_ids=list(partition.given_ids),
        ended_given=given,
        ended_recent=recent,
        ended_sequences=partition.ended_sequences(),
        slots=[_save_slots(slots) for slots in partition.slots.values()],
    )


def encode(checkpoint: Checkpoint) -> bytes:
    """The checkpoint as bytes. May run in another thread than the executor's."""
    return msgspec.msgpack.encode(checkpoint)


def decode(data: bytes) -> Checkpoint | None:
    """The checkpoint in `data`; None when it cannot be used."""
    try:
        checkpoint = msgspec.msgpack.decode(data, type=Checkpoint)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    return checkpoint if checkpoint.version == VERSION else None


def restore(checkpoint: Checkpoint, partition: Partition) -> None:
    """Put the saved executions into an empty partition."""
    partition.given_ids = set(checkpoint.given_ids)
    partition.ended.load(checkpoint.ended_given, checkpoint.ended_recent)
    partition.load_ended_sequences(checkpoint.ended_sequences)
    for saved in checkpoint.executions:
        execution = _load(saved)
        partition.executions[execution.id] = execution
    for slots in checkpoint.slots:
        partition.slots[slots.key] = _load_slots(slots)


def _save_slots(slots: Slots) -> SavedSlots:
    return SavedSlots(
        key=slots.key,
        sequence=slots.sequence,
        limit=slots.limit,
        behavior=slots.behavior,
        flow_revision=slots.flow_revision,
        holders=list(slots.holders),
        queue=list(slots.queue.items()),
        first=slots.first,
        next=slots.next,
    )


def _load_slots(saved: SavedSlots) -> Slots:
    return Slots(
        key=saved.key,
        sequence=saved.sequence,
        limit=saved.limit,
        behavior=saved.behavior,
        flow_revision=saved.flow_revision,
        holders=Map(dict.fromkeys(saved.holders)),
        queue=Map(saved.queue),
        places=Map({who: place for place, who in saved.queue}),
        first=saved.first,
        next=saved.next,
    )


def _save(x: Execution) -> SavedExecution:
    return SavedExecution(
        fields={k: v for k, v in asdict(x).items() if k not in _MAPS},
        task_runs=list(x.task_runs.values()),
        blocks=[(parent, branch, block) for (parent, branch), block in x.blocks.items()],
        runs_of_task=dict(x.runs_of_task),
        valued_runs=[
            (task_id, path, run_id)
            for task_id, runs in x.valued_runs.items()
            for path, run_id in runs.items()
        ],
        values=dict(x.values),
        leased=list(x.leased),
        evaluations=list(x.evaluations.values()),
        evaluated=[
            (owner, key, answer)
            for owner, answers in x.evaluated.items()
            for key, answer in answers.items()
        ],
        retrying=list(x.retrying),
        paused=list(x.paused),
        waiting=list(x.waiting),
        members={loop: list(runs) for loop, runs in x.members.items()},
        unasked=list(x.unasked),
        variables=dict(x.variables),
        fan_outs={run_id: _save_fan_out(fan) for run_id, fan in x.fan_outs.items()},
    )


def _load(saved: SavedExecution) -> Execution:
    plain = msgspec.convert({**saved.fields}, type=_Fields)
    return replace(
        Execution(plain.id),
        **asdict(plain),
        task_runs=Map({run.id: run for run in saved.task_runs}),
        blocks=Map({(parent, branch): block for parent, branch, block in saved.blocks}),
        runs_of_task=Map(saved.runs_of_task),
        valued_runs=_by_two(saved.valued_runs),
        values=Map(saved.values),
        leased=Map(dict.fromkeys(saved.leased)),
        evaluations=Map({one.id: one for one in saved.evaluations}),
        evaluated=_by_two(saved.evaluated),
        retrying=Map(dict.fromkeys(saved.retrying)),
        paused=Map(dict.fromkeys(saved.paused)),
        waiting=Map(dict.fromkeys(saved.waiting)),
        members=Map({loop: Map(dict.fromkeys(runs)) for loop, runs in saved.members.items()}),
        unasked=Map(dict.fromkeys(saved.unasked)),
        variables=Map(saved.variables),
        fan_outs=Map({run_id: _load_fan_out(fan) for run_id, fan in saved.fan_outs.items()}),
    )


def _by_two(rows: Iterable[tuple[str, Any, Any]]) -> Any:
    """A map of maps from rows of (outer key, inner key, value)."""
    maps: dict[str, dict[Any, Any]] = {}
    for outer, inner, value in rows:
        maps.setdefault(outer, {})[inner] = value
    return Map({outer: Map(values) for outer, values in maps.items()})


_FAN_OUT_MAPS = ("open", "paused", "bad", "ended", "sending", "replaced")


def _save_fan_out(fan: FanOut) -> SavedFanOut:
    return SavedFanOut(
        fields={k: v for k, v in asdict(fan).items() if k not in _FAN_OUT_MAPS},
        open=_hex(fan.open),
        paused=_hex(fan.paused),
        bad={state: _hex(words) for state, words in fan.bad.items()},
        ended=dict(fan.ended),
        sending=dict(fan.sending),
        replaced=dict(fan.replaced),
    )


def _load_fan_out(saved: SavedFanOut) -> FanOut:
    fields = saved.fields
    outputs = tuple((index, text) for index, text in fields["outputs"])
    return FanOut(
        **{**fields, "outputs": outputs, "order": tuple(fields["order"])},
        open=_bits(saved.open),
        paused=_bits(saved.paused),
        bad=Map({state: _bits(words) for state, words in saved.bad.items()}),
        ended=Map(saved.ended),
        sending=Map(saved.sending),
        replaced=Map(saved.replaced),
    )


def _hex(words: IndexSet) -> dict[int, str]:
    return {word: f"{bits:x}" for word, bits in words.items()}


def _bits(words: dict[int, str]) -> IndexSet:
    return Map({word: int(text, 16) for word, text in words.items()})


#: `Execution` without its maps, so that msgspec can convert it.
_Fields: Any = msgspec.defstruct(
    "_Fields",
    [
        (f.name, f.type, msgspec.field(default=f.default))
        if f.default is not msgspec.NODEFAULT
        else (f.name, f.type)
        for f in msgspec.structs.fields(Execution)
        if f.name not in _MAPS
    ],
)
