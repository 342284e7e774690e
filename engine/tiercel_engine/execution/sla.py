"""Promises of a flow about its executions (`sla`): when they are broken, and what follows.

Theory of operation. A MAX_DURATION counts from the creation, or from the date for which the
execution was planned; it is a timer that follows from the state. An EXECUTION_ASSERTION is looked
at whenever something has changed, and a last time before the end, when the outputs of the last
task are there. What cannot be rendered yet breaks nothing. Each promise is broken once; the first
one that says so ends the execution: what runs is stopped, executions that it started go on.
Follows Kestra's SLAs.
"""

from __future__ import annotations

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.execution.evaluations import drop_evaluations
from tiercel_engine.execution.labels import merged
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.variables import decoded, flow_variables
from tiercel_engine.execution.world import World
from tiercel_engine.expression.analysis import analyse
from tiercel_engine.flow.model import Sla
from tiercel_engine.plugin.dialects import expression_dialect
from tiercel_schemas import events as e
from tiercel_schemas.common import Label
from tiercel_schemas.state import State, is_terminated

US = 1_000_000
#: What an execution ends with when it breaks a promise of this behavior.
ENDS = {"FAIL": State.FAILED, "CANCEL": State.CANCELLED}
MAX_DURATION, ASSERTION = "MAX_DURATION", "EXECUTION_ASSERTION"
#: Executions of other kinds are parts of one that makes the promises.
NORMAL = "NORMAL"


def promise(step: Step, plan: Plan) -> None:
    """Note until when a created execution must have ended."""
    x = step.execution
    if x.kind != NORMAL:
        return
    begin_us = max(x.created_us, x.scheduled_us or 0)
    for sla in plan.flow.sla:
        if sla.type == MAX_DURATION and sla.duration is not None:
            step.emit(e.SlaDeadlineSet(sla.id, begin_us + round(sla.duration * US)))


def broken(step: Step, plan: Plan, world: World, is_last: bool = False) -> str | None:
    """Look at the assertions: the state in which those that do not hold end the execution.

    Args:
        is_last: it is about to end, so what cannot be rendered now is told.
    """
    if step.execution.kind != NORMAL:
        return None
    for sla in plan.flow.sla:
        if sla.type != ASSERTION or sla.assert_ is None or sla.id in step.execution.violated:
            continue
        variables = flow_variables(step.execution, plan, analyse(sla.assert_))
        renderer = world.renderer.with_dialect(expression_dialect(plan.dialect))
        try:
            holds = renderer.truthy(sla.assert_, decoded(variables))
        except InvalidExpression as error:
            if is_last:
                step.log("WARN", f"Ignoring SLA '{sla.id}' because of the error: {error}")
            continue
        if not holds:
            state = violate(step, sla, f"assertion is false: {sla.assert_}")
            if state is not None:
                return state
    return None


def violate(step: Step, sla: Sla, reason: str) -> str | None:
    """Record that a promise is broken; the state in which that ends the execution, if it does."""
    step.emit(e.SlaViolated(sla.id, reason))
    step.log("WARN", f"SLA '{sla.id}' is violated: {reason}")
    if sla.labels:
        labels = merged(step.execution.labels, (Label(*pair) for pair in sla.labels))
        if labels != step.execution.labels:
            step.emit(e.LabelsSet(labels))
    return ENDS.get(sla.behavior)


def stop_open(step: Step, state: str) -> None:
    """End every open task run: the newest, and those around it, in `state`, others KILLED.

    Looks at every task run, once in the life of an execution.
    """
    x = step.execution
    open_runs = [run for run in x.runs_in_order() if not is_terminated(run.state)]
    blamed = set()
    run_id = open_runs[-1].id if open_runs else ""
    while run_id:
        blamed.add(run_id)
        run_id = x.task_runs[run_id].parent_id
    drop_evaluations(step)
    stopped = {run.id for run in open_runs}
    step.jobs = [job for job in step.jobs if job.task_run_id not in stopped]
    for run in reversed(open_runs):
        if run.is_leased:
            step.revoke(run.id, run.attempt, run.epoch, "KILLED", None)
        step.emit(e.TaskRunStateChanged(run.id, state if run.id in blamed else State.KILLED))
