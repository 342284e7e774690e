"""Generated from avro/events.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tiercel_schemas.common import Breakpoint, Label, LoopRun, Payload, PositionRange, ReplyTo


class ExecutionCreated(msgspec.Struct, frozen=True, gc=False):
    """An execution exists.

    Attributes:
        namespace: Namespace of its flow.
        flow_id: Id of its flow.
        flow_revision: Revision that it runs.
        inputs: Typed inputs, a JSON object.
        trigger: What started it: id, type, variables.
        original_id: First execution of a chain of replays.
        tenant: Tenant.
        labels: Labels of the flow, then those given.
        parent_id: Execution that it was replayed from or started by.
        scheduled_us: Stays CREATED until then.
        kind: NORMAL, TEST, PLAYGROUND or LOOP.
        trace_parent: W3C trace context.
        deduplicate: Its id was given from outside and stays known for a while after its end.
        reply_to: The task run that waits for its end.
        depth: How many executions are around it, each started by a task of the next.
        attempt_number: How many executions of the chain there have been, this one included.
        original_created_us: When the first of a chain was created; none: this is it.
        copied: What it takes over from another execution: nothing, INPUTS, or TASK_RUNS, which
            follow.
        loop: Which time through a Loop it is, when it is one.
        breakpoints: Tasks that it is suspended before.
    """

    namespace: str
    flow_id: str
    flow_revision: int
    inputs: Payload
    trigger: Payload
    original_id: str
    tenant: str = "main"
    labels: tuple[Label, ...] = ()
    parent_id: str | None = None
    scheduled_us: int | None = None
    kind: str = "NORMAL"
    trace_parent: str | None = None
    deduplicate: bool = False
    reply_to: ReplyTo | None = None
    depth: int = 0
    attempt_number: int = 1
    original_created_us: int | None = None
    copied: str = ""
    loop: LoopRun | None = None
    breakpoints: tuple[Breakpoint, ...] = ()


class ExecutionStateChanged(msgspec.Struct, frozen=True, gc=False):
    """The execution went to another state.

    Attributes:
        state: New state.
        reason: Why, when it is not the flow's own course.
        by_request: PAUSED because somebody asked for it: until a resume nothing starts, even what
            is due.
        passed: A state that it went through at the same instant; empty: none.
    """

    state: str
    reason: str | None = None
    by_request: bool = False
    passed: str = ""


class ExecutionRestarted(msgspec.Struct, frozen=True, gc=False):
    """A finished execution runs again.

    Attributes:
        attempt_number: Which run of the execution this is, from 2.
        flow_revision: Revision that it runs from here on.
        reply_to: Whom it tells of its end from now on; none: as before.
    """

    attempt_number: int
    flow_revision: int
    reply_to: ReplyTo | None = None


class ExecutionOutputsSet(msgspec.Struct, frozen=True, gc=False):
    """The flow's outputs were rendered.

    Attributes:
        outputs: JSON object.
    """

    outputs: Payload


class LabelsSet(msgspec.Struct, frozen=True, gc=False):
    """The execution's labels changed.

    Attributes:
        labels: All labels from here on.
    """

    labels: tuple[Label, ...]


class TaskRunCreated(msgspec.Struct, frozen=True, gc=False):
    """A task of the flow is about to run.

    Attributes:
        task_run_id: The task run.
        task_id: Its task.
        parent_task_run_id: The flowable that it belongs to.
        branch: Which list of the parent: tasks, errors, finally, then, else, a case …; tasks#3 is
            the fourth time through the list.
        value: Value of the nearest each.
        iteration: Count of the nearest loop.
    """

    task_run_id: str
    task_id: str
    parent_task_run_id: str | None = None
    branch: str = "tasks"
    value: str | None = None
    iteration: int | None = None


class TaskRunStateChanged(msgspec.Struct, frozen=True, gc=False):
    """A task run went to another state without an attempt of its own.

    Attributes:
        task_run_id: The task run.
        state: New state.
        outputs: Outputs that it leaves, when it is a flowable.
        reason: Why.
    """

    task_run_id: str
    state: str
    outputs: Payload | None = None
    reason: str | None = None


class TaskRunPaused(msgspec.Struct, frozen=True, gc=False):
    """A task run waits to be resumed.

    Attributes:
        task_run_id: The task run.
        due_us: When it goes on by itself; none: never.
        due_state: What it becomes then: RUNNING goes on with its tasks, others end it.
    """

    task_run_id: str
    due_us: int | None = None
    due_state: str = "RUNNING"


class TaskRunResumed(msgspec.Struct, frozen=True, gc=False):
    """A paused task run goes on.

    Attributes:
        task_run_id: The task run.
        state: RUNNING: its tasks come next; others: what it ends with after its errors and
            finally.
        outputs: What it was resumed with.
    """

    task_run_id: str
    state: str = "RUNNING"
    outputs: Payload | None = None


class TaskRunRemoved(msgspec.Struct, frozen=True, gc=False):
    """A restart, or a loop that goes round again, takes a task run out.

    Attributes:
        task_run_id: The task run.
    """

    task_run_id: str


class AttemptSubmitted(msgspec.Struct, frozen=True, gc=False):
    """A job for an attempt went to the workers.

    Attributes:
        task_run_id: The task run.
        attempt: Which attempt, from 1.
        epoch: Which lease of the attempt, from 1; a lost worker's attempt is submitted again
            under the next.
    """

    task_run_id: str
    attempt: int
    epoch: int


class AttemptStarted(msgspec.Struct, frozen=True, gc=False):
    """A worker runs the attempt.

    Attributes:
        task_run_id: The task run.
        attempt: Which attempt.
        epoch: Which lease.
        worker_id: Who holds the lease.
        started_us: When, by the worker's clock.
    """

    task_run_id: str
    attempt: int
    epoch: int
    worker_id: str
    started_us: int


class AttemptEnded(msgspec.Struct, frozen=True, gc=False):
    """The attempt has its result.

    Attributes:
        task_run_id: The task run.
        attempt: Which attempt.
        epoch: Which lease.
        state: SUCCESS, WARNING, FAILED or KILLED.
        started_us: When it started.
        ended_us: When it ended.
        outputs: JSON object.
        error: Message of its failure.
        task_run_state: State of the task run, when it is another than the attempt's
            (allowFailure, warningOnRetry).
        passed: State that the task run passes through on its way to the last; empty for none.
        log_file: File of its log in storage, when its task keeps it there.
    """

    task_run_id: str
    attempt: int
    epoch: int
    state: str
    started_us: int
    ended_us: int
    outputs: Payload | None = None
    error: str | None = None
    task_run_state: str | None = None
    passed: str = ""
    log_file: str | None = None


class ChildStarted(msgspec.Struct, frozen=True, gc=False):
    """A task run started an execution as its attempt.

    Attributes:
        task_run_id: The task run.
        attempt: Which attempt, from 1.
        child_id: The execution that was started.
    """

    task_run_id: str
    attempt: int
    child_id: str


class IterationScheduled(msgspec.Struct, frozen=True, gc=False):
    """A loop goes round once more, later.

    Attributes:
        task_run_id: The loop's task run.
        iteration: Which time it will be, from 1.
        due_us: When.
    """

    task_run_id: str
    iteration: int
    due_us: int


class IterationStarted(msgspec.Struct, frozen=True, gc=False):
    """A loop goes round; task runs of the time before are gone.

    Attributes:
        task_run_id: The loop's task run.
        iteration: Which time it is, from 1.
        outputs: Outputs of the loop from here on, a JSON object.
    """

    task_run_id: str
    iteration: int
    outputs: Payload


class RetryScheduled(msgspec.Struct, frozen=True, gc=False):
    """A failed task run will be tried again.

    Attributes:
        task_run_id: The task run.
        due_us: When.
    """

    task_run_id: str
    due_us: int


class ValuesResolved(msgspec.Struct, frozen=True, gc=False):
    """The values that a flowable goes through; long lists come in several of these.

    Attributes:
        task_run_id: The flowable's task run.
        values: Text of each value, after those already known.
    """

    task_run_id: str
    values: tuple[str, ...]


class TaskRunCopied(msgspec.Struct, frozen=True, gc=False):
    """A task run taken over from another execution, as it stood there.

    Attributes:
        task_run_id: The task run, under its own new id.
        task_id: Its task.
        state: Its state.
        created_us: When the original was created.
        parent_task_run_id: The flowable that it belongs to, copied before.
        branch: Which list of the parent, as in TaskRunCreated.
        value: Value of the nearest each.
        iteration: Count of the nearest loop.
        outputs: Its outputs, a JSON object.
        attempt: Attempts made so far.
        started_us: When the original first started; 0: never.
        ended_us: When its newest attempt ended; 0: it made none.
        after_pause: What it went on as after its pause.
        loops: Whether it goes round, and task runs of its present time follow.
    """

    task_run_id: str
    task_id: str
    state: str
    created_us: int
    parent_task_run_id: str | None = None
    branch: str = "tasks"
    value: str | None = None
    iteration: int | None = None
    outputs: Payload | None = None
    attempt: int = 0
    started_us: int = 0
    ended_us: int = 0
    after_pause: str | None = None
    loops: bool = False


class ExecutionDeleted(msgspec.Struct, frozen=True, gc=False):
    """Nobody is to see it any more. Its events stay in the log.

    Attributes:
        logs: Whether its log lines go, too.
        metrics: Whether its metrics go, too.
    """

    logs: bool = True
    metrics: bool = True


class VariablesSet(msgspec.Struct, frozen=True, gc=False):
    """Variables of the execution changed while it ran.

    Attributes:
        values: Name -> JSON text of its whole value from here on.
        removed: Names of those that are gone.
    """

    values: dict[str, str] = msgspec.field(default_factory=dict)
    removed: tuple[str, ...] = ()


class ExitRequested(msgspec.Struct, frozen=True, gc=False):
    """A task ended the execution: nothing more starts, and it ends once nothing runs.

    Attributes:
        state: The state that it ends in.
    """

    state: str


class ListAsked(msgspec.Struct, frozen=True, gc=False):
    """A list of tasks that is to be asked how it goes on.

    Attributes:
        task_run_id: The flowable's task run; empty for the flow itself.
        branch: Branch of the child that has ended last; empty: none.
    """

    task_run_id: str
    branch: str


class AsksPostponed(msgspec.Struct, frozen=True, gc=False):
    """What one command had no room to decide: it is decided by the next ones.

    Attributes:
        lists: All that is left from here on.
    """

    lists: tuple[ListAsked, ...] = ()


class AfterExecutionPlanned(msgspec.Struct, frozen=True, gc=False):
    """Once the execution has ended, these lists of tasks follow.

    Attributes:
        branches: Lists of the flow, in their order.
    """

    branches: tuple[str, ...]


class AfterExecutionEnded(msgspec.Struct, frozen=True, gc=False):
    """What followed the end of the execution has ended, too.

    Attributes:
        reason: Why, when it did not end by itself.
    """

    reason: str = ""


class EvaluationSubmitted(msgspec.Struct, frozen=True, gc=False):
    """A template that the executor must not render went to the workers.

    Attributes:
        task_run_id: Whose template it is; empty: the flow's own.
        epoch: Which question: the number of the event that submitted it.
        template: The template, or a map or list of them, as JSON.
        typed: Whether a single print keeps its type.
        asked: What goes on once the answer is there: a list of tasks, or a step of the start.
        scope: Variables to render with, when they are not those of the owner.
        opens_secrets: Whether sealed inputs are opened for it; else they stay as they are.
    """

    task_run_id: str
    epoch: int
    template: str
    typed: bool
    asked: str
    scope: Payload | None = None
    opens_secrets: bool = True


class EvaluationStarted(msgspec.Struct, frozen=True, gc=False):
    """A worker renders the template.

    Attributes:
        task_run_id: Whose template it is; empty: the flow's own.
        epoch: Which question: the number of the event that submitted it.
        worker_id: Who holds the lease.
        started_us: When, by the worker's clock.
    """

    task_run_id: str
    epoch: int
    worker_id: str
    started_us: int


class EvaluationEnded(msgspec.Struct, frozen=True, gc=False):
    """The template has its answer; neither value nor error: nobody waits for it any more.

    Attributes:
        task_run_id: Whose template it is; empty: the flow's own.
        epoch: Which question: the number of the event that submitted it.
        value: What it gave.
        error: Why it gave nothing.
        secret: Whether secrets were read for it: it stands in no log.
    """

    task_run_id: str
    epoch: int
    value: Payload | None = None
    error: str | None = None
    secret: bool = False


class FanOutStarted(msgspec.Struct, frozen=True, gc=False):
    """A task run is about to start many executions, as its attempt.

    Attributes:
        task_run_id: The task run.
        attempt: Which attempt, from 1.
        count: How many executions, in all attempts together.
        outputs: Outputs of the task run from here on, a JSON object: its counters.
        keeps: Whether the outputs of its executions stay in the state, in the order of their
            ends.
        stores: Whether a worker stores the outputs, though the task does not say so itself.
    """

    task_run_id: str
    attempt: int
    count: int
    outputs: Payload
    keeps: bool = False
    stores: bool = False


class ItemsStarted(msgspec.Struct, frozen=True, gc=False):
    """The next executions of a fan-out were started.

    Attributes:
        task_run_id: The task run.
        first: Index of the first, from 0.
        count: How many.
    """

    task_run_id: str
    first: int
    count: int


class ItemsRestarted(msgspec.Struct, frozen=True, gc=False):
    """Executions of a fan-out that had not ended well run again.

    Attributes:
        task_run_id: The task run.
        state: All that had ended in this state
        first: from this index
        last: to this one, included.
        count: How many these are.
    """

    task_run_id: str
    state: str
    first: int
    last: int
    count: int


class ItemEnded(msgspec.Struct, frozen=True, gc=False):
    """An execution of a fan-out has ended.

    Attributes:
        task_run_id: The task run.
        index: Which, from 0.
        state: Its state.
        outputs: Its outputs, when they are collected.
    """

    task_run_id: str
    index: int
    state: str
    outputs: Payload | None = None


class ItemsLeft(msgspec.Struct, frozen=True, gc=False):
    """Executions of a fan-out that run are not waited for any more.

    Attributes:
        task_run_id: The task run.
        state: What they count as: KILLING, they were told to stop; SUCCESS, nobody ever waits for
            them.
        first: All that run from this index
        last: to this one, included.
        count: How many these are.
        paused: How many of these waited for a resume.
    """

    task_run_id: str
    state: str
    first: int
    last: int
    count: int
    paused: int = 0


class ItemReplaced(msgspec.Struct, frozen=True, gc=False):
    """An execution of a fan-out goes on as another one: its retry.

    Attributes:
        task_run_id: The task run.
        index: Which, from 0.
        child_id: The execution that counts from here on.
    """

    task_run_id: str
    index: int
    child_id: str


class OutputsSent(msgspec.Struct, frozen=True, gc=False):
    """Outputs of executions of a fan-out that ended lately went to a worker to be stored.

    Attributes:
        task_run_id: The task run.
        chunk: Which set of them, from 0.
        epoch: How often the set was sent, from 1.
    """

    task_run_id: str
    chunk: int
    epoch: int


class OutputsStored(msgspec.Struct, frozen=True, gc=False):
    """A set of outputs is in internal storage.

    Attributes:
        task_run_id: The task run.
        chunk: Which set.
    """

    task_run_id: str
    chunk: int


class SlotChanged(msgspec.Struct, frozen=True, gc=False):
    """The execution asked its flow for a slot, or has one.

    Attributes:
        state: ASKED or HELD.
    """

    state: str


class SlaDeadlineSet(msgspec.Struct, frozen=True, gc=False):
    """The execution promises to have ended by then.

    Attributes:
        sla_id: Which promise of the flow.
        due_us: When.
    """

    sla_id: str
    due_us: int


class SlaViolated(msgspec.Struct, frozen=True, gc=False):
    """The execution broke a promise of its flow.

    Attributes:
        sla_id: Which.
        reason: How.
    """

    sla_id: str
    reason: str = ""


class FanOutStopped(msgspec.Struct, frozen=True, gc=False):
    """Nothing more of a fan-out is started in this attempt; what runs may end.

    Attributes:
        task_run_id: The task run.
    """

    task_run_id: str


class SessionStarted(msgspec.Struct, frozen=True, gc=False):
    """A worker has opened the folder of a WorkingDirectory and waits for its tasks.

    Attributes:
        task_run_id: The WorkingDirectory's task run.
        attempt: Which attempt, from 1.
        epoch: Which lease, from 1.
        worker_id: Who.
        started_us: When.
    """

    task_run_id: str
    attempt: int
    epoch: int
    worker_id: str
    started_us: int


class SessionEnded(msgspec.Struct, frozen=True, gc=False):
    """The folder of a WorkingDirectory is closed; its task run goes on.

    Attributes:
        task_run_id: The WorkingDirectory's task run.
        attempt: Which attempt.
        epoch: Which lease.
        state: SUCCESS, or FAILED: the folder could not be filled, or its files not be kept.
        ended_us: When.
        outputs: JSON object.
        error: Message of its failure.
    """

    task_run_id: str
    attempt: int
    epoch: int
    state: str
    ended_us: int
    outputs: Payload | None = None
    error: str | None = None


class MembersKept(msgspec.Struct, frozen=True, gc=False):
    """From here on the task run knows the task runs inside it.

    Attributes:
        task_run_id: The flowable's task run.
    """

    task_run_id: str


class MembersInterrupted(msgspec.Struct, frozen=True, gc=False):
    """A task inside has failed, and the others are stopped.

    Attributes:
        task_run_id: The flowable's task run.
        state: What those end as that were stopped.
    """

    task_run_id: str
    state: str


class ItemPaused(msgspec.Struct, frozen=True, gc=False):
    """An execution of a fan-out waits for a resume.

    Attributes:
        task_run_id: The task run.
        index: Which, from 0.
    """

    task_run_id: str
    index: int


class ItemResumed(msgspec.Struct, frozen=True, gc=False):
    """A paused execution of a fan-out goes on, or is about to end.

    Attributes:
        task_run_id: The task run.
        index: Which, from 0.
    """

    task_run_id: str
    index: int


class BreakpointsSet(msgspec.Struct, frozen=True, gc=False):
    """From here on the execution is suspended before these tasks.

    Attributes:
        breakpoints: All of them.
    """

    breakpoints: tuple[Breakpoint, ...] = ()


class CommandRejected(msgspec.Struct, frozen=True, gc=False):
    """A command was refused and changed nothing. Not numbered, not folded.

    Attributes:
        execution_id: The execution.
        command_id: The command.
        cause: Its name.
        reason: Why, for a person.
        kind: NOT_FOUND, CONFLICT or INVALID.
        at_us: When.
    """

    FINGERPRINT: ClassVar[str] = "6d3a4f3da1ee077c"

    execution_id: str
    command_id: str
    cause: str
    reason: str
    kind: str
    at_us: int


#: Everything that can happen to an execution.
Event = (
    ExecutionCreated
    | ExecutionStateChanged
    | ExecutionRestarted
    | ExecutionOutputsSet
    | LabelsSet
    | TaskRunCreated
    | TaskRunStateChanged
    | TaskRunPaused
    | TaskRunResumed
    | TaskRunRemoved
    | AttemptSubmitted
    | AttemptStarted
    | AttemptEnded
    | ChildStarted
    | IterationScheduled
    | IterationStarted
    | RetryScheduled
    | ValuesResolved
    | TaskRunCopied
    | ExecutionDeleted
    | VariablesSet
    | ExitRequested
    | AsksPostponed
    | AfterExecutionPlanned
    | AfterExecutionEnded
    | EvaluationSubmitted
    | EvaluationStarted
    | EvaluationEnded
    | FanOutStarted
    | ItemsStarted
    | ItemsRestarted
    | ItemEnded
    | ItemsLeft
    | ItemReplaced
    | OutputsSent
    | OutputsStored
    | SlotChanged
    | SlaDeadlineSet
    | SlaViolated
    | FanOutStopped
    | SessionStarted
    | SessionEnded
    | MembersKept
    | MembersInterrupted
    | ItemPaused
    | ItemResumed
    | BreakpointsSet
)


class EventBatch(msgspec.Struct, frozen=True, gc=False):
    """What one command did to one execution. One record of the executions topic.

    Attributes:
        execution_id: The execution.
        first_seq: Number of the first event, from 1, without gaps.
        at_us: When the executor decided.
        cause: Name of the command.
        events: In order.
        command_id: Id of the command, for whoever waits for it.
        positions: Where the earlier events lie, when the execution had ended and left the
            executor's memory.
    """

    FINGERPRINT: ClassVar[str] = "54a8f2ce40926648"

    execution_id: str
    first_seq: int
    at_us: int
    cause: str
    events: tuple[Event, ...]
    command_id: str | None = None
    positions: tuple[PositionRange, ...] = ()
