"""Subflow: an attempt that is an execution of another flow. Follows Kestra's.

The child's id derives from the task run and the attempt, so a repeated start is a no-op; its end
is one command back (`Step.emit` sends it). A retry, and a restart of the parent, start a new
child: restarting the old one would need its place in the log, which only a door can look up.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from tiercel_engine.errors import InvalidExpression, TaskError, UserError
from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.outcome import record_end
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.rendering import TemplateRendering, json_payload
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_engine.flow.base import Rule
from tiercel_engine.flow.inputs import resolve_inputs
from tiercel_engine.flow.model import Flow, read_labels
from tiercel_engine.flow.values import BadValue
from tiercel_engine.plugin.flowables import Subflow
from tiercel_engine.storage.sealing import is_sealed
from tiercel_schemas import events as e
from tiercel_schemas.commands import CreateExecution
from tiercel_schemas.common import Label, Payload, ReplyTo
from tiercel_schemas.ids import FlowKey, derive_id
from tiercel_schemas.state import State

#: Executions inside executions; deeper ones are taken for an endless recursion.
DEPTH_MAX = 100
#: Inputs of a child as JSON text; above it the attempt fails loudly.
INPUTS_BYTES_MAX = 512 * 1024
CORRELATION_LABEL = "system.correlationId"


def start_child(step: Step, plan: Plan, world: World, run_id: str, task: Subflow) -> None:
    """Start an execution of another flow as the run's next attempt; what is wrong fails it."""
    attempt = step.execution.task_runs[run_id].attempt + 1
    child_id = derive_id("subflow", step.execution.id, run_id, str(attempt))
    run = replace(step.execution.task_runs[run_id], attempt=attempt, child_id=child_id)
    rendering = TemplateRendering(
        step, plan, world, run_id, task, attempt=attempt, opens_secrets=False
    )
    command, problem = None, ""
    try:
        command = _command(step, world, run, task, rendering)
    except (UserError, InvalidExpression, TaskError, Rule) as error:
        problem = rendering.told(error)
    # Not before: a template that a worker must render first leaves everything as it was.
    step.emit(e.ChildStarted(run_id, attempt, child_id))
    if command is None:
        step.log("ERROR", problem, run_id)
        record_end(step, plan, world, ended(step, run_id, State.FAILED, None, problem))
        return
    step.commands.append((child_id, command))
    if not task.wait:
        outputs = {"executionId": child_id}
        record_end(step, plan, world, ended(step, run_id, State.SUCCESS, outputs, None))


def ended(
    step: Step, run_id: str, state: str, outputs: dict[str, Any] | None, error: str | None
) -> e.AttemptEnded:
    """The end of the run's newest attempt, now."""
    run = step.execution.task_runs[run_id]
    payload = None if outputs is None else Payload(json=msgspec.json.encode(outputs).decode())
    return e.AttemptEnded(
        task_run_id=run_id,
        attempt=run.attempt,
        epoch=1,
        state=state,
        outputs=payload,
        started_us=run.started_us,
        ended_us=step.at_us,
        error=error,
    )


def _command(
    step: Step, world: World, run: TaskRun, task: Subflow, rendering: TemplateRendering
) -> CreateExecution:
    """Raises TaskError, InvalidExpression, InvalidInput, Rule: what is wrong with the start."""
    x = step.execution
    assert run.child_id is not None
    if x.depth >= DEPTH_MAX:
        raise TaskError(f"Expected at most {DEPTH_MAX} executions inside each other.")
    key = FlowKey(x.tenant, rendering.text(task.namespace), rendering.text(task.flow_id))
    child = world.plan(key, task.revision)
    if child is None:
        raise TaskError(f"Unable to find flow '{key.namespace}.{key.flow_id}'.")
    if child.flow.disabled:
        raise TaskError(f"Cannot execute flow '{key.namespace}.{key.flow_id}': it is disabled.")
    trigger = {
        "id": task.id,
        "type": task.type,
        "variables": {
            "executionId": x.id,
            "namespace": x.namespace,
            "flowId": x.flow_id,
            "flowRevision": x.flow_revision,
        },
    }
    outputs = None if not task.outputs else msgspec.json.encode(task.outputs).decode()
    return CreateExecution(
        command_id=run.child_id,
        execution_id=run.child_id,
        tenant=x.tenant,
        namespace=key.namespace,
        flow_id=key.flow_id,
        flow_revision=child.flow.revision,
        inputs=_inputs(child.flow, rendering.value(task.inputs), rendering),
        labels=_labels(x, task, rendering),
        trigger=Payload(json=msgspec.json.encode(trigger).decode()),
        scheduled_us=_scheduled_us(task, rendering),
        created_us=step.at_us,
        deduplicate=True,
        trace_parent=x.trace_parent,
        reply_to=ReplyTo(x.id, run.id, outputs) if task.wait else None,
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


def _labels(x: Execution, task: Subflow, rendering: TemplateRendering) -> tuple[Label, ...]:
    """The parent's labels when they are inherited, those of the task, the correlation id."""
    own = read_labels(rendering.value(task.labels)) if task.labels else ()
    labels = [Label(key, value) for key, value in own]
    known = {label.key for label in labels}
    if rendering.truthy(task.inherit_labels):
        plain = [label for label in x.labels if not label.key.startswith("system.")]
        labels = [label for label in plain if label.key not in known] + labels
    correlation = [label for label in x.labels if label.key == CORRELATION_LABEL]
    return (*labels, *(correlation[:1] or [Label(CORRELATION_LABEL, x.id)]))


def _scheduled_us(task: Subflow, rendering: TemplateRendering) -> int | None:
    if task.schedule_date is None:
        return None
    text = rendering.text(task.schedule_date)
    try:
        date = datetime.fromisoformat(text)
    except ValueError as error:
        raise TaskError(f"Expected scheduleDate to be a date, but it was {text!r}.") from error
    date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return round(date.timestamp() * 1_000_000)
