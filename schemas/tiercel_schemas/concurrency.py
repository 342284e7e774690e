"""Generated from avro/concurrency.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class SlotChange(msgspec.Struct, frozen=True, gc=False):
    """What happened to the slots of a flow that limits its executions.

    Attributes:
        kind: LIMIT, GRANTED, QUEUED or RELEASED.
        execution_id: Whose slot; empty for a new limit.
        limit: Executions that may run at once; none: any number.
        behavior: What becomes of one too many: QUEUE, CANCEL or FAIL.
        flow_revision: The revision that says so.
    """

    kind: str
    execution_id: str = ""
    limit: int | None = None
    behavior: str = ""
    flow_revision: int = 0


class SlotBatch(msgspec.Struct, frozen=True, gc=False):
    """What one command did to the slots of one flow, on the executions topic.

    Attributes:
        namespace: Namespace of the flow.
        flow_id: Flow.
        first_seq: Number of the first change, from 1, without gaps.
        at_us: When the executor decided.
        cause: Name of the command.
        changes: In order.
        tenant: Tenant.
    """

    FINGERPRINT: ClassVar[str] = "40a26f8d3aa615d4"

    namespace: str
    flow_id: str
    first_seq: int
    at_us: int
    cause: str
    changes: tuple[SlotChange, ...]
    tenant: str = "main"


class RequestSlot(msgspec.Struct, frozen=True, gc=False):
    """An execution asks its flow for a slot. Keyed by tenant/namespace/id of the flow.

    Attributes:
        namespace: Namespace of the flow.
        flow_id: Flow.
        execution_id: Who asks.
        flow_revision: The flow's newest revision as the asker knows it ...
        tenant: Tenant.
        limit: ... what it says of executions at once ...
        behavior: ... and of one too many.
        forced: It runs already, whatever the limit says.
    """

    FINGERPRINT: ClassVar[str] = "94c359e315ea99b5"

    namespace: str
    flow_id: str
    execution_id: str
    flow_revision: int
    tenant: str = "main"
    limit: int | None = None
    behavior: str = "QUEUE"
    forced: bool = False


class ReleaseSlot(msgspec.Struct, frozen=True, gc=False):
    """An execution gives its slot, or its place in the queue, back. Keyed like RequestSlot.

    Attributes:
        namespace: Namespace of the flow.
        flow_id: Flow.
        execution_id: Whose.
        tenant: Tenant.
    """

    FINGERPRINT: ClassVar[str] = "a420d1b8e648f963"

    namespace: str
    flow_id: str
    execution_id: str
    tenant: str = "main"


class AnswerSlot(msgspec.Struct, frozen=True, gc=False):
    """The answer to RequestSlot. Keyed by the execution.

    Attributes:
        execution_id: Who asked.
        namespace: Namespace of the flow.
        flow_id: Flow.
        outcome: GRANTED, QUEUED, CANCELLED or FAILED.
        tenant: Tenant.
    """

    FINGERPRINT: ClassVar[str] = "6276aa07057ef90b"

    execution_id: str
    namespace: str
    flow_id: str
    outcome: str
    tenant: str = "main"
