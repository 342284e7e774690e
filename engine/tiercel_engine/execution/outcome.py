"""What the end of an attempt makes of its task run: retries, `allowFailure`, `warningOnRetry`."""

from __future__ import annotations

from msgspec.structs import replace

from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.retry import next_attempt_us
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_engine.flow.task import Task
from tiercel_schemas import events as e
from tiercel_schemas.state import State


def allowed(task: Task, state: str) -> str:
    """The final state after `allowFailure` and `allowWarning`, as in Kestra."""
    if state == State.FAILED and task.allow_failure:
        state = State.WARNING
    if state == State.WARNING and task.allow_warning:
        state = State.SUCCESS
    return state


def record_end(step: Step, plan: Plan | None, world: World, end: e.AttemptEnded) -> None:
    """Record the end of a run's newest attempt, and its next attempt if there is to be one.

    Args:
        end: as it was told; the state of the task run is worked out here.
    """
    run = step.execution.task_runs[end.task_run_id]
    retry_us, state = _judge(step.execution, run, end, plan, world)
    step.emit(replace(end, task_run_state=None if state == end.state else state))
    if retry_us is not None:
        _schedule_retry(step, run.id, retry_us)


def _judge(
    x: Execution, run: TaskRun, end: e.AttemptEnded, plan: Plan | None, world: World
) -> tuple[int | None, str]:
    """(when to try again or None, the task run's state)."""
    task = plan.task(run.task_id) if plan is not None else None
    policy = plan.retry(run.task_id) if plan is not None else None
    if task is None or x.state == State.KILLING:
        return None, end.state
    if end.state == State.FAILED and policy is not None:
        first_us = run.first_started_us or end.started_us
        due_us = next_attempt_us(policy, run.attempt, first_us, end.ended_us, world.random)
        if due_us is not None:
            return due_us, State.FAILED
    state = end.state
    # "warningOnRetry" counts only from the second failed attempt on, as in Kestra.
    if (
        state == State.SUCCESS
        and policy is not None
        and policy.warning_on_retry
        and run.attempt > 2
    ):
        state = State.WARNING
    return None, allowed(task, state)


def _schedule_retry(step: Step, run_id: str, due_us: int) -> None:
    x = step.emit(e.RetryScheduled(task_run_id=run_id, due_us=due_us))
    if x.state == State.RUNNING and not x.is_active:
        step.emit(e.ExecutionStateChanged(State.RETRYING))
