"""The command that starts an execution of another flow, for whatever task starts it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from tiercel_engine.errors import TaskError
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.rendering import TemplateRendering, json_payload
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_engine.flow.inputs import resolve_inputs
from tiercel_engine.flow.model import Flow, read_labels
from tiercel_engine.flow.values import BadValue
from tiercel_engine.plugin.child_flows import ChildFlow
from tiercel_engine.storage.sealing import is_sealed
from tiercel_schemas.commands import CreateExecution
from tiercel_schemas.common import Label, Payload, ReplyTo
from tiercel_schemas.ids import FlowKey

#: Executions inside executions; deeper ones are taken for an endless recursion.
DEPTH_MAX = 100
#: Inputs of a child as JSON text; above it its start fails loudly.
INPUTS_BYTES_MAX = 512 * 1024
CORRELATION_LABEL = "system.correlationId"


class Child(NamedTuple):
    """Which execution is started, and whom it tells of its end.

    Attributes:
        id: derived from what starts it.
        trigger: what its `trigger` has beside the parent.
    """

    id: str
    reply_to: ReplyTo | None
    trigger: Mapping[str, Any] = {}


def restarts_failed(plan: Plan, task: ChildFlow) -> bool:
    """Whether a restart runs what failed again in its place, and does not start another."""
    if task.restart_behavior is None:
        return plan.dialect.restarts_failed_child
    return task.restart_behavior == "RETRY_FAILED"


def target(x: Execution, world: World, task: ChildFlow, rendering: TemplateRendering) -> Plan:
    """The flow that the task starts.

    Raises:
        TaskError: there is none, it is disabled, or too many executions are around this one.
        InvalidExpression: its name cannot be rendered.
    """
    if x.depth >= DEPTH_MAX:
        raise TaskError(f"Expected at most {DEPTH_MAX} executions inside each other.")
    key = FlowKey(x.tenant, rendering.text(task.namespace), rendering.text(task.flow_id))
    child = world.plan(key, task.revision)
    if child is None:
        reason = "" if task.revision is None else f" {world.missing(key, task.revision)}"
        raise TaskError(f"Unable to find flow '{key.namespace}.{key.flow_id}'.{reason}")
    if child.flow.disabled:
        raise TaskError(f"Cannot execute flow '{key.namespace}.{key.flow_id}': it is disabled.")
    return child


def create_command(
    step: Step, task: ChildFlow, flow: Flow, rendering: TemplateRendering, child: Child
) -> CreateExecution:
    """Raises TaskError, InvalidExpression, InvalidInput, Rule: what is wrong with the start."""
    x = step.execution
    trigger = {
        "id": task.id,
        "type": task.type,
        "variables": {
            "executionId": x.id,
            "namespace": x.namespace,
            "flowId": x.flow_id,
            "flowRevision": x.flow_revision,
            **child.trigger,
        },
    }
    return CreateExecution(
        command_id=child.id,
        execution_id=child.id,
        tenant=x.tenant,
        namespace=flow.namespace,
        flow_id=flow.id,
        flow_revision=flow.revision,
        inputs=_inputs(flow, rendering.value(task.inputs), rendering),
        labels=_labels(x, task, rendering),
        trigger=Payload(json=msgspec.json.encode(trigger).decode()),
        scheduled_us=_scheduled_us(task, rendering),
        created_us=step.at_us,
        deduplicate=True,
        trace_parent=x.trace_parent,
        reply_to=child.reply_to,
        depth=x.depth + 1,
    )


def _inputs(flow: Flow, given: Mapping[str, Any], rendering: TemplateRendering) -> Payload:
    variables = {"flow": {"id": flow.id, "namespace": flow.namespace}, "vars": flow.variables}

    def render(value: Any, inputs: Mapping[str, Any]) -> Any:
        return rendering.value_in(value, {**variables, **inputs})

    payload = json_payload(resolve_inputs(flow, given, render=render, encrypt=_sealed))
    text = payload.json or ""
    if len(text) > INPUTS_BYTES_MAX:
        raise TaskError(
            f"Expected the inputs of {flow.namespace}.{flow.id} to take at most "
            f"{INPUTS_BYTES_MAX} bytes, but they take {len(text)}. Pass large values as files."
        )
    return payload


def _sealed(text: str) -> Any:
    """A secret that was sealed already, as it is: the executor has no key.

    Raises:
        BadValue: it is plain text.
    """
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = None
    if not is_sealed(value):
        raise BadValue("a subflow takes a SECRET from an input of that type only")
    return value


def _labels(x: Execution, task: ChildFlow, rendering: TemplateRendering) -> tuple[Label, ...]:
    """The parent's labels when they are inherited, those of the task, the correlation id."""
    own = read_labels(rendering.value(task.labels)) if task.labels else ()
    labels = [Label(key, value) for key, value in own]
    known = {label.key for label in labels}
    if rendering.truthy(task.inherit_labels):
        plain = [label for label in x.labels if not label.key.startswith("system.")]
        labels = [label for label in plain if label.key not in known] + labels
    correlation = [label for label in x.labels if label.key == CORRELATION_LABEL]
    return (*labels, *(correlation[:1] or [Label(CORRELATION_LABEL, x.id)]))


def _scheduled_us(task: ChildFlow, rendering: TemplateRendering) -> int | None:
    if task.schedule_date is None:
        return None
    text = rendering.text(task.schedule_date)
    try:
        date = datetime.fromisoformat(text)
    except ValueError as error:
        raise TaskError(f"Expected scheduleDate to be a date, but it was {text!r}.") from error
    date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return round(date.timestamp() * 1_000_000)
