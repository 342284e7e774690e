"""Generated from avro/commands.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from tiercel_schemas.common import Label, Payload, PositionRange, ReplyTo


class CreateExecution(msgspec.Struct, frozen=True):
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

    AVRO_NAME: ClassVar[str] = "tiercel.CreateExecution"
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

    def to_avro(self) -> dict[str, Any]:
        return {
            "command_id": self.command_id,
            "execution_id": self.execution_id,
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
            "created_us": self.created_us,
            "deduplicate": self.deduplicate,
            "trace_parent": self.trace_parent,
            "reply_to": None if self.reply_to is None else self.reply_to.to_avro(),
            "depth": self.depth,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> CreateExecution:
        return cls(
            command_id=data["command_id"],
            execution_id=data["execution_id"],
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
            created_us=data["created_us"],
            deduplicate=data["deduplicate"],
            trace_parent=data["trace_parent"],
            reply_to=None if data["reply_to"] is None else ReplyTo.from_avro(data["reply_to"]),
            depth=data["depth"],
        )


class StartAttempt(msgspec.Struct, frozen=True):
    """A worker says that it runs an attempt.

    Attributes:
        execution_id: The execution.
        task_run_id: The task run.
        attempt: Which attempt.
        epoch: Which lease.
        worker_id: Who.
        started_us: When.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.StartAttempt"
    FINGERPRINT: ClassVar[str] = "2e567662b2c17efc"

    execution_id: str
    task_run_id: str
    attempt: int
    epoch: int
    worker_id: str
    started_us: int

    def to_avro(self) -> dict[str, Any]:
        return {
            "execution_id": self.execution_id,
            "task_run_id": self.task_run_id,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "worker_id": self.worker_id,
            "started_us": self.started_us,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> StartAttempt:
        return cls(
            execution_id=data["execution_id"],
            task_run_id=data["task_run_id"],
            attempt=data["attempt"],
            epoch=data["epoch"],
            worker_id=data["worker_id"],
            started_us=data["started_us"],
        )


class EndAttempt(msgspec.Struct, frozen=True):
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

    AVRO_NAME: ClassVar[str] = "tiercel.EndAttempt"
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

    def to_avro(self) -> dict[str, Any]:
        return {
            "execution_id": self.execution_id,
            "task_run_id": self.task_run_id,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "worker_id": self.worker_id,
            "state": self.state,
            "outputs": None if self.outputs is None else self.outputs.to_avro(),
            "started_us": self.started_us,
            "ended_us": self.ended_us,
            "error": self.error,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> EndAttempt:
        return cls(
            execution_id=data["execution_id"],
            task_run_id=data["task_run_id"],
            attempt=data["attempt"],
            epoch=data["epoch"],
            worker_id=data["worker_id"],
            state=data["state"],
            outputs=None if data["outputs"] is None else Payload.from_avro(data["outputs"]),
            started_us=data["started_us"],
            ended_us=data["ended_us"],
            error=data["error"],
        )


class ReturnJob(msgspec.Struct, frozen=True):
    """A worker hands a job back that it has not started, or must give up.

    Attributes:
        execution_id: The execution.
        task_run_id: The task run.
        attempt: Which attempt.
        epoch: Which lease.
        worker_id: Who.
        reason: Why.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.ReturnJob"
    FINGERPRINT: ClassVar[str] = "d0db9b07207f1816"

    execution_id: str
    task_run_id: str
    attempt: int
    epoch: int
    worker_id: str
    reason: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "execution_id": self.execution_id,
            "task_run_id": self.task_run_id,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "worker_id": self.worker_id,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> ReturnJob:
        return cls(
            execution_id=data["execution_id"],
            task_run_id=data["task_run_id"],
            attempt=data["attempt"],
            epoch=data["epoch"],
            worker_id=data["worker_id"],
            reason=data["reason"],
        )


class KillExecution(msgspec.Struct, frozen=True):
    """Stop an execution and what it runs.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        cascade: Kill its subflow executions too.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.KillExecution"
    FINGERPRINT: ClassVar[str] = "584cf2a7806ad655"

    command_id: str
    execution_id: str
    cascade: bool = True

    def to_avro(self) -> dict[str, Any]:
        return {
            "command_id": self.command_id,
            "execution_id": self.execution_id,
            "cascade": self.cascade,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> KillExecution:
        return cls(
            command_id=data["command_id"],
            execution_id=data["execution_id"],
            cascade=data["cascade"],
        )


class PauseExecution(msgspec.Struct, frozen=True):
    """Start nothing more of an execution until it is resumed; what runs may end.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.PauseExecution"
    FINGERPRINT: ClassVar[str] = "4663cd8423be3ad2"

    command_id: str
    execution_id: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "command_id": self.command_id,
            "execution_id": self.execution_id,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> PauseExecution:
        return cls(
            command_id=data["command_id"],
            execution_id=data["execution_id"],
        )


class ResumeExecution(msgspec.Struct, frozen=True):
    """Let a paused execution go on.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        outputs: Outputs of the task run: a JSON object with the typed values under `onResume`;
            empty: none.
        task_run_id: Which paused task run; none: the first.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.ResumeExecution"
    FINGERPRINT: ClassVar[str] = "7bb2047327e97ea5"

    command_id: str
    execution_id: str
    outputs: Payload
    task_run_id: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "command_id": self.command_id,
            "execution_id": self.execution_id,
            "outputs": self.outputs.to_avro(),
            "task_run_id": self.task_run_id,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> ResumeExecution:
        return cls(
            command_id=data["command_id"],
            execution_id=data["execution_id"],
            outputs=Payload.from_avro(data["outputs"]),
            task_run_id=data["task_run_id"],
        )


class RestartExecution(msgspec.Struct, frozen=True):
    """Run a finished execution again from its failed tasks.

    Attributes:
        command_id: Unique id; a repeated one is refused.
        execution_id: The execution.
        flow_revision: Revision from here on; none: as before.
        positions: Where its events lie in the log; needed when it has ended.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.RestartExecution"
    FINGERPRINT: ClassVar[str] = "81158f4c94e45d5b"

    command_id: str
    execution_id: str
    flow_revision: int | None = None
    positions: tuple[PositionRange, ...] = ()

    def to_avro(self) -> dict[str, Any]:
        return {
            "command_id": self.command_id,
            "execution_id": self.execution_id,
            "flow_revision": self.flow_revision,
            "positions": [x.to_avro() for x in self.positions],
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> RestartExecution:
        return cls(
            command_id=data["command_id"],
            execution_id=data["execution_id"],
            flow_revision=data["flow_revision"],
            positions=tuple(PositionRange.from_avro(x) for x in data["positions"]),
        )


class ChildEnded(msgspec.Struct, frozen=True):
    """An execution that a task run started has ended.

    Attributes:
        execution_id: The execution that waits.
        task_run_id: Its task run.
        child_id: The execution that has ended.
        state: Its state.
        outputs: Its outputs, a JSON object.
        error: What went wrong with the outputs that were asked for, or with its start.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.ChildEnded"
    FINGERPRINT: ClassVar[str] = "2c95ecab22267bbe"

    execution_id: str
    task_run_id: str
    child_id: str
    state: str
    outputs: Payload | None = None
    error: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "execution_id": self.execution_id,
            "task_run_id": self.task_run_id,
            "child_id": self.child_id,
            "state": self.state,
            "outputs": None if self.outputs is None else self.outputs.to_avro(),
            "error": self.error,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> ChildEnded:
        return cls(
            execution_id=data["execution_id"],
            task_run_id=data["task_run_id"],
            child_id=data["child_id"],
            state=data["state"],
            outputs=None if data["outputs"] is None else Payload.from_avro(data["outputs"]),
            error=data["error"],
        )


class SaveFlow(msgspec.Struct, frozen=True):
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
    """

    AVRO_NAME: ClassVar[str] = "tiercel.SaveFlow"
    FINGERPRINT: ClassVar[str] = "65337dd05808d008"

    command_id: str
    namespace: str
    flow_id: str
    source: str
    sent_us: int
    tenant: str = "main"
    deleted: bool = False
    expected_revision: int | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "command_id": self.command_id,
            "tenant": self.tenant,
            "namespace": self.namespace,
            "flow_id": self.flow_id,
            "source": self.source,
            "deleted": self.deleted,
            "expected_revision": self.expected_revision,
            "sent_us": self.sent_us,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> SaveFlow:
        return cls(
            command_id=data["command_id"],
            tenant=data["tenant"],
            namespace=data["namespace"],
            flow_id=data["flow_id"],
            source=data["source"],
            deleted=data["deleted"],
            expected_revision=data["expected_revision"],
            sent_us=data["sent_us"],
        )
