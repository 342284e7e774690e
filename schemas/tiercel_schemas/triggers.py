"""Generated from avro/triggers.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from tiercel_schemas.common import Label


class TriggerMessage(msgspec.Struct, frozen=True):
    """The public inbound contract: a producer asks for an execution.

    Attributes:
        message_id: Unique per wish: however often it is delivered, one execution starts.
        namespace: Namespace.
        flow_id: Flow.
        tenant: Tenant.
        revision: Revision; none: the latest.
        inputs_json: JSON object of inputs.
        labels: Labels.
        body_json: What {{ trigger.body }} gives.
        headers: What {{ trigger.headers }} gives.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.TriggerMessage"
    FINGERPRINT: ClassVar[str] = "5b47af5ce50d2c49"

    message_id: str
    namespace: str
    flow_id: str
    tenant: str = "main"
    revision: int | None = None
    inputs_json: str | None = None
    labels: tuple[Label, ...] = ()
    body_json: str | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)

    def to_avro(self) -> dict[str, Any]:
        return {
            "message_id": self.message_id,
            "tenant": self.tenant,
            "namespace": self.namespace,
            "flow_id": self.flow_id,
            "revision": self.revision,
            "inputs_json": self.inputs_json,
            "labels": [x.to_avro() for x in self.labels],
            "body_json": self.body_json,
            "headers": self.headers,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> TriggerMessage:
        return cls(
            message_id=data["message_id"],
            tenant=data["tenant"],
            namespace=data["namespace"],
            flow_id=data["flow_id"],
            revision=data["revision"],
            inputs_json=data["inputs_json"],
            labels=tuple(Label.from_avro(x) for x in data["labels"]),
            body_json=data["body_json"],
            headers=data["headers"],
        )
