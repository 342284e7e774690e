"""What workers say of attempts, and what happens when they say nothing."""

from __future__ import annotations

from tiercel_engine.errors import InvalidExpression, TaskError
from tiercel_engine.execution.abort import abort
from tiercel_engine.execution.advance import advance, start_run
from tiercel_engine.execution.effects import apply_effects, read_effects, record_with
from tiercel_engine.execution.evaluations import record_answer, send_again
from tiercel_engine.execution.gathering import is_awaited
from tiercel_engine.execution.interruption import end_state, is_interrupted
from tiercel_engine.execution.kill import finish_kill
from tiercel_engine.execution.model import Evaluation, TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.session import end_inside, is_done, session_around
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.submit import resubmit
from tiercel_engine.execution.templates import with_opened
from tiercel_engine.execution.timers import LeaseLost, RetryDue, StartOverdue
from tiercel_engine.execution.world import World
from tiercel_engine.plugin.base import NO_EFFECTS, Effects
from tiercel_engine.plugin.flowables import WorkingDirectory
from tiercel_schemas import events as e
from tiercel_schemas.commands import EndAttempt, ReturnJob, StartAttempt
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.state import State, is_terminated

#: What a job was sent for: the newest attempt of a task run, or a template.
Leased = TaskRun | Evaluation


def start_attempt(step: Step, command: StartAttempt, world: World) -> None:
    """Give the lease to the first worker that asks for it; all others are told to stop."""
    if is_awaited(step.execution, command.task_run_id, command.attempt):
        step.stale = "nobody leases the storing of outputs"
        return
    run = step.execution.lease(command.task_run_id)
    if run is None or not _is_current(run, command.attempt, command.epoch):
        step.stale = "the attempt was superseded or has ended"
    elif run.worker_id is None and step.execution.state != State.KILLING:
        plan = plan_of(step, world)
        _start(step, plan, run, command.worker_id, command.started_us)
        if plan is not None and _is_session(step, run):
            advance(step, plan, world, (run.id, ""))
        return
    elif run.worker_id == command.worker_id:
        step.stale = "the worker holds the lease already"
        return
    else:
        step.stale = "another worker holds the lease"
    step.revoke(
        command.task_run_id, command.attempt, command.epoch, "SUPERSEDED", command.worker_id
    )


def _start(step: Step, plan: Plan | None, run: Leased, worker_id: str, started_us: int) -> None:
    if isinstance(run, Evaluation):
        step.emit(e.EvaluationStarted(run.id, run.epoch, worker_id, started_us))
        return
    task = plan.task(run.task_id) if plan is not None else None
    event = e.SessionStarted if isinstance(task, WorkingDirectory) else e.AttemptStarted
    step.emit(event(run.id, run.attempt, run.epoch, worker_id, started_us))


def _is_session(step: Step, run: Leased) -> bool:
    return isinstance(run, TaskRun) and step.execution.task_runs[run.id].is_session


def _is_current(run: Leased, attempt: int, epoch: int) -> bool:
    return run.is_leased and run.attempt == attempt and run.epoch == epoch


def end_attempt(step: Step, command: EndAttempt, world: World) -> None:
    """Take an attempt's result, from the holder of its lease alone."""
    run = step.execution.lease(command.task_run_id)
    if (
        run is None
        or not _is_current(run, command.attempt, command.epoch)
        or run.worker_id not in (None, command.worker_id)
    ):
        step.stale = "the attempt was superseded or has ended"
        return
    if isinstance(run, Evaluation):
        _answered(step, run, command, world)
        return
    plan = plan_of(step, world)
    if run.worker_id is None:
        # A task shorter than the worker's sending interval is started and ended by one command.
        _start(step, plan, run, command.worker_id, command.started_us)
    if _is_session(step, run):
        _end_session(step, plan, world, run, command)
        return
    effects, problem = _effects(step, plan, command)
    end = e.AttemptEnded(
        task_run_id=run.id,
        attempt=run.attempt,
        epoch=run.epoch,
        state=command.state if problem is None else State.FAILED,
        outputs=command.outputs,
        started_us=command.started_us,
        ended_us=command.ended_us,
        error=command.error if problem is None else problem,
        log_file=command.log_file,
    )
    record_with(step, plan, world, end, effects)
    go_on(step, plan, world, run)


def _end_session(
    step: Step, plan: Plan | None, world: World, run: TaskRun, command: EndAttempt
) -> None:
    """The folder of a WorkingDirectory is closed: its task run goes on without it."""
    is_wanted = plan is None or is_done(step.execution, plan, run)
    step.emit(
        e.SessionEnded(
            task_run_id=run.id,
            attempt=run.attempt,
            epoch=run.epoch,
            state=command.state if is_wanted else State.FAILED,
            ended_us=command.ended_us,
            outputs=command.outputs,
            error=command.error,
        )
    )
    if step.execution.state == State.KILLING:
        finish_kill(step)
    elif plan is None:
        abandon(step)
    else:
        end_inside(step, plan, run)
        advance(step, plan, world, (run.id, ""))


