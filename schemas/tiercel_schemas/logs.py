"""Generated from avro/logs.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class LogEntry(msgspec.Struct, frozen=True):
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

    AVRO_NAME: ClassVar[str] = "tiercel.LogEntry"
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

    def to_avro(self) -> dict[str, Any]:
        return {
            "namespace": self.namespace,
            "flow_id": self.flow_id,
            "execution_id": self.execution_id,
            "task_run_id": self.task_run_id,
            "task_id": self.task_id,
            "trigger_id": self.trigger_id,
            "attempt": self.attempt,
            "at_us": self.at_us,
            "level": self.level,
            "thread": self.thread,
            "message": self.message,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> LogEntry:
        return cls(
            namespace=data["namespace"],
            flow_id=data["flow_id"],
            execution_id=data["execution_id"],
            task_run_id=data["task_run_id"],
            task_id=data["task_id"],
            trigger_id=data["trigger_id"],
            attempt=data["attempt"],
            at_us=data["at_us"],
            level=data["level"],
            thread=data["thread"],
            message=data["message"],
        )


class MetricEntry(msgspec.Struct, frozen=True):
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

    AVRO_NAME: ClassVar[str] = "tiercel.MetricEntry"
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

    def to_avro(self) -> dict[str, Any]:
        return {
            "namespace": self.namespace,
            "flow_id": self.flow_id,
            "execution_id": self.execution_id,
            "task_run_id": self.task_run_id,
            "task_id": self.task_id,
            "type": self.type,
            "name": self.name,
            "value": self.value,
            "tags": self.tags,
            "at_us": self.at_us,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> MetricEntry:
        return cls(
            namespace=data["namespace"],
            flow_id=data["flow_id"],
            execution_id=data["execution_id"],
            task_run_id=data["task_run_id"],
            task_id=data["task_id"],
            type=data["type"],
            name=data["name"],
            value=data["value"],
            tags=data["tags"],
            at_us=data["at_us"],
        )
