"""Generated from avro/commands.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tiercel_schemas.common import (
    Breakpoint,
    ChildPositions,
    Label,
    LoopRun,
    Payload,
    PositionRange,
    ReplyTo,
)
from tiercel_schemas.events import TaskRunCopied, ValuesResolved, VariablesSet


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
        attempt_number: How many executions of the chain there have been, this one included.
        original_created_us: When the first of a chain was created; none: this is it.
        copied: What it takes over from another execution: nothing, INPUTS, or TASK_RUNS, which
            follow.
        failure: Why it cannot run: it is recorded, and FAILED at once.
        loop: Which time through a Loop it is, when it is one.
        breakpoints: Tasks to suspend it before.
    """

    FINGERPRINT: ClassVar[str] = "fd202036fee1d98f"

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
    attempt_number: int = 1
    original_created_us: int | None = None
    copied: str = ""
    failure: str | None = None
    loop: LoopRun | None = None
    breakpoints: tuple[Breakpoint, ...] = ()


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
        effects_json: What the task asks of its execution, as JSON.
        log_file: File of its log in storage, when its task keeps it there.
    """

    FINGERPRINT: ClassVar[str] = "13a68d66d49bbf3c"

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
    effects_json: str | None = None
    log_file: str | None = None


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


class ResumeFromBreakpoint(msgspec.Struct, frozen=True, gc=False):
    """Let an execution go on that is suspended before a task.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        breakpoints: Those from here on; none: as before.
    """

    FINGERPRINT: ClassVar[str] = "408dbdf0cabc31e5"

    command_id: str
    execution_id: str
    breakpoints: tuple[Breakpoint, ...] | None = None


class RestartExecution(msgspec.Struct, frozen=True, gc=False):
    """Run a finished execution again from its failed tasks.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        flow_revision: Revision from here on; none: as before.
        positions: Where its events lie in the log; needed when it has ended.
        children: Executions that it has started and that failed, and theirs: they are restarted,
            too; those that are not here are started anew.
        reply_to: Whom it tells of its end from now on; none: as before.
    """

    FINGERPRINT: ClassVar[str] = "d736e8c794be21a1"

    command_id: str
    execution_id: str
    flow_revision: int | None = None
    positions: tuple[PositionRange, ...] = ()
    children: tuple[ChildPositions, ...] = ()
    reply_to: ReplyTo | None = None


class ChildEnded(msgspec.Struct, frozen=True, gc=False):
    """An execution that a task run started has ended.

    Attributes:
        execution_id: The execution that waits.
        task_run_id: Its task run.
        child_id: The execution that has ended.
        state: Its state.
        outputs: Its outputs, a JSON object.
        error: What went wrong with the outputs that were asked for, or with its start.
        successor_id: The execution that takes its place, when it was RETRIED.
        index: Which of the task run's executions it is, from 0; -1: its only one.
        attempt: Which attempt of the task run started it; 0: the newest.
    """

    FINGERPRINT: ClassVar[str] = "eeff1c94b2d41776"

    execution_id: str
    task_run_id: str
    child_id: str
    state: str
    outputs: Payload | None = None
    error: str | None = None
    successor_id: str | None = None
    index: int = -1
    attempt: int = 0


class ChildPaused(msgspec.Struct, frozen=True, gc=False):
    """One of many executions that a task run started waits for a resume, or goes on.

    Attributes:
        execution_id: The execution around.
        task_run_id: Its task run.
        index: Which of its executions, from 0.
        attempt: Which attempt of the task run started it.
        is_paused: Whether it waits; else it goes on.
    """

    FINGERPRINT: ClassVar[str] = "4c473238e358ec26"

    execution_id: str
    task_run_id: str
    index: int
    attempt: int
    is_paused: bool


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


class CopyExecution(msgspec.Struct, frozen=True, gc=False):
    """Make a new execution from one that is there: a replay, or a restart with another revision.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        copy_id: Id of the new execution.
        created_us: When it was asked for.
        task_run_id: Go on from this task run; none: from the start.
        from_failed: Go on from the failed task runs, as a restart does.
        flow_revision: Revision of the flow; none: the same.
        inputs: Other inputs; none: the same.
        positions: Where its events lie in the log; needed when it has ended.
        breakpoints: Tasks to suspend the copy before.
    """

    FINGERPRINT: ClassVar[str] = "a5e7c980f614905a"

    command_id: str
    execution_id: str
    copy_id: str
    created_us: int
    task_run_id: str | None = None
    from_failed: bool = False
    flow_revision: int | None = None
    inputs: Payload | None = None
    positions: tuple[PositionRange, ...] = ()
    breakpoints: tuple[Breakpoint, ...] = ()


class SeedExecution(msgspec.Struct, frozen=True, gc=False):
    """Task runs that a copy takes over; it begins with the last of these commands.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        runs: Oldest first, parents before what is in them.
        is_last: Whether the execution goes on now.
        values: Values that copied flowables go through.
        again: Ids of copied task runs that run again; in the last command.
        variables: Variables that tasks have set.
    """

    FINGERPRINT: ClassVar[str] = "fcd4e4e2a3da924e"

    command_id: str
    execution_id: str
    runs: tuple[TaskRunCopied, ...]
    is_last: bool
    values: tuple[ValuesResolved, ...] = ()
    again: tuple[str, ...] = ()
    variables: tuple[VariablesSet, ...] = ()


class ChangeExecutionState(msgspec.Struct, frozen=True, gc=False):
    """Give a finished execution another final state.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        state: The new state.
        positions: Where its events lie in the log; needed when it has ended.
    """

    FINGERPRINT: ClassVar[str] = "0ad2fc37db9b469e"

    command_id: str
    execution_id: str
    state: str
    positions: tuple[PositionRange, ...] = ()


class ChangeTaskRunState(msgspec.Struct, frozen=True, gc=False):
    """Give a task run another final state, and go on from there.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        task_run_id: The task run.
        state: The new state.
        positions: Where its events lie in the log; needed when it has ended.
    """

    FINGERPRINT: ClassVar[str] = "465e2084931fff05"

    command_id: str
    execution_id: str
    task_run_id: str
    state: str
    positions: tuple[PositionRange, ...] = ()


class SetLabels(msgspec.Struct, frozen=True, gc=False):
    """Set labels of a finished execution; others stay.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        labels: Labels.
        positions: Where its events lie in the log; needed when it has ended.
    """

    FINGERPRINT: ClassVar[str] = "60ff011a0578347f"

    command_id: str
    execution_id: str
    labels: tuple[Label, ...]
    positions: tuple[PositionRange, ...] = ()


class ForceRunExecution(msgspec.Struct, frozen=True, gc=False):
    """Let an execution run that waits for its date, its turn, or to be resumed.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        positions: Where its events lie in the log; needed when it has ended.
    """

    FINGERPRINT: ClassVar[str] = "e038aa34eece57ac"

    command_id: str
    execution_id: str
    positions: tuple[PositionRange, ...] = ()


class UnqueueExecution(msgspec.Struct, frozen=True, gc=False):
    """Take an execution out of its flow's queue.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        state: What it becomes: RUNNING, CANCELLED or FAILED.
        positions: Where its events lie in the log; needed when it has ended.
    """

    FINGERPRINT: ClassVar[str] = "de27e1c730af795a"

    command_id: str
    execution_id: str
    state: str = "RUNNING"
    positions: tuple[PositionRange, ...] = ()


class DeleteExecution(msgspec.Struct, frozen=True, gc=False):
    """Delete an execution.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        include_running: Stop it when it has not ended; else that is refused.
        logs: Whether its log lines go, too.
        metrics: Whether its metrics go, too.
        positions: Where its events lie in the log; needed when it has ended.
    """

    FINGERPRINT: ClassVar[str] = "0e8aae2973cdd5ab"

    command_id: str
    execution_id: str
    include_running: bool = False
    logs: bool = True
    metrics: bool = True
    positions: tuple[PositionRange, ...] = ()


class PurgeRevisions(msgspec.Struct, frozen=True, gc=False):
    """Delete the sources of earlier revisions of a flow. Keyed by tenant/namespace/id.

    Attributes:
        command_id: Unique id; a repeated one does the same again.
        namespace: Namespace.
        flow_id: Flow.
        revisions: Which; one that is unknown, or the newest, refuses all.
        sent_us: When.
        tenant: Tenant.
    """

    FINGERPRINT: ClassVar[str] = "63a3bb7c9fb79359"

    command_id: str
    namespace: str
    flow_id: str
    revisions: tuple[int, ...]
    sent_us: int
    tenant: str = "main"