def _effects(step: Step, plan: Plan | None, command: EndAttempt) -> tuple[Effects, str | None]:
    """Do what the task asks of its execution; (what is left to do, why it cannot be done)."""
    if command.effects_json is None or plan is None or step.execution.state == State.KILLING:
        return NO_EFFECTS, None
    try:
        effects = read_effects(command.effects_json)
        apply_effects(step, plan, effects)
    except (InvalidExpression, TaskError) as error:
        step.log("ERROR", str(error), command.task_run_id)
        return NO_EFFECTS, str(error)
    return effects, None


def _answered(step: Step, evaluation: Evaluation, command: EndAttempt, world: World) -> None:
    """Whoever needed the template is asked again."""
    record_answer(step, evaluation, command)
    plan = plan_of(step, world)
    if plan is None:
        abandon(step)
    else:
        advance(step, plan, world, (evaluation.id, evaluation.asked))


def go_on(step: Step, plan: Plan | None, world: World, run: TaskRun) -> None:
    """After a task run has ended: finish the kill, or resolve what comes next."""
    x = step.execution
    if x.state == State.KILLING:
        finish_kill(step)
    elif plan is None:
        abandon(step)
    else:
        advance(step, plan, world, (run.parent_id, run.branch))


def abandon(step: Step) -> None:
    """End an execution whose flow's revision is gone."""
    abort(step, "Its flow's revision is gone: restart the execution with another one.")


def retry_due(step: Step, command: RetryDue, world: World) -> None:
    """Send the next attempt."""
    run = step.execution.task_runs.get(command.task_run_id)
    if (
        run is None
        or run.state != State.RETRYING
        or run.attempt != command.attempt
        or step.execution.is_held
    ):
        step.stale = "the task run does not wait for this retry any more"
        return
    plan = plan_of(step, world)
    task = plan.task(run.task_id) if plan is not None else None
    if plan is None or task is None:
        go_on(step, None, world, run)
        return
    asked = start_run(step, plan, world, run.id, task)
    if step.execution.state == State.RETRYING and step.execution.is_active:
        step.emit(e.ExecutionStateChanged(State.RUNNING))
    if asked:
        advance(step, plan, world, *asked)


def lease_lost(step: Step, command: LeaseLost, world: World) -> None:
    """The holder is gone: the same attempt goes out again under the next epoch."""
    run = step.execution.lease(command.task_run_id)
    if (
        run is None
        or not _is_current(run, command.attempt, command.epoch)
        or run.worker_id != command.worker_id
    ):
        step.stale = "the lease is not that worker's any more"
        return
    _send_again(step, run, world, f"worker {command.worker_id} was lost")


def start_overdue(step: Step, command: StartOverdue, world: World) -> None:
    """No worker started it in time: it goes out again under the next epoch."""
    run = step.execution.lease(command.task_run_id)
    if (
        run is None
        or not _is_current(run, command.attempt, command.epoch)
        or run.worker_id is not None
    ):
        step.stale = "the attempt has started or ended"
        return
    _send_again(step, run, world, "no worker started it in time")


def return_job(step: Step, command: ReturnJob, world: World) -> None:
    """A draining worker gives an attempt back."""
    run = step.execution.lease(command.task_run_id)
    if (
        run is None
        or not _is_current(run, command.attempt, command.epoch)
        or run.worker_id not in (None, command.worker_id)
    ):
        step.stale = "the attempt was superseded or has ended"
        return
    _send_again(step, run, world, f"worker {command.worker_id} gave it back: {command.reason}")


def _send_again(step: Step, run: Leased, world: World, reason: str) -> None:
    plan = plan_of(step, world)
    if isinstance(run, Evaluation):
        if plan is None:
            abandon(step)
        elif send_again(step, plan, run):
            advance(step, plan, world, (run.id, run.asked))
        return
    task = plan.task(run.task_id) if plan is not None else None
    if step.execution.state == State.KILLING:
        step.emit(e.TaskRunStateChanged(run.id, State.KILLED, reason=reason))
        finish_kill(step)
    elif plan is None or task is None:
        go_on(step, None, world, run)
    elif is_interrupted(step.execution, run):
        step.emit(e.TaskRunStateChanged(run.id, end_state(step.execution, run), reason=reason))
        go_on(step, plan, world, run)
    else:
        session = session_around(step.execution, plan, run)
        if session is not None:
            # The folder is gone with its holder: all that belongs into it runs anew.
            run, task = session, plan.task(session.task_id) or task
        step.log("WARN", f"Attempt {run.attempt} is sent to a worker again: {reason}.", run.id)
        resubmit(step, plan, world, run.id, task)
        if is_terminated(step.execution.task_runs[run.id].state):
            advance(step, plan, world, (run.parent_id, run.branch))


def plan_of(step: Step, world: World) -> Plan | None:
    """The flow's revision that the execution runs, prepared; None when it is gone."""
    x = step.execution
    known = step.known_plan
    if known is not None and known[0] == x.flow_revision:
        return known[1]
    plan = world.plan(FlowKey(x.tenant, x.namespace, x.flow_id), x.flow_revision)
    if plan is None:
        return None
    plan = with_opened(plan.of(x.loop), x, world)
    if plan is None:
        return None
    step.known_plan = (x.flow_revision, plan)
    return plan
