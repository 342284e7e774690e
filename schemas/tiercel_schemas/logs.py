"""Generated from avro/logs.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """One line of a task's or trigger's log.

    Attributes:
        namespace: Namespace.
        flow_id: Flow.
        at_us: When.
        level: TRACE, DEBUG, INFO, WARN or ERROR.
        message: The line; secrets are masked.
        execution_id: Execution.
        task_run_id: Task run.
        task_id: Task.
        trigger_id: Trigger.
        attempt: Which attempt, from 1.
        thread: Who wrote it.
    """

    FINGERPRINT: ClassVar[str] = "e57955d1f8cfa98c"

    namespace: str
    flow_id: str
    at_us: int
    level: str
    message: str
    execution_id: str | None = None
    task_run_id: str | None = None
    task_id: str | None = None
    trigger_id: str | None = None
    attempt: int = 1
    thread: str = ""


class MetricEntry(msgspec.Struct, frozen=True, gc=False):
    """One metric of a task run.

    Attributes:
        namespace: Namespace.
        flow_id: Flow.
        execution_id: Execution.
        task_run_id: Task run.
        task_id: Task.
        type: counter, timer or gauge.
        name: Name.
        value: Value; a timer's in milliseconds.
        at_us: When.
        tags: Tags.
    """

    FINGERPRINT: ClassVar[str] = "fb74e242230b3f11"

    namespace: str
    flow_id: str
    execution_id: str
    task_run_id: str
    task_id: str
    type: str
    name: str
    value: float
    at_us: int
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class LogsDeleted(msgspec.Struct, frozen=True, gc=False):
    """The earlier lines of this partition that match everything given here are not shown any more.

    Attributes:
        at_us: When it was asked for.
        namespace: Namespace.
        flow_id: Flow.
        execution_id: Execution.
        task_run_id: Task run.
        task_id: Task.
        trigger_id: Trigger.
        attempt: Attempt, from 0.
        min_level: This level and those above it.
        namespace_prefix: This namespace and those below it.
        levels: Lines of these levels alone; none given: of any.
        start_us: Written then or later.
        end_us: Written then or earlier.
    """

    FINGERPRINT: ClassVar[str] = "bca3627232ef20aa"

    at_us: int
    namespace: str | None = None
    flow_id: str | None = None
    execution_id: str | None = None
    task_run_id: str | None = None
    task_id: str | None = None
    trigger_id: str | None = None
    attempt: int | None = None
    min_level: str | None = None
    namespace_prefix: str | None = None
    levels: tuple[str, ...] = ()
    start_us: int | None = None
    end_us: int | None = None


class MetricsDeleted(msgspec.Struct, frozen=True, gc=False):
    """The earlier metrics of this partition that match everything here are not shown any more.

    Attributes:
        at_us: When it was asked for.
        namespace: Namespace.
        namespace_prefix: This namespace and those below it.
        flow_id: Flow.
        start_us: Measured then or later.
        end_us: Measured then or earlier.
    """

    FINGERPRINT: ClassVar[str] = "356663da1124883b"

    at_us: int
    namespace: str | None = None
    namespace_prefix: str | None = None
    flow_id: str | None = None
    start_us: int | None = None
    end_us: int | None = None
