"""The documents of the read model: the JSON objects of the API, field by field in its order.

Fields without a value are `UNSET` and left out. Values that the engine does not look into
(inputs, outputs, trigger) stay JSON text.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw, UnsetType

from tiercel_schemas.common import Breakpoint, Label, Payload


class Change(msgspec.Struct):
    """One entry of a history. `date` is ISO 8601 in UTC."""

    state: str
    date: str


class StateDocument(msgspec.Struct, rename="camel"):
    """Where something stands and how it came there. `duration` is ISO 8601."""

    current: str
    histories: list[Change]
    duration: str
    start_date: str
    end_date: str | UnsetType = UNSET


class Attempt(msgspec.Struct):
    """One attempt of a task run. `log_file`: its log, when it is a file of storage."""

    state: StateDocument
    log_file: str | UnsetType = msgspec.field(default=UNSET, name="logFile")


class Submission(msgspec.Struct, array_like=True):
    """When an attempt was handed to the workers: after how many entries of the run's history."""

    after: int
    date: str


class TaskRunDocument(msgspec.Struct, rename="camel", kw_only=True):
    """A task run. A flowable's has no attempts; outputs are always there.

    `submissions` is no part of what the API answers: some of its paths show them as states.
    """

    id: str
    execution_id: str
    namespace: str
    flow_id: str
    task_id: str
    parent_task_run_id: str | UnsetType = UNSET
    value: str | UnsetType = UNSET
    attempts: list[Attempt] | UnsetType = UNSET
    outputs: Raw
    state: StateDocument
    iteration: int | UnsetType = UNSET
    submissions: list[Submission] | UnsetType = UNSET


class Metadata(msgspec.Struct, rename="camel"):
    """How often an execution was run, and since when."""

    attempt_number: int
    original_created_date: str


class LoopRunDocument(msgspec.Struct, rename="camel"):
    """Which time through a Loop an execution is. `parents`: the items around, outermost first."""

    task_id: str
    task_run_id: str
    index: int
    value: str
    parents: Raw
    key: str | UnsetType = UNSET


class BreakpointDocument(msgspec.Struct):
    """A task that an execution is suspended before."""

    id: str
    value: str | UnsetType = UNSET


class ExecutionDocument(msgspec.Struct, rename="camel", kw_only=True):
    """An execution without its task runs. `kind` is left out when it is NORMAL."""

    id: str
    namespace: str
    flow_id: str
    flow_revision: int
    inputs: Raw | UnsetType = UNSET
    outputs: Raw | UnsetType = UNSET
    labels: list[Label]
    variables: dict[str, Raw] | UnsetType = UNSET
    state: StateDocument
    parent_id: str | UnsetType = UNSET
    original_id: str
    trigger: Raw | UnsetType = UNSET
    deleted: bool = False
    metadata: Metadata
    schedule_date: str | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    loop_run: LoopRunDocument | UnsetType = UNSET
    breakpoints: list[BreakpointDocument] | UnsetType = UNSET


_encoder = msgspec.json.Encoder()
decode_execution = msgspec.json.Decoder(ExecutionDocument).decode
decode_task_run = msgspec.json.Decoder(TaskRunDocument).decode


def encode(document: ExecutionDocument | TaskRunDocument) -> str:
    """The document as JSON text."""
    return _encoder.encode(document).decode()


def breakpoints(given: Sequence[Breakpoint]) -> list[BreakpointDocument] | UnsetType:
    """Breakpoints as they are shown; `UNSET` when there are none."""
    shown = [
        BreakpointDocument(one.task_id, UNSET if one.value is None else one.value) for one in given
    ]
    return shown or UNSET


def raw(payload: Payload | None) -> Raw | UnsetType:
    """The payload's JSON text; a claim check as `{"$claim": …}`; `UNSET` when it has no value."""
    if payload is None:
        return UNSET
    if payload.claim is not None:
        return Raw(_encoder.encode({"$claim": payload.claim}))
    if payload.json is None or payload.json == "null":
        return UNSET
    return Raw(payload.json.encode())


class _TriggerVariables(msgspec.Struct):
    executionId: str | None = None


class _Trigger(msgspec.Struct):
    variables: _TriggerVariables | None = None


_decode_trigger = msgspec.json.Decoder(_Trigger | None).decode


def trigger_execution_id(trigger_json: str | None) -> str | None:
    """The execution whose task or end started this one."""
    if trigger_json is None or '"executionId"' not in trigger_json:
        return None
    try:
        trigger = _decode_trigger(trigger_json)
    except msgspec.ValidationError:
        # A trigger's variables are free: an `executionId` of another type is not ours.
        return None
    return trigger.variables.executionId if trigger and trigger.variables else None
