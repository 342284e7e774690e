"""Subflow: an attempt that is an execution of another flow. Follows Kestra's.

The child's id derives from the task run and the attempt, so a repeated start is a no-op; its end
is one command back (`Step.emit` sends it). A retry starts a new child. A restart of the parent
restarts the failed child in its place, when the door that asked for it said where it lies in the
log (`RestartExecution.children`), and otherwise starts a new one.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from tiercel_engine.errors import InvalidExpression, TaskError, UserError
from tiercel_engine.execution.child_command import Child, create_command, restarts_failed, target
from tiercel_engine.execution.model import TaskRun
from tiercel_engine.execution.outcome import record_end
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.rendering import TemplateRendering
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_engine.flow.base import Rule
from tiercel_engine.plugin.child_flows import Subflow
from tiercel_schemas import events as e
from tiercel_schemas.commands import CreateExecution
from tiercel_schemas.common import ChildPositions, Payload, ReplyTo
from tiercel_schemas.ids import derive_id
from tiercel_schemas.state import State


def start_child(step: Step, plan: Plan, world: World, run_id: str, task: Subflow) -> None:
    """Start an execution of another flow as the run's next attempt; what is wrong fails it."""
    attempt = step.execution.task_runs[run_id].attempt + 1
    failed = _failed_child(step, plan, run_id, task)
    if failed is not None:
        step.emit(e.ChildStarted(run_id, attempt, failed.execution_id))
        step.restart_child(failed, ReplyTo(step.execution.id, run_id, _outputs_json(task)))
        return
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


def _failed_child(step: Step, plan: Plan, run_id: str, task: Subflow) -> ChildPositions | None:
    """The execution that the last attempt started, when it is to run again and can be found."""
    child = step.children.get(step.execution.task_runs[run_id].child_id or "")
    return child if task.wait and restarts_failed(plan, task) else None


def _outputs_json(task: Subflow) -> str | None:
    return None if not task.outputs else msgspec.json.encode(task.outputs).decode()


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
    flow = target(x, world, task, rendering).flow
    reply_to = ReplyTo(x.id, run.id, _outputs_json(task)) if task.wait else None
    return create_command(step, task, flow, rendering, Child(run.child_id, reply_to))
