"""Generated from avro/jobs.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tiercel_schemas.common import Payload


class TaskJob(msgspec.Struct, frozen=True, gc=False):
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
        dialect: Dialect of the flow, such as 1.3.
        session_id: Task run of the WorkingDirectory in whose folder it runs, or that it is;
            empty: none.
        session_epoch: That WorkingDirectory's lease.
    """

    FINGERPRINT: ClassVar[str] = "8d690f8050abd4c5"

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
    dialect: str = "1.3"
    session_id: str = ""
    session_epoch: int = 0


class SessionClose(msgspec.Struct, frozen=True, gc=False):
    """No more tasks for the folder of a WorkingDirectory: keep its files, then say how it ended.

    Attributes:
        execution_id: The execution.
        session_id: The WorkingDirectory's task run.
        session_epoch: Which lease.
    """

    FINGERPRINT: ClassVar[str] = "4a41fef4b85493f8"

    execution_id: str
    session_id: str
    session_epoch: int


class Revocation(msgspec.Struct, frozen=True, gc=False):
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

    FINGERPRINT: ClassVar[str] = "5ec1944a5273984c"

    execution_id: str
    task_run_id: str
    attempt: int
    epoch: int
    reason: str
    at_us: int
    worker_id: str | None = None


class WorkerHeartbeat(msgspec.Struct, frozen=True, gc=False):
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
