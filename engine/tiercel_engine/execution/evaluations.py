"""Templates that the executor must not render: a worker does, and what they gave is state.

Theory of operation. Where a decision needs such a template, rendering raises `NeedsWorker` before
anything was emitted. The template goes out as a job under a lease of its owner (a task run, or the
flow itself), like an attempt: it is started, lost, returned and sent again by the same code. The
answer is recorded in the state under its template; then whoever needed it is asked again, renders
again, and finds it. Answers are forgotten when their owner ends, tries again or goes round again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tiercel_engine.execution.model import Evaluation
from tiercel_engine.execution.plan import ROOT, Plan
from tiercel_engine.execution.rendering import SEALED, NeedsWorker
from tiercel_engine.execution.step import JOB_BYTES_MAX, Step
from tiercel_engine.execution.variables import flow_variables, job_variables, raw
from tiercel_engine.expression.analysis import analyse
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin import evaluation as job
from tiercel_schemas import events as e
from tiercel_schemas.commands import EndAttempt
from tiercel_schemas.common import Payload
from tiercel_schemas.jobs import TaskJob
from tiercel_schemas.state import State


def evaluate(step: Step, plan: Plan, run_id: str, asked: str, need: NeedsWorker) -> bool:
    """Send a template to a worker, unless one of this owner is out already.

    Args:
        run_id: the owner, `ROOT` for the flow.
        asked: what to ask the owner for once the answer is there.

    Returns:
        Whether to ask at once: the answer, an error, is there.
    """
    if run_id in step.execution.evaluations:
        return False
    return _send(
        step,
        plan,
        e.EvaluationSubmitted(
            task_run_id=run_id,
            epoch=step.execution.sequence + 1,
            template=msgspec.json.encode(need.template).decode(),
            typed=need.typed,
            asked=asked,
            scope=need.scope,
            opens_secrets=need.opens_secrets,
        ),
    )


def send_again(step: Step, plan: Plan, evaluation: Evaluation) -> bool:
    """Send it under the next epoch; whoever held it is told to stop. Returns as `evaluate`."""
    owner = evaluation.id or step.execution.id
    step.revoke(owner, evaluation.attempt, evaluation.epoch, "SUPERSEDED", None)
    return _send(
        step,
        plan,
        e.EvaluationSubmitted(
            task_run_id=evaluation.id,
            epoch=step.execution.sequence + 1,
            template=evaluation.template,
            typed=evaluation.typed,
            asked=evaluation.asked,
            scope=evaluation.scope,
            opens_secrets=evaluation.opens_secrets,
        ),
    )


def _send(step: Step, plan: Plan, event: e.EvaluationSubmitted) -> bool:
    step.emit(event)
    x = step.execution
    run = x.task_runs.get(event.task_run_id)
    task = plan.task(run.task_id) if run is not None else None
    variables = msgspec.json.encode(_variables(step, plan, event, task)).decode()
    task_json = _job_json(plan, task, event)
    if len(variables) + len(task_json) > JOB_BYTES_MAX:
        error = (
            f"Expected an expression and its variables to take at most {JOB_BYTES_MAX} bytes, but "
            f"they take {len(variables) + len(task_json)}: compute it in a task."
        )
        step.emit(e.EvaluationEnded(event.task_run_id, event.epoch, error=error))
        return True
    step.jobs.append(
        TaskJob(
            execution_id=x.id,
            # Workers tell jobs apart by it, so the flow itself needs an id of its own.
            task_run_id=event.task_run_id or x.id,
            attempt=job.ATTEMPT,
            epoch=event.epoch,
            tenant=x.tenant,
            namespace=x.namespace,
            flow_id=x.flow_id,
            flow_revision=x.flow_revision,
            task_id=task.id if task is not None else "",
            task_json=task_json,
            variables=Payload(json=variables),
            value=run.value if run is not None else None,
            submitted_us=step.at_us,
            trace_parent=x.trace_parent,
            dialect=plan.dialect.name,
        )
    )
    return False


def _variables(step: Step, plan: Plan, event: e.EvaluationSubmitted, task: Task | None) -> Any:
    if event.scope is not None:
        return raw(event.scope)
    x, refers = step.execution, analyse(msgspec.json.decode(event.template))
    if event.task_run_id == ROOT or task is None:
        return flow_variables(x, plan, refers)
    return job_variables(x, plan, task, x.task_runs[event.task_run_id], refers)


def _job_json(plan: Plan, task: Task | None, event: e.EvaluationSubmitted) -> str:
    properties = {
        "id": plan.flow.id if task is None else task.id,
        "type": job.Evaluation.TYPE,
        "template": msgspec.Raw(event.template.encode()),
        "typed": event.typed,
        "opens_secrets": event.opens_secrets,
        "timeout": job.TIMEOUT,
    }
    return msgspec.json.encode(properties).decode()


def record_answer(step: Step, evaluation: Evaluation, command: EndAttempt) -> None:
    """Take what a worker says of it."""
    if command.state != State.SUCCESS or command.outputs is None:
        error = command.error or "The expression could not be rendered on a worker."
        step.emit(e.EvaluationEnded(evaluation.id, evaluation.epoch, error=error))
        return
    answer = msgspec.json.decode(command.outputs.json or "{}", type=dict[str, msgspec.Raw])
    if "sealed" in answer:
        value = msgspec.json.encode({SEALED: answer["sealed"]}).decode()
    else:
        value = bytes(answer.get("value", b"null")).decode()
    step.emit(
        e.EvaluationEnded(
            task_run_id=evaluation.id,
            epoch=evaluation.epoch,
            value=Payload(json=value),
            secret=bytes(answer.get("secret", b"")) == b"true",
        )
    )


def drop_evaluations(step: Step) -> None:
    """Nobody waits for any of them any more: the execution is being ended."""
    for run_id in sorted(step.execution.evaluations):
        evaluation = step.execution.evaluations[run_id]
        owner = run_id or step.execution.id
        step.revoke(owner, evaluation.attempt, evaluation.epoch, "KILLED", None)
        step.emit(e.EvaluationEnded(run_id, evaluation.epoch))
