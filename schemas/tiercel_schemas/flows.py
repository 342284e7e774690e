"""Generated from avro/flows.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class FlowRevision(msgspec.Struct, frozen=True, gc=False):
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
        purged: Its source was deleted: only that there was such a revision is known.
    """

    FINGERPRINT: ClassVar[str] = "fac3a4fdea581a9b"

    namespace: str
    flow_id: str
    revision: int
    source: str
    updated_us: int
    tenant: str = "main"
    deleted: bool = False
    dialect: str = "1.3"
    command_id: str | None = None
    purged: bool = False
