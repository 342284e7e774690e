"""Generated from avro/triggers.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tiercel_schemas.common import Label


class TriggerMessage(msgspec.Struct, frozen=True, gc=False):
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
