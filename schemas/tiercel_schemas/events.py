"""Generated from avro/events.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from tiercel_schemas.common import Label, Payload, PositionRange, ReplyTo


class ExecutionCreated(msgspec.Struct, frozen=True):
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
    """

    AVRO_NAME: ClassVar[str] = "tiercel.ExecutionCreated"

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

    def to_avro(self) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "namespace": self.namespace,
            "flow_id": self.flow_id,
            "flow_revision": self.flow_revision,
            "inputs": self.inputs.to_avro(),
            "labels": [x.to_avro() for x in self.labels],
            "trigger": self.trigger.to_avro(),
            "parent_id": self.parent_id,
            "original_id": self.original_id,
            "scheduled_us": self.scheduled_us,
            "kind": self.kind,
            "trace_parent": self.trace_parent,
            "deduplicate": self.deduplicate,
            "reply_to": None if self.reply_to is None else self.reply_to.to_avro(),
            "depth": self.depth,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> ExecutionCreated:
        return cls(
            tenant=data["tenant"],
            namespace=data["namespace"],
            flow_id=data["flow_id"],
            flow_revision=data["flow_revision"],
            inputs=Payload.from_avro(data["inputs"]),
            labels=tuple(Label.from_avro(x) for x in data["labels"]),
            trigger=Payload.from_avro(data["trigger"]),
            parent_id=data["parent_id"],
            original_id=data["original_id"],
            scheduled_us=data["scheduled_us"],
            kind=data["kind"],
            trace_parent=data["trace_parent"],
            deduplicate=data["deduplicate"],
            reply_to=None if data["reply_to"] is None else ReplyTo.from_avro(data["reply_to"]),
            depth=data["depth"],
        )


