"""What the end of an attempt makes of its task run: retries, `allowFailure`, `warningOnRetry`.

A retry is another attempt of the same task run, or, with CREATE_NEW_EXECUTION, another execution:
then this one ends RETRIED at once, and the command that makes the next one leaves with it.
"""

from __future__ import annotations

from msgspec.structs import replace

from tiercel_engine.execution.interruption import end_state, is_interrupted
from tiercel_engine.execution.kill import stop_all
from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.retry import next_attempt_us
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_engine.flow.task import Task
from tiercel_schemas import events as e
from tiercel_schemas.commands import CreateExecution
from tiercel_schemas.ids import derive_id
from tiercel_schemas.state import State

NEW_EXECUTION = "CREATE_NEW_EXECUTION"


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
    # As in Kestra, the history of a task that an execution ran shows its failure, too.
    is_lenient = run.child_id is not None and (end.state, state) == (State.FAILED, State.WARNING)
    passed = State.FAILED if is_lenient else ""
    step.emit(replace(end, task_run_state=None if state == end.state else state, passed=passed))
    if retry_us is None:
        return
    policy = None if plan is None else plan.retry(run.task_id)
    if policy is not None and policy.behavior == NEW_EXECUTION:
        replace_execution(step, run.id, retry_us)
    else:
        _schedule_retry(step, run.id, retry_us)


def _judge(
    x: Execution, run: TaskRun, end: e.AttemptEnded, plan: Plan | None, world: World
) -> tuple[int | None, str]:
    """(when to try again or None, the task run's state)."""
    task = plan.task(run.task_id) if plan is not None else None
    policy = plan.retry(run.task_id) if plan is not None else None
    if is_interrupted(x, run) and end.state not in (State.SUCCESS, State.WARNING):
        return None, end_state(x, run)
    if task is None or x.state == State.KILLING or x.exit:
        return None, end.state
    if end.state == State.FAILED and policy is not None:
        attempts, first_us = run.attempt, run.first_started_us or end.started_us
        if policy.behavior == NEW_EXECUTION:
            attempts, first_us = x.attempt_number, x.original_created_us or x.created_us
        due_us = next_attempt_us(policy, attempts, first_us, end.ended_us, world.random)
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


def replace_execution(step: Step, run_id: str, due_us: int) -> None:
    """End the execution RETRIED; another one with the same inputs starts when it is due."""
    x = step.execution
    while run_id:
        step.emit(e.TaskRunStateChanged(run_id, State.RETRIED))
        run_id = x.task_runs[run_id].parent_id
    stop_all(step)
    x = step.execution
    successor_id = derive_id("retry", x.id)
    step.successor_id = successor_id
    step.commands.append(
        (
            successor_id,
            CreateExecution(
                command_id=successor_id,
                execution_id=successor_id,
                tenant=x.tenant,
                namespace=x.namespace,
                flow_id=x.flow_id,
                flow_revision=x.flow_revision,
                inputs=x.inputs,
                labels=x.labels,
                trigger=x.trigger,
                parent_id=x.id,
                original_id=x.original_id,
                scheduled_us=due_us,
                kind=x.kind,
                created_us=step.at_us,
                deduplicate=True,
                trace_parent=x.trace_parent,
                reply_to=x.reply_to,
                depth=x.depth,
                attempt_number=x.attempt_number + 1,
                original_created_us=x.original_created_us or x.created_us,
                copied="INPUTS",
                loop=x.loop,
            ),
        )
    )
    step.emit(e.ExecutionStateChanged(State.RETRIED, passed=State.FAILED))


def _schedule_retry(step: Step, run_id: str, due_us: int) -> None:
    x = step.emit(e.RetryScheduled(task_run_id=run_id, due_us=due_us))
    if x.state == State.RUNNING and not x.is_active:
        # Kestra takes a lone task's failure for the execution's, before it sees the retry.
        passed = "" if x.task_runs[run_id].parent_id else State.FAILED
        step.emit(e.ExecutionStateChanged(State.RETRYING, passed=passed))
