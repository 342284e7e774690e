"""Ending an execution that broke a promise: at the date, or because of what has changed."""

from __future__ import annotations

from tiercel_engine.execution.advance import advance
from tiercel_engine.execution.attempts import abandon, plan_of
from tiercel_engine.execution.ending import end_execution
from tiercel_engine.execution.plan import ROOT, Plan
from tiercel_engine.execution.sla import ASSERTION, broken, stop_open, violate
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.timers import SlaDue
from tiercel_engine.execution.world import World
from tiercel_schemas.state import State


def sla_due(step: Step, command: SlaDue, world: World) -> None:
    """The execution should have ended by now."""
    x = step.execution
    is_open = any(sla_id == command.sla_id for sla_id, _ in x.deadlines)
    if not is_open or x.is_ended or x.state == State.KILLING:
        step.stale = "the execution has ended, or has broken this promise already"
        return
    plan = plan_of(step, world)
    if plan is None:
        abandon(step)
        return
    sla = next((each for each in plan.flow.sla if each.id == command.sla_id), None)
    if sla is None:
        step.stale = "its flow makes no such promise"
        return
    state = violate(step, sla, f"execution duration exceeds {sla.duration:g} s")
    if state is not None:
        _end(step, plan, world, state)


def look(step: Step, world: World) -> None:
    """Look at the assertions after a command that has changed something."""
    x = step.execution
    if not step.events or x.is_ended or x.state == State.KILLING or not x.exists:
        return
    plan = plan_of(step, world)
    if plan is None or not any(sla.type == ASSERTION for sla in plan.flow.sla):
        return
    state = broken(step, plan, world)
    if state is not None:
        _end(step, plan, world, state)


def _end(step: Step, plan: Plan, world: World, state: str) -> None:
    stop_open(step, state)
    end_execution(step, plan, world, state)
    advance(step, plan, world, (ROOT, ""))
