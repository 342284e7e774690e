"""Generated from avro/common.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

import msgspec


class Label(msgspec.Struct, frozen=True, gc=False):
    """A label of a flow or an execution.

    Attributes:
        key: Name; 'system.' is reserved.
        value: Text.
    """

    key: str
    value: str


class ClaimCheck(msgspec.Struct, frozen=True, gc=False):
    """Where a value too large for the log lies in internal storage.

    Attributes:
        uri: kestra:///… address.
        size_bytes: Size of the JSON text.
        sha256: Hex digest of the JSON text.
    """

    uri: str
    size_bytes: int
    sha256: str


class Payload(msgspec.Struct, frozen=True, gc=False):
    """A JSON value: its text, or a claim check when the text passes 64 KiB. Neither: no value.

    Attributes:
        json: JSON text.
        claim: Where the text lies.
    """

    json: str | None = None
    claim: ClaimCheck | None = None


class PositionRange(msgspec.Struct, frozen=True, gc=False):
    """Offsets in the executions topic between which events of one execution lie.

    Attributes:
        first: First offset.
        last: Last offset, included.
    """

    first: int
    last: int


class ReplyTo(msgspec.Struct, frozen=True, gc=False):
    """Whom an execution tells of its end: the task run or the trigger that started it.

    Attributes:
        execution_id: The execution of that task run.
        task_run_id: The task run.
        outputs_json: Templates of what it asks for when the flow has no outputs of its own, a
            JSON object.
        trigger: Address of the trigger that started it and waits, instead of a task run.
        index: Which of that task run's executions it is, from 0; -1: its only one.
        attempt: Which attempt of the task run started it; 0: the newest.
    """

    execution_id: str
    task_run_id: str
    outputs_json: str | None = None
    trigger: str = ""
    index: int = -1
    attempt: int = 0


class LoopRun(msgspec.Struct, frozen=True, gc=False):
    """Which time through a Loop an execution is.

    Attributes:
        task_id: The Loop.
        task_run_id: Its task run, in the execution around.
        index: Which time, from 0.
        value: Text of the value.
        variables: What its templates see of the execution around, a JSON object.
        key: Key of the value, when the values are a map.
        parents: The same of the loops around, outermost first, a JSON list.
    """

    task_id: str
    task_run_id: str
    index: int
    value: str
    variables: Payload
    key: str | None = None
    parents: str = "[]"


class ChildPositions(msgspec.Struct, frozen=True, gc=False):
    """Where the events of an execution lie that another one has started.

    Attributes:
        execution_id: The execution that was started.
        positions: Where its events lie in the log.
    """

    execution_id: str
    positions: tuple[PositionRange, ...]


class Breakpoint(msgspec.Struct, frozen=True, gc=False):
    """A task that does not begin before somebody lets it.

    Attributes:
        task_id: The task.
        value: Only its runs with this value; none: all.
    """

    task_id: str
    value: str | None = None
