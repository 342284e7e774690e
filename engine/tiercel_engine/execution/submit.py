"""Beginning attempts: a job for a worker, a child execution, or the executor's own work."""

from __future__ import annotations

import msgspec

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.execution import fan_out, gathering
from tiercel_engine.execution.engine_tasks import is_quick, run_here
from tiercel_engine.execution.exit import request_exit
from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.outcome import record_end
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.rendering import NeedsWorker, TemplateRendering
from tiercel_engine.execution.session import session_around, take_inside_out
from tiercel_engine.execution.step import JOB_BYTES_MAX, Step
from tiercel_engine.execution.subflow import start_child
from tiercel_engine.execution.variables import JsonObject, job_variables
from tiercel_engine.execution.world import World
from tiercel_engine.flow.placement import CANCEL, FAIL, IGNORE, Placement, placement
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.base import EngineTask, FlowableTask
from tiercel_engine.plugin.child_flows import Items, Subflow
from tiercel_engine.plugin.flowables import Loop, WorkingDirectory
from tiercel_schemas import events as e
from tiercel_schemas.common import Payload
from tiercel_schemas.jobs import TaskJob
from tiercel_schemas.state import State

#: Tasks whose attempts are many executions.
FANS_OUT = (Items, Loop)


def has_attempts(task: Task) -> bool:
    """Whether its runs are made of attempts; others are resolved from what is inside them."""
    kinds = (Subflow, WorkingDirectory, *FANS_OUT)
    return isinstance(task, kinds) or not isinstance(task, FlowableTask)


def submit(
    step: Step, plan: Plan, world: World, run_id: str, task: Task, anew: bool = True
) -> None:
    """Begin the run's next attempt: a child execution, a job, or the executor's own work.

    What is wrong with a child, a job that is too large, and what the executor runs itself, end at
    once. `anew`: a WorkingDirectory forgets what has run inside it.
    """
    if isinstance(task, Subflow):
        start_child(step, plan, world, run_id, task)
        return
    if isinstance(task, FANS_OUT):
        fan_out.start(step, plan, world, run_id, task)
        return
    if anew and isinstance(task, WorkingDirectory):
        take_inside_out(step, plan, step.execution.task_runs[run_id])
    attempt = step.execution.task_runs[run_id].attempt + 1
    step.emit(e.AttemptSubmitted(task_run_id=run_id, attempt=attempt, epoch=1))
    variables = _variables(step, plan, run_id, task)
    text = msgspec.json.encode(variables).decode()
    if isinstance(task, EngineTask) and is_quick(plan.references(task), text):
        run_here(step, plan, world, run_id, task, variables)
    else:
        _send(step, plan, world, run_id, task, text)


def resubmit(step: Step, plan: Plan, world: World, run_id: str, task: Task) -> None:
    """Send the same attempt again under the next epoch; whoever held it is told to stop."""
    run = step.execution.task_runs[run_id]
    step.revoke(run_id, run.attempt, run.epoch, "SUPERSEDED", None)
    if isinstance(task, WorkingDirectory):
        take_inside_out(step, plan, run)
    step.emit(e.AttemptSubmitted(task_run_id=run_id, attempt=run.attempt, epoch=run.epoch + 1))
    variables = _variables(step, plan, run_id, task)
    text = msgspec.json.encode(variables).decode()
    _send(step, plan, world, run_id, task, text, anew=False)


def _variables(step: Step, plan: Plan, run_id: str, task: Task) -> JsonObject:
    x = step.execution
    run = x.task_runs[run_id]
    variables = job_variables(x, plan, task, run, plan.references(task))
    return variables | gathering.variables_of(x, plan, run, task)


def group_of(execution: Execution, plan: Plan, world: World, run: TaskRun) -> str:
    """The worker group of a task run; "" when it has none, or no name of one."""
    task = plan.task(run.task_id)
    try:
        return "" if task is None else _placement(Step(execution, 0), plan, world, run.id, task)[0]
    except ValueError:
        return ""


