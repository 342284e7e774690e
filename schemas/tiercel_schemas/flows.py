"""Generated from avro/flows.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class FlowRevision(msgspec.Struct, frozen=True):
    """One revision of a flow. The flows topic keeps all of them.

    Attributes:
        namespace: Namespace.
        flow_id: Id.
        revision: From 1.
        source: YAML text as it was written.
        updated_us: When.
        tenant: Tenant.
        deleted: This revision deletes the flow.
        dialect: Which meaning conflicting constructs have: 0.21, 1.3 or 2.0.
        command_id: Command that made it.
    """

    AVRO_NAME: ClassVar[str] = "tiercel.FlowRevision"
    FINGERPRINT: ClassVar[str] = "1c7268c1f3814f35"

    namespace: str
    flow_id: str
    revision: int
    source: str
    updated_us: int
    tenant: str = "main"
    deleted: bool = False
    dialect: str = "1.3"
    command_id: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "namespace": self.namespace,
            "flow_id": self.flow_id,
            "revision": self.revision,
            "source": self.source,
            "deleted": self.deleted,
            "dialect": self.dialect,
            "updated_us": self.updated_us,
            "command_id": self.command_id,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> FlowRevision:
        return cls(
            tenant=data["tenant"],
            namespace=data["namespace"],
            flow_id=data["flow_id"],
            revision=data["revision"],
            source=data["source"],
            deleted=data["deleted"],
            dialect=data["dialect"],
            updated_us=data["updated_us"],
            command_id=data["command_id"],
        )
