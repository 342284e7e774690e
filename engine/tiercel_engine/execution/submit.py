"""Beginning attempts: a job for a worker, or a child execution."""

from __future__ import annotations

import msgspec

from tiercel_engine.execution.model import TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.subflow import start_child
from tiercel_engine.execution.variables import job_variables
from tiercel_engine.execution.world import World
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.base import FlowableTask
from tiercel_engine.plugin.flowables import Subflow
from tiercel_schemas import events as e
from tiercel_schemas.common import Payload
from tiercel_schemas.jobs import TaskJob
from tiercel_schemas.state import State

#: A job's task and variables together; above it the task fails loudly instead of being sent.
JOB_BYTES_MAX = 900_000


def has_attempts(task: Task) -> bool:
    """Whether its runs are made of attempts; others are resolved from what is inside them."""
    return isinstance(task, Subflow) or not isinstance(task, FlowableTask)


def submit(step: Step, plan: Plan, world: World, run_id: str, task: Task) -> None:
    """Begin the run's next attempt: a child execution, or a job.

    What is wrong with a child, and a job that is too large, end the attempt at once.
    """
    if isinstance(task, Subflow):
        start_child(step, plan, world, run_id, task)
        return
    attempt = step.execution.task_runs[run_id].attempt + 1
    _send(step, plan, run_id, task, attempt, epoch=1)


def resubmit(step: Step, plan: Plan, run_id: str, task: Task) -> None:
    """Send the same attempt again under the next epoch; whoever held it is told to stop."""
    run = step.execution.task_runs[run_id]
    step.revoke(run_id, run.attempt, run.epoch, "SUPERSEDED", None)
    _send(step, plan, run_id, task, run.attempt, run.epoch + 1)


def _send(step: Step, plan: Plan, run_id: str, task: Task, attempt: int, epoch: int) -> None:
    before = step.execution.task_runs[run_id]
    step.emit(e.AttemptSubmitted(task_run_id=run_id, attempt=attempt, epoch=epoch))
    x = step.execution
    run = x.task_runs[run_id]
    variables = job_variables(x, plan, task, run, plan.references(task))
    text = msgspec.json.encode(variables).decode()
    task_json = plan.task_json(task)
    if len(text) + len(task_json) > JOB_BYTES_MAX:
        message = (
            f"Expected the variables of task {task.id} to take at most {JOB_BYTES_MAX} bytes, but "
            f"they take {len(text) + len(task_json)}. Pass large values as files of internal "
            "storage."
        )
        step.log("ERROR", message, run_id)
        _fail_unsent(step, run, before.ended_us or step.at_us, message)
        return
    step.jobs.append(
        TaskJob(
            execution_id=x.id,
            task_run_id=run_id,
            attempt=attempt,
            epoch=epoch,
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
            dialect=plan.flow.dialect.name,
        )
    )


def _fail_unsent(step: Step, run: TaskRun, started_us: int, message: str) -> None:
    step.emit(
        e.AttemptEnded(
            task_run_id=run.id,
            attempt=run.attempt,
            epoch=run.epoch,
            state=State.FAILED,
            started_us=started_us,
            ended_us=step.at_us,
            error=message,
        )
    )
