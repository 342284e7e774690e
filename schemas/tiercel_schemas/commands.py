"""Generated from avro/commands.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tiercel_schemas.common import Label, Payload, PositionRange, ReplyTo


class CreateExecution(msgspec.Struct, frozen=True, gc=False):
    """Start an execution.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        namespace: Namespace.
        flow_id: Flow.
        inputs: Typed inputs, a JSON object.
        trigger: What starts it: id, type, variables.
        created_us: When it was asked for.
        tenant: Tenant.
        flow_revision: Revision; none: the latest.
        labels: Labels given with the request.
        parent_id: Parent execution.
        original_id: First of a chain; none: itself.
        scheduled_us: Not before then.
        kind: NORMAL, TEST, PLAYGROUND or LOOP.
        deduplicate: The id was given from outside and may come twice.
        trace_parent: W3C trace context.
        reply_to: The task run that waits for its end.
        depth: How many executions are around it, each started by a task of the next.
    """

    FINGERPRINT: ClassVar[str] = "178f799541e740aa"

    command_id: str
    execution_id: str
    namespace: str
    flow_id: str
    inputs: Payload
    trigger: Payload
    created_us: int
    tenant: str = "main"
    flow_revision: int | None = None
    labels: tuple[Label, ...] = ()
    parent_id: str | None = None
    original_id: str | None = None
    scheduled_us: int | None = None
    kind: str = "NORMAL"
    deduplicate: bool = False
    trace_parent: str | None = None
    reply_to: ReplyTo | None = None
    depth: int = 0


class StartAttempt(msgspec.Struct, frozen=True, gc=False):
    """A worker says that it runs an attempt.

    Attributes:
        execution_id: The execution.
        task_run_id: The task run.
        attempt: Which attempt.
        epoch: Which lease.
        worker_id: Who.
        started_us: When.
    """

    FINGERPRINT: ClassVar[str] = "2e567662b2c17efc"

    execution_id: str
    task_run_id: str
    attempt: int
    epoch: int
    worker_id: str
    started_us: int


class EndAttempt(msgspec.Struct, frozen=True, gc=False):
    """A worker says how an attempt ended.

    Attributes:
        execution_id: The execution.
        task_run_id: The task run.
        attempt: Which attempt.
        epoch: Which lease.
        worker_id: Who.
        state: SUCCESS, WARNING, FAILED or KILLED.
        started_us: When it started.
        ended_us: When it ended.
        outputs: JSON object.
        error: Message of its failure.
    """

    FINGERPRINT: ClassVar[str] = "6186d62ddf9eefdb"

    execution_id: str
    task_run_id: str
    attempt: int
    epoch: int
    worker_id: str
    state: str
    started_us: int
    ended_us: int
    outputs: Payload | None = None
    error: str | None = None


class ReturnJob(msgspec.Struct, frozen=True, gc=False):
    """A worker hands a job back that it has not started, or must give up.

    Attributes:
        execution_id: The execution.
        task_run_id: The task run.
        attempt: Which attempt.
        epoch: Which lease.
        worker_id: Who.
        reason: Why.
    """

    FINGERPRINT: ClassVar[str] = "d0db9b07207f1816"

    execution_id: str
    task_run_id: str
    attempt: int
    epoch: int
    worker_id: str
    reason: str


class KillExecution(msgspec.Struct, frozen=True, gc=False):
    """Stop an execution and what it runs.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        cascade: Kill its subflow executions too.
    """

    FINGERPRINT: ClassVar[str] = "584cf2a7806ad655"

    command_id: str
    execution_id: str
    cascade: bool = True


class PauseExecution(msgspec.Struct, frozen=True, gc=False):
    """Start nothing more of an execution until it is resumed; what runs may end.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
    """

    FINGERPRINT: ClassVar[str] = "4663cd8423be3ad2"

    command_id: str
    execution_id: str


class ResumeExecution(msgspec.Struct, frozen=True, gc=False):
    """Let a paused execution go on.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        outputs: Outputs of the task run: a JSON object with the typed values under `onResume`;
            empty: none.
        task_run_id: Which paused task run; none: the first.
    """

    FINGERPRINT: ClassVar[str] = "7bb2047327e97ea5"

    command_id: str
    execution_id: str
    outputs: Payload
    task_run_id: str | None = None


class RestartExecution(msgspec.Struct, frozen=True, gc=False):
    """Run a finished execution again from its failed tasks.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        flow_revision: Revision from here on; none: as before.
        positions: Where its events lie in the log; needed when it has ended.
    """

    FINGERPRINT: ClassVar[str] = "81158f4c94e45d5b"

    command_id: str
    execution_id: str
    flow_revision: int | None = None
    positions: tuple[PositionRange, ...] = ()


class ChildEnded(msgspec.Struct, frozen=True, gc=False):
    """An execution that a task run started has ended.

    Attributes:
        execution_id: The execution that waits.
        task_run_id: Its task run.
        child_id: The execution that has ended.
        state: Its state.
        outputs: Its outputs, a JSON object.
        error: What went wrong with the outputs that were asked for, or with its start.
    """

    FINGERPRINT: ClassVar[str] = "2c95ecab22267bbe"

    execution_id: str
    task_run_id: str
    child_id: str
    state: str
    outputs: Payload | None = None
    error: str | None = None


class SaveFlow(msgspec.Struct, frozen=True, gc=False):
    """Store a revision of a flow. Keyed by tenant/namespace/id.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        namespace: Namespace.
        flow_id: Flow.
        source: YAML text.
        sent_us: When.
        tenant: Tenant.
        deleted: Delete it.
        expected_revision: The newest revision must be this one; 0: there must be none; none: any.
        dialect: Dialect of the flow, such as 1.3, as it was decided for this revision.
    """

    FINGERPRINT: ClassVar[str] = "5895393b6c6e63cb"

    command_id: str
    namespace: str
    flow_id: str
    source: str
    sent_us: int
    tenant: str = "main"
    deleted: bool = False
    expected_revision: int | None = None
    dialect: str = "1.3"
