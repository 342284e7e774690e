"""Generated from avro/jobs.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from tiercel_schemas.common import Payload


class TaskJob(msgspec.Struct, frozen=True):
    """One attempt of one task for a worker.

    Attributes:
        execution_id: The execution.
        task_run_id: The task run.
        attempt: Which attempt, from 1.
        epoch: Which lease, from 1.
        namespace: Namespace.
        flow_id: Flow.
        flow_revision: Revision.
        task_id: The task.
        task_json: The task's properties as JSON, type included.
        variables: What its templates refer to; a member {'$claim': {uri,size_bytes,sha256}}
            stands for a value in internal storage.
        submitted_us: When.
        tenant: Tenant.
        value: Value of the nearest each.
        trace_parent: W3C trace context.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.TaskJob"
    FINGERPRINT: ClassVar[str] = "baa389a2859150fb"

    execution_id: str
    task_run_id: str
    attempt: int
    epoch: int
    namespace: str
    flow_id: str
    flow_revision: int
    task_id: str
    task_json: str
    variables: Payload
    submitted_us: int
    tenant: str = "main"
    value: str | None = None
    trace_parent: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "execution_id": self.execution_id,
            "task_run_id": self.task_run_id,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "tenant": self.tenant,
            "namespace": self.namespace,
            "flow_id": self.flow_id,
            "flow_revision": self.flow_revision,
            "task_id": self.task_id,
            "task_json": self.task_json,
            "variables": self.variables.to_avro(),
            "value": self.value,
            "submitted_us": self.submitted_us,
            "trace_parent": self.trace_parent,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> TaskJob:
        return cls(
            execution_id=data["execution_id"],
            task_run_id=data["task_run_id"],
            attempt=data["attempt"],
            epoch=data["epoch"],
            tenant=data["tenant"],
            namespace=data["namespace"],
            flow_id=data["flow_id"],
            flow_revision=data["flow_revision"],
            task_id=data["task_id"],
            task_json=data["task_json"],
            variables=Payload.from_avro(data["variables"]),
            value=data["value"],
            submitted_us=data["submitted_us"],
            trace_parent=data["trace_parent"],
        )


class Revocation(msgspec.Struct, frozen=True):
    """What a worker must drop or stop.

    Attributes:
        execution_id: The execution.
        task_run_id: The task run.
        attempt: Which attempt.
        epoch: This lease and older ones.
        reason: KILLED or SUPERSEDED.
        at_us: When.
        worker_id: Only this worker; none: whoever has it.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.Revocation"
    FINGERPRINT: ClassVar[str] = "5ec1944a5273984c"

    execution_id: str
    task_run_id: str
    attempt: int
    epoch: int
    reason: str
    at_us: int
    worker_id: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "execution_id": self.execution_id,
            "task_run_id": self.task_run_id,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "worker_id": self.worker_id,
            "reason": self.reason,
            "at_us": self.at_us,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Revocation:
        return cls(
            execution_id=data["execution_id"],
            task_run_id=data["task_run_id"],
            attempt=data["attempt"],
            epoch=data["epoch"],
            worker_id=data["worker_id"],
            reason=data["reason"],
            at_us=data["at_us"],
        )


class WorkerHeartbeat(msgspec.Struct, frozen=True):
    """A worker lives.

    Attributes:
        worker_id: Who.
        slots: How many tasks it runs at once.
        free_slots: How many more it can take now.
        state: RUNNING, DRAINING or STOPPED.
        started_us: When it started.
        sent_us: When it said this.
        group: Worker group; empty for the default.
        job_partitions: Partitions of the jobs topic that it reads.
        host: Machine.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.WorkerHeartbeat"
    FINGERPRINT: ClassVar[str] = "092a3dad47288104"

    worker_id: str
    slots: int
    free_slots: int
    state: str
    started_us: int
    sent_us: int
    group: str = ""
    job_partitions: tuple[int, ...] = ()
    host: str = ""

    def to_avro(self) -> dict[str, Any]:
        return {
            "worker_id": self.worker_id,
            "group": self.group,
            "slots": self.slots,
            "free_slots": self.free_slots,
            "job_partitions": self.job_partitions,
            "state": self.state,
            "host": self.host,
            "started_us": self.started_us,
            "sent_us": self.sent_us,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> WorkerHeartbeat:
        return cls(
            worker_id=data["worker_id"],
            group=data["group"],
            slots=data["slots"],
            free_slots=data["free_slots"],
            job_partitions=tuple(data["job_partitions"]),
            state=data["state"],
            host=data["host"],
            started_us=data["started_us"],
            sent_us=data["sent_us"],
        )
