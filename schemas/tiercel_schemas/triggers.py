"""Generated from avro/triggers.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tiercel_schemas.common import Label, Payload


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


class Backfill(msgspec.Struct, frozen=True, gc=False):
    """Dates of the past that a schedule goes through.

    Attributes:
        id: Unique; with the date it names an execution.
        start_us: First date, or later.
        end_us: Last date, or earlier.
        current_us: Next date; none: no more.
        paused: Goes on when somebody says so.
        inputs_json: JSON object of inputs, over those of the trigger.
        labels: Labels of its executions.
    """

    id: str
    start_us: int
    end_us: int
    current_us: int | None = None
    paused: bool = False
    inputs_json: str | None = None
    labels: tuple[Label, ...] = ()


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """An execution of another flow that a trigger's window has seen.

    Attributes:
        condition: Which of the trigger's conditions it meets.
        execution_id: The execution.
        namespace: Its namespace.
        flow_id: Its flow.
        state: Its state.
        at_us: When it came to this state.
        outputs: Its outputs, a JSON object.
    """

    condition: str
    execution_id: str
    namespace: str
    flow_id: str
    state: str
    at_us: int
    outputs: Payload | None = None


class TriggerState(msgspec.Struct, frozen=True, gc=False):
    """Where a trigger stands. Keyed by tenant/namespace/flow/trigger.

    Attributes:
        tenant: Tenant.
        namespace: Namespace.
        flow_id: Flow.
        trigger_id: Trigger.
        kind: SCHEDULE, POLLING, REALTIME, FLOW, or NONE for a flow without any of them.
        flow_revision: The flow's revision that it follows.
        updated_us: When this record was written.
        definition: Digest of what its dates depend on; another one makes them anew.
        disabled: Somebody disabled it.
        date_us: The last date for which it started an execution.
        next_us: When it is due next; none: never.
        evaluated_us: When it last was looked at because it was due.
        execution_id: The execution that locks it until it ends.
        last_execution_id: The execution that it started last.
        backfill: Dates of the past that it goes through.
        arrivals: What has come within the window of its conditions.
        epoch: Which evaluation by a worker is out, or came last.
        worker_id: Who evaluates it.
        cursor: How far it has looked, in words of its own: JSON text.
        command_id: The command that this record answers.
        refusal: Why that command was refused; the rest is as it was.
        refusal_kind: CONFLICT or INVALID.
    """

    FINGERPRINT: ClassVar[str] = "dabae5959e6d6fe0"

    tenant: str
    namespace: str
    flow_id: str
    trigger_id: str
    kind: str
    flow_revision: int
    updated_us: int
    definition: str = ""
    disabled: bool = False
    date_us: int | None = None
    next_us: int | None = None
    evaluated_us: int | None = None
    execution_id: str | None = None
    last_execution_id: str | None = None
    backfill: Backfill | None = None
    arrivals: tuple[Arrival, ...] = ()
    epoch: int = 0
    worker_id: str | None = None
    cursor: str | None = None
    command_id: str | None = None
    refusal: str | None = None
    refusal_kind: str = "INVALID"


class FlowChanged(msgspec.Struct, frozen=True, gc=False):
    """A flow has a new revision. Written with the revision.

    Attributes:
        tenant: Tenant.
        namespace: Namespace.
        flow_id: Flow.
        revision: The revision.
    """

    FINGERPRINT: ClassVar[str] = "edc4762294668e4d"

    tenant: str
    namespace: str
    flow_id: str
    revision: int


class TriggerExecutionEnded(msgspec.Struct, frozen=True, gc=False):
    """An execution that a trigger started has ended.

    Attributes:
        tenant: Tenant.
        namespace: Namespace.
        flow_id: Flow.
        trigger_id: Trigger.
        execution_id: The execution.
        state: Its state.
    """

    FINGERPRINT: ClassVar[str] = "7cf3e9183bca348e"

    tenant: str
    namespace: str
    flow_id: str
    trigger_id: str
    execution_id: str
    state: str


class ExecutionChanged(msgspec.Struct, frozen=True, gc=False):
    """An execution came to a state that triggers of the flow may wait for.

    Attributes:
        tenant: Tenant.
        namespace: Namespace.
        flow_id: Flow.
        execution_id: The execution.
        source_namespace: Its namespace.
        source_flow_id: Its flow.
        source_revision: Its flow's revision.
        state: The state.
        sequence: Number of the event that says so.
        at_us: When.
        started_us: When it was created.
        labels: Its labels.
        inputs: Its inputs, a JSON object.
        outputs: Its outputs, a JSON object.
        trigger: What started it.
        task_outputs: Outputs of its tasks that the triggers' templates refer to, by task.
        attempt: How often it was run.
        retried: States of its task runs that needed several attempts; told when asked for.
        depth: How many executions led to it, each starting the next.
        first_failed_task_id: The task whose run was made first of those that are FAILED.
        last_task_id: The task whose run was made last.
    """

    FINGERPRINT: ClassVar[str] = "a6efbeafd90980e4"

    tenant: str
    namespace: str
    flow_id: str
    execution_id: str
    source_namespace: str
    source_flow_id: str
    source_revision: int
    state: str
    sequence: int
    at_us: int
    started_us: int
    labels: tuple[Label, ...] = ()
    inputs: Payload | None = None
    outputs: Payload | None = None
    trigger: Payload | None = None
    task_outputs: Payload | None = None
    attempt: int = 1
    retried: tuple[str, ...] = ()
    depth: int = 0
    first_failed_task_id: str | None = None
    last_task_id: str | None = None


class SetTriggerDisabled(msgspec.Struct, frozen=True, gc=False):
    """Enable or disable a trigger.

    Attributes:
        command_id: Unique id; the state that follows carries it.
        tenant: Tenant.
        namespace: Namespace.
        flow_id: Flow.
        trigger_id: Trigger.
        disabled: Disable it.
    """

    FINGERPRINT: ClassVar[str] = "059830e4e2df45fb"

    command_id: str
    tenant: str
    namespace: str
    flow_id: str
    trigger_id: str
    disabled: bool


class UnlockTrigger(msgspec.Struct, frozen=True, gc=False):
    """Forget the execution that locks a trigger.

    Attributes:
        command_id: Unique id; the state that follows carries it.
        tenant: Tenant.
        namespace: Namespace.
        flow_id: Flow.
        trigger_id: Trigger.
    """

    FINGERPRINT: ClassVar[str] = "decb0b971fb8a2f3"

    command_id: str
    tenant: str
    namespace: str
    flow_id: str
    trigger_id: str


class RestartTrigger(msgspec.Struct, frozen=True, gc=False):
    """Evaluate a trigger again from now on.

    Attributes:
        command_id: Unique id; the state that follows carries it.
        tenant: Tenant.
        namespace: Namespace.
        flow_id: Flow.
        trigger_id: Trigger.
    """

    FINGERPRINT: ClassVar[str] = "39ca9ece0573f892"

    command_id: str
    tenant: str
    namespace: str
    flow_id: str
    trigger_id: str


class DeleteTrigger(msgspec.Struct, frozen=True, gc=False):
    """Drop the state of a trigger that its flow no longer has.

    Attributes:
        command_id: Unique id; the state that follows carries it.
        tenant: Tenant.
        namespace: Namespace.
        flow_id: Flow.
        trigger_id: Trigger.
    """

    FINGERPRINT: ClassVar[str] = "31a1735796156044"

    command_id: str
    tenant: str
    namespace: str
    flow_id: str
    trigger_id: str


class StartBackfill(msgspec.Struct, frozen=True, gc=False):
    """Let a schedule go through dates of the past.

    Attributes:
        command_id: Unique id; the state that follows carries it.
        tenant: Tenant.
        namespace: Namespace.
        flow_id: Flow.
        trigger_id: Trigger.
        start_us: First date, or later.
        end_us: Last date, or earlier; none: now.
        inputs_json: JSON object of inputs, over those of the trigger.
        labels: Labels of its executions.
    """

    FINGERPRINT: ClassVar[str] = "6c05a1a0df579cfc"

    command_id: str
    tenant: str
    namespace: str
    flow_id: str
    trigger_id: str
    start_us: int
    end_us: int | None = None
    inputs_json: str | None = None
    labels: tuple[Label, ...] = ()


class SetBackfillPaused(msgspec.Struct, frozen=True, gc=False):
    """Pause a backfill, or let it go on.

    Attributes:
        command_id: Unique id; the state that follows carries it.
        tenant: Tenant.
        namespace: Namespace.
        flow_id: Flow.
        trigger_id: Trigger.
        paused: Pause it.
    """

    FINGERPRINT: ClassVar[str] = "5a17b1b28fef457f"

    command_id: str
    tenant: str
    namespace: str
    flow_id: str
    trigger_id: str
    paused: bool


class EndBackfill(msgspec.Struct, frozen=True, gc=False):
    """Drop a backfill.

    Attributes:
        command_id: Unique id; the state that follows carries it.
        tenant: Tenant.
        namespace: Namespace.
        flow_id: Flow.
        trigger_id: Trigger.
    """

    FINGERPRINT: ClassVar[str] = "b9ea288ca94695f8"

    command_id: str
    tenant: str
    namespace: str
    flow_id: str
    trigger_id: str


class ExecutionEvent(msgspec.Struct, frozen=True, gc=False):
    """Public: an execution has come to a state.

    Attributes:
        execution_id: The execution; key of the record.
        sequence: Number of the event within the execution; grows.
        tenant: Tenant.
        namespace: Namespace.
        flow_id: Flow.
        flow_revision: Revision of the flow.
        state: Its new state.
        at_us: When, in microseconds since the epoch.
        previous_state: The state before; none: it was created.
        labels: Its labels.
        version: Version of this contract.
    """

    FINGERPRINT: ClassVar[str] = "a43d026845f4a13e"

    execution_id: str
    sequence: int
    tenant: str
    namespace: str
    flow_id: str
    flow_revision: int
    state: str
    at_us: int
    previous_state: str | None = None
    labels: tuple[Label, ...] = ()
    version: int = 1