class ExecutionStateChanged(msgspec.Struct, frozen=True):
    """The execution went to another state.

    Attributes:
        state: New state.
        reason: Why, when it is not the flow's own course.
        by_request: PAUSED because somebody asked for it: until a resume nothing starts, even what
            is due.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.ExecutionStateChanged"

    state: str
    reason: str | None = None
    by_request: bool = False

    def to_avro(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "reason": self.reason,
            "by_request": self.by_request,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> ExecutionStateChanged:
        return cls(
            state=data["state"],
            reason=data["reason"],
            by_request=data["by_request"],
        )


class ExecutionRestarted(msgspec.Struct, frozen=True):
    """A finished execution runs again.

    Attributes:
        attempt_number: Which run of the execution this is, from 2.
        flow_revision: Revision that it runs from here on.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.ExecutionRestarted"

    attempt_number: int
    flow_revision: int

    def to_avro(self) -> dict[str, Any]:
        return {
            "attempt_number": self.attempt_number,
            "flow_revision": self.flow_revision,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> ExecutionRestarted:
        return cls(
            attempt_number=data["attempt_number"],
            flow_revision=data["flow_revision"],
        )


class ExecutionOutputsSet(msgspec.Struct, frozen=True):
    """The flow's outputs were rendered.

    Attributes:
        outputs: JSON object.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.ExecutionOutputsSet"

    outputs: Payload

    def to_avro(self) -> dict[str, Any]:
        return {
            "outputs": self.outputs.to_avro(),
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> ExecutionOutputsSet:
        return cls(
            outputs=Payload.from_avro(data["outputs"]),
        )


class LabelsSet(msgspec.Struct, frozen=True):
    """The execution's labels changed.

    Attributes:
        labels: All labels from here on.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.LabelsSet"

    labels: tuple[Label, ...]

    def to_avro(self) -> dict[str, Any]:
        return {
            "labels": [x.to_avro() for x in self.labels],
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> LabelsSet:
        return cls(
            labels=tuple(Label.from_avro(x) for x in data["labels"]),
        )


class TaskRunCreated(msgspec.Struct, frozen=True):
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

    AVRO_NAME: ClassVar[str] = "tiercel.TaskRunCreated"

    task_run_id: str
    task_id: str
    parent_task_run_id: str | None = None
    branch: str = "tasks"
    value: str | None = None
    iteration: int | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
            "task_id": self.task_id,
            "parent_task_run_id": self.parent_task_run_id,
            "branch": self.branch,
            "value": self.value,
            "iteration": self.iteration,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> TaskRunCreated:
        return cls(
            task_run_id=data["task_run_id"],
            task_id=data["task_id"],
            parent_task_run_id=data["parent_task_run_id"],
            branch=data["branch"],
            value=data["value"],
            iteration=data["iteration"],
        )


class TaskRunStateChanged(msgspec.Struct, frozen=True):
    """A task run went to another state without an attempt of its own.

    Attributes:
        task_run_id: The task run.
        state: New state.
        outputs: Outputs that it leaves, when it is a flowable.
        reason: Why.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.TaskRunStateChanged"

    task_run_id: str
    state: str
    outputs: Payload | None = None
    reason: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
            "state": self.state,
            "outputs": None if self.outputs is None else self.outputs.to_avro(),
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> TaskRunStateChanged:
        return cls(
            task_run_id=data["task_run_id"],
            state=data["state"],
            outputs=None if data["outputs"] is None else Payload.from_avro(data["outputs"]),
            reason=data["reason"],
        )


class TaskRunPaused(msgspec.Struct, frozen=True):
    """A task run waits to be resumed.

    Attributes:
        task_run_id: The task run.
        due_us: When it goes on by itself; none: never.
        due_state: What it becomes then: RUNNING goes on with its tasks, others end it.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.TaskRunPaused"

    task_run_id: str
    due_us: int | None = None
    due_state: str = "RUNNING"

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
            "due_us": self.due_us,
            "due_state": self.due_state,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> TaskRunPaused:
        return cls(
            task_run_id=data["task_run_id"],
            due_us=data["due_us"],
            due_state=data["due_state"],
        )


class TaskRunResumed(msgspec.Struct, frozen=True):
    """A paused task run goes on.

    Attributes:
        task_run_id: The task run.
        state: RUNNING: its tasks come next; others: what it ends with after its errors and
            finally.
        outputs: What it was resumed with.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.TaskRunResumed"

    task_run_id: str
    state: str = "RUNNING"
    outputs: Payload | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
            "state": self.state,
            "outputs": None if self.outputs is None else self.outputs.to_avro(),
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> TaskRunResumed:
        return cls(
            task_run_id=data["task_run_id"],
            state=data["state"],
            outputs=None if data["outputs"] is None else Payload.from_avro(data["outputs"]),
        )


class TaskRunRemoved(msgspec.Struct, frozen=True):
    """A restart, or a loop that goes round again, takes a task run out.

    Attributes:
        task_run_id: The task run.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.TaskRunRemoved"

    task_run_id: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> TaskRunRemoved:
        return cls(
            task_run_id=data["task_run_id"],
        )


class AttemptSubmitted(msgspec.Struct, frozen=True):
    """A job for an attempt went to the workers.

    Attributes:
        task_run_id: The task run.
        attempt: Which attempt, from 1.
        epoch: Which lease of the attempt, from 1; a lost worker's attempt is submitted again
            under the next.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.AttemptSubmitted"

    task_run_id: str
    attempt: int
    epoch: int

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
            "attempt": self.attempt,
            "epoch": self.epoch,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> AttemptSubmitted:
        return cls(
            task_run_id=data["task_run_id"],
            attempt=data["attempt"],
            epoch=data["epoch"],
        )


class AttemptStarted(msgspec.Struct, frozen=True):
    """A worker runs the attempt.

    Attributes:
        task_run_id: The task run.
        attempt: Which attempt.
        epoch: Which lease.
        worker_id: Who holds the lease.
        started_us: When, by the worker's clock.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.AttemptStarted"

    task_run_id: str
    attempt: int
    epoch: int
    worker_id: str
    started_us: int

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "worker_id": self.worker_id,
            "started_us": self.started_us,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> AttemptStarted:
        return cls(
            task_run_id=data["task_run_id"],
            attempt=data["attempt"],
            epoch=data["epoch"],
            worker_id=data["worker_id"],
            started_us=data["started_us"],
        )


class AttemptEnded(msgspec.Struct, frozen=True):
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
    """

    AVRO_NAME: ClassVar[str] = "tiercel.AttemptEnded"

    task_run_id: str
    attempt: int
    epoch: int
    state: str
    started_us: int
    ended_us: int
    outputs: Payload | None = None
    error: str | None = None
    task_run_state: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "state": self.state,
            "outputs": None if self.outputs is None else self.outputs.to_avro(),
            "started_us": self.started_us,
            "ended_us": self.ended_us,
            "error": self.error,
            "task_run_state": self.task_run_state,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> AttemptEnded:
        return cls(
            task_run_id=data["task_run_id"],
            attempt=data["attempt"],
            epoch=data["epoch"],
            state=data["state"],
            outputs=None if data["outputs"] is None else Payload.from_avro(data["outputs"]),
            started_us=data["started_us"],
            ended_us=data["ended_us"],
            error=data["error"],
            task_run_state=data["task_run_state"],
        )


class ChildStarted(msgspec.Struct, frozen=True):
    """A task run started an execution as its attempt.

    Attributes:
        task_run_id: The task run.
        attempt: Which attempt, from 1.
        child_id: The execution that was started.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.ChildStarted"

    task_run_id: str
    attempt: int
    child_id: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
            "attempt": self.attempt,
            "child_id": self.child_id,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> ChildStarted:
        return cls(
            task_run_id=data["task_run_id"],
            attempt=data["attempt"],
            child_id=data["child_id"],
        )


class IterationScheduled(msgspec.Struct, frozen=True):
    """A loop goes round once more, later.

    Attributes:
        task_run_id: The loop's task run.
        iteration: Which time it will be, from 1.
        due_us: When.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.IterationScheduled"

    task_run_id: str
    iteration: int
    due_us: int

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
            "iteration": self.iteration,
            "due_us": self.due_us,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> IterationScheduled:
        return cls(
            task_run_id=data["task_run_id"],
            iteration=data["iteration"],
            due_us=data["due_us"],
        )


class IterationStarted(msgspec.Struct, frozen=True):
    """A loop goes round; task runs of the time before are gone.

    Attributes:
        task_run_id: The loop's task run.
        iteration: Which time it is, from 1.
        outputs: Outputs of the loop from here on, a JSON object.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.IterationStarted"

    task_run_id: str
    iteration: int
    outputs: Payload

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
            "iteration": self.iteration,
            "outputs": self.outputs.to_avro(),
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> IterationStarted:
        return cls(
            task_run_id=data["task_run_id"],
            iteration=data["iteration"],
            outputs=Payload.from_avro(data["outputs"]),
        )


class RetryScheduled(msgspec.Struct, frozen=True):
    """A failed task run will be tried again.

    Attributes:
        task_run_id: The task run.
        due_us: When.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.RetryScheduled"

    task_run_id: str
    due_us: int

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
            "due_us": self.due_us,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> RetryScheduled:
        return cls(
            task_run_id=data["task_run_id"],
            due_us=data["due_us"],
        )


class ValuesResolved(msgspec.Struct, frozen=True):
    """The values that a flowable goes through; long lists come in several of these.

    Attributes:
        task_run_id: The flowable's task run.
        values: Text of each value, after those already known.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.ValuesResolved"

    task_run_id: str
    values: tuple[str, ...]

    def to_avro(self) -> dict[str, Any]:
        return {
            "task_run_id": self.task_run_id,
            "values": self.values,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> ValuesResolved:
        return cls(
            task_run_id=data["task_run_id"],
            values=tuple(data["values"]),
        )


class CommandRejected(msgspec.Struct, frozen=True):
    """A command was refused and changed nothing. Not numbered, not folded.

    Attributes:
        execution_id: The execution.
        command_id: The command.
        cause: Its name.
        reason: Why, for a person.
        kind: NOT_FOUND, CONFLICT or INVALID.
        at_us: When.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.CommandRejected"
    FINGERPRINT: ClassVar[str] = "6d3a4f3da1ee077c"

    execution_id: str
    command_id: str
    cause: str
    reason: str
    kind: str
    at_us: int

    def to_avro(self) -> dict[str, Any]:
        return {
            "execution_id": self.execution_id,
            "command_id": self.command_id,
            "cause": self.cause,
            "reason": self.reason,
            "kind": self.kind,
            "at_us": self.at_us,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> CommandRejected:
        return cls(
            execution_id=data["execution_id"],
            command_id=data["command_id"],
            cause=data["cause"],
            reason=data["reason"],
            kind=data["kind"],
            at_us=data["at_us"],
        )


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
)

EVENTS: dict[str, Any] = {
    ExecutionCreated.AVRO_NAME: ExecutionCreated,
    ExecutionStateChanged.AVRO_NAME: ExecutionStateChanged,
    ExecutionRestarted.AVRO_NAME: ExecutionRestarted,
    ExecutionOutputsSet.AVRO_NAME: ExecutionOutputsSet,
    LabelsSet.AVRO_NAME: LabelsSet,
    TaskRunCreated.AVRO_NAME: TaskRunCreated,
    TaskRunStateChanged.AVRO_NAME: TaskRunStateChanged,
    TaskRunPaused.AVRO_NAME: TaskRunPaused,
    TaskRunResumed.AVRO_NAME: TaskRunResumed,
    TaskRunRemoved.AVRO_NAME: TaskRunRemoved,
    AttemptSubmitted.AVRO_NAME: AttemptSubmitted,
    AttemptStarted.AVRO_NAME: AttemptStarted,
    AttemptEnded.AVRO_NAME: AttemptEnded,
    ChildStarted.AVRO_NAME: ChildStarted,
    IterationScheduled.AVRO_NAME: IterationScheduled,
    IterationStarted.AVRO_NAME: IterationStarted,
    RetryScheduled.AVRO_NAME: RetryScheduled,
    ValuesResolved.AVRO_NAME: ValuesResolved,
}


class EventBatch(msgspec.Struct, frozen=True):
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

    AVRO_NAME: ClassVar[str] = "tiercel.EventBatch"
    FINGERPRINT: ClassVar[str] = "1436b25e0d0e0273"

    execution_id: str
    first_seq: int
    at_us: int
    cause: str
    events: tuple[Event, ...]
    command_id: str | None = None
    positions: tuple[PositionRange, ...] = ()

    def to_avro(self) -> dict[str, Any]:
        return {
            "execution_id": self.execution_id,
            "first_seq": self.first_seq,
            "at_us": self.at_us,
            "cause": self.cause,
            "command_id": self.command_id,
            "events": [(x.AVRO_NAME, x.to_avro()) for x in self.events],
            "positions": [x.to_avro() for x in self.positions],
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> EventBatch:
        return cls(
            execution_id=data["execution_id"],
            first_seq=data["first_seq"],
            at_us=data["at_us"],
            cause=data["cause"],
            command_id=data["command_id"],
            events=tuple(EVENTS[n].from_avro(x) for n, x in data["events"]),
            positions=tuple(PositionRange.from_avro(x) for x in data["positions"]),
        )
