"""How an execution ends, and what runs after its end: listeners and `afterExecution`.

Theory of operation. The lists that will follow are recorded before the final state is, so that an
execution is over (`Execution.is_over`) either with its final state or, if anything follows, with
`AfterExecutionEnded`. Only then is whoever waits for it told, and only then does it leave memory.
What follows sees the final state and cannot change it; a failed task does not stop the next one.
After a kill nothing follows.
"""

from __future__ import annotations

from tiercel_engine.execution.evaluations import drop_evaluations
from tiercel_engine.execution.fan_out_kill import kill_all
from tiercel_engine.execution.flowable.base import WAIT, Child, Decision, End, Scope, Start
from tiercel_engine.execution.listeners import listening
from tiercel_engine.execution.plan import AFTER_BRANCH, ROOT, Plan
from tiercel_engine.execution.sla import broken
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_schemas import events as e
from tiercel_schemas.state import State, is_terminated

#: Executions of this kind are parts of another one, which has its own end.
LOOP = "LOOP"


def end_execution(
    step: Step, plan: Plan, world: World, state: str, reason: str | None = None
) -> None:
    """Take the final state. Whoever calls asks `ROOT` next: it starts what follows.

    An assertion that does not hold changes the state: this is the first time that the outputs of
    the last task can be seen.
    """
    if plan.flow.sla and state != State.KILLED:
        state = broken(step, plan, world, is_last=True) or state
    branches = () if state == State.KILLED else _following(step, plan, world, state)
    if branches:
        step.emit(e.AfterExecutionPlanned(branches))
    step.emit(e.ExecutionStateChanged(state, reason=reason))


def _following(step: Step, plan: Plan, world: World, state: str) -> tuple[str, ...]:
    """The lists of tasks that follow the end of an execution."""
    if step.execution.kind == LOOP:
        return ()
    after = (AFTER_BRANCH,) if plan.tasks(ROOT, AFTER_BRANCH) else ()
    return (*listening(step, plan, world, state), *after)


def stop_following(step: Step, reason: str) -> None:
    """End what follows the end, and at once: nobody waits for it."""
    drop_evaluations(step)
    kill_all(step)
    for run in step.execution.runs_in_order():
        if is_terminated(run.state):
            continue
        if run.is_leased:
            step.revoke(run.id, run.attempt, run.epoch, "KILLED", None)
        if run.child_id is not None and run.id in step.execution.waiting:
            step.kill_child(run.child_id)
        step.emit(e.TaskRunStateChanged(run.id, State.KILLED, reason=reason))
    step.emit(e.AfterExecutionEnded(reason))


def decide_after(scope: Scope, branches: tuple[str, ...]) -> Decision:
    """One task after the other through all the lists, whatever becomes of each."""
    for branch in branches:
        block = scope.block(branch)
        if block.live:
            return WAIT
        tasks = scope.tasks(branch)
        if block.created < len(tasks):
            return Start((Child(tasks[block.created], branch),))
    return End(State.SUCCESS)