def _placement(step: Step, plan: Plan, world: World, run_id: str, task: Task) -> Placement:
    """Raises ValueError: the group has no name, or one that the executor cannot render."""
    rendering = TemplateRendering(step, plan, world, run_id, task)
    try:
        return placement(plan.flow, task, rendering.text)
    except InvalidExpression as error:
        raise ValueError(rendering.told(error)) from None
    except NeedsWorker as need:
        raise ValueError(
            "Expected a worker group that follows from the execution alone, but it is"
            f" {need.template!r}, which a worker would have to render: render it in a task before."
        ) from None


def _placed(
    step: Step, plan: Plan, world: World, run_id: str, task: Task, anew: bool
) -> str | None:
    """The group whose workers get the job; None when it cannot be sent, and its run has ended.

    `anew`: it was not sent before; what was goes where it went.
    """
    try:
        group, fallback = _placement(step, plan, world, run_id, task)
        problem = ""
    except ValueError as error:
        group, fallback, problem = "", FAIL, str(error)
    if group and anew and not world.has_workers(group):
        if fallback in (FAIL, CANCEL):
            problem = f"Expected a worker of the group {group}, but none lives. Start one with"
            problem += f" `--worker-group {group}`."
        elif fallback == IGNORE:
            return ""
        else:
            step.log("WARN", f"No worker of the group {group} lives: the task waits.", run_id)
    if not problem:
        return group
    run = step.execution.task_runs[run_id]
    step.log("ERROR", problem, run_id)
    if fallback == CANCEL and not step.execution.is_closing:
        request_exit(step, State.CANCELLED)
    else:
        _fail_unsent(step, plan, world, run, problem)
    return None


def _send(
    step: Step, plan: Plan, world: World, run_id: str, task: Task, text: str, anew: bool = True
) -> None:
    """Send the newest attempt to a worker. `text`: its variables as JSON."""
    x = step.execution
    run = x.task_runs[run_id]
    task_json = plan.task_json(task)
    if len(text) + len(task_json) > JOB_BYTES_MAX:
        message = (
            f"Expected the variables of task {task.id} to take at most {JOB_BYTES_MAX} bytes, but "
            f"they take {len(text) + len(task_json)}. Pass large values as files of internal "
            "storage."
        )
        step.log("ERROR", message, run_id)
        _fail_unsent(step, plan, world, run, message)
        return
    group = _placed(step, plan, world, run_id, task, anew)
    if group is None:
        return
    session = run if isinstance(task, WorkingDirectory) else session_around(x, plan, run)
    job = TaskJob(
        execution_id=x.id,
        task_run_id=run_id,
        attempt=run.attempt,
        epoch=run.epoch,
        tenant=x.tenant,
        namespace=x.namespace,
        flow_id=x.flow_id,
        flow_revision=x.flow_revision,
        task_id=task.id,
        task_json=task_json,
        variables=Payload(json=text),
        value=run.value,
        submitted_us=step.at_us,
        trace_parent=x.trace_parent,
        dialect=plan.dialect.name,
        session_id="" if session is None else session.id,
        session_epoch=0 if session is None else session.epoch,
    )
    if session is None or session.id == run.id:
        step.jobs.append(job)
        if group:
            step.groups[run_id] = group
        return
    assert session.worker_id is not None, f"Expected a worker to hold {session.id}, but none does."
    step.inbox.append((session.worker_id, job))


def _fail_unsent(step: Step, plan: Plan, world: World, run: TaskRun, message: str) -> None:
    end = e.AttemptEnded(
        task_run_id=run.id,
        attempt=run.attempt,
        epoch=run.epoch,
        state=State.FAILED,
        started_us=run.ended_us or step.at_us,
        ended_us=step.at_us,
        error=message,
    )
    record_end(step, plan, world, end)
