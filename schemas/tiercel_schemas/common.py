"""Generated from avro/common.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class Label(msgspec.Struct, frozen=True):
    """A label of a flow or an execution.

    Attributes:
        key: Name; 'system.' is reserved.
        value: Text.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.Label"

    key: str
    value: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "value": self.value,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Label:
        return cls(
            key=data["key"],
            value=data["value"],
        )


class ClaimCheck(msgspec.Struct, frozen=True):
    """Where a value too large for the log lies in internal storage.

    Attributes:
        uri: kestra:///… address.
        size_bytes: Size of the JSON text.
        sha256: Hex digest of the JSON text.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.ClaimCheck"

    uri: str
    size_bytes: int
    sha256: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "uri": self.uri,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> ClaimCheck:
        return cls(
            uri=data["uri"],
            size_bytes=data["size_bytes"],
            sha256=data["sha256"],
        )


class Payload(msgspec.Struct, frozen=True):
    """A JSON value: its text, or a claim check when the text passes 64 KiB. Neither: no value.

    Attributes:
        json: JSON text.
        claim: Where the text lies.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.Payload"

    json: str | None = None
    claim: ClaimCheck | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "json": self.json,
            "claim": None if self.claim is None else self.claim.to_avro(),
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Payload:
        return cls(
            json=data["json"],
            claim=None if data["claim"] is None else ClaimCheck.from_avro(data["claim"]),
        )


class PositionRange(msgspec.Struct, frozen=True):
    """Offsets in the executions topic between which events of one execution lie.

    Attributes:
        first: First offset.
        last: Last offset, included.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.PositionRange"

    first: int
    last: int

    def to_avro(self) -> dict[str, Any]:
        return {
            "first": self.first,
            "last": self.last,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> PositionRange:
        return cls(
            first=data["first"],
            last=data["last"],
        )


class ReplyTo(msgspec.Struct, frozen=True):
    """Whom an execution tells of its end: the task run that started it.

    Attributes:
        execution_id: The execution of that task run.
        task_run_id: The task run.
        outputs_json: Templates of what it asks for when the flow has no outputs of its own, a
            JSON object.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.ReplyTo"

    execution_id: str
    task_run_id: str
    outputs_json: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "execution_id": self.execution_id,
            "task_run_id": self.task_run_id,
            "outputs_json": self.outputs_json,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> ReplyTo:
        return cls(
            execution_id=data["execution_id"],
            task_run_id=data["task_run_id"],
            outputs_json=data["outputs_json"],
        )
