"""An execution and the slots of its flow: it asks before it runs, and gives back at its end.

Follows Kestra's `concurrency`: running and paused executions count, those that are parts of a loop
do not, and only a start is refused. What runs again, by a restart or because somebody forces it,
takes its slot without asking; others wait until the number is below the limit again.
`Step.emit` gives the slot back when the execution is over.
"""

from __future__ import annotations

from tiercel_engine.execution.advance import begin
from tiercel_engine.execution.attempts import abandon, plan_of
from tiercel_engine.execution.model import HELD, Execution
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.slots import GRANTED, QUEUED
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_schemas import events as e
from tiercel_schemas.concurrency import AnswerSlot, ReleaseSlot, RequestSlot
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.state import State

ASKED = "ASKED"
#: Only these executions count; the others are parts of one that does.
NORMAL = "NORMAL"
#: States in which an execution needs its slot.
ACTIVE = frozenset({State.RUNNING, State.PAUSED, State.BREAKPOINT, State.RETRYING})


def start(step: Step, plan: Plan, world: World) -> None:
    """Let a created execution run; where its flow limits them, once the flow gave it a slot."""
    if not _ask(step, plan, world, forced=False):
        begin(step, plan, world)


def take(step: Step, before: Execution, world: World) -> None:
    """Tell the flow of an execution that runs without having asked."""
    x = step.execution
    if x.slot == HELD or x.state not in ACTIVE or before.state in ACTIVE:
        return
    plan = plan_of(step, world)
    if plan is not None:
        _ask(step, plan, world, forced=True)


def _ask(step: Step, plan: Plan, world: World, forced: bool) -> bool:
    """Ask the flow for a slot; False when it gives as many as it is asked for."""
    x = step.execution
    if x.kind != NORMAL:
        return False
    key = FlowKey(x.tenant, x.namespace, x.flow_id)
    flow = (world.plan(key, None) or plan).flow
    if flow.concurrency is None:
        return False
    step.emit(e.SlotChanged(HELD if forced else ASKED))
    request = RequestSlot(
        tenant=x.tenant,
        namespace=x.namespace,
        flow_id=x.flow_id,
        execution_id=x.id,
        flow_revision=flow.revision,
        limit=flow.concurrency.limit,
        behavior=flow.concurrency.behavior,
        forced=forced,
    )
    step.commands.append((str(key), request))
    return True


def answered(step: Step, command: AnswerSlot, world: World) -> None:
    """The flow has answered: run, wait, or end."""
    x = step.execution
    if not x.exists or x.is_over:
        step.stale = "the execution is over"
        if command.outcome in (GRANTED, QUEUED):
            _give_back(step, command)
    elif x.slot != ASKED or x.state not in (State.CREATED, State.QUEUED):
        step.stale = f"the execution is {x.state}"
    elif command.outcome == GRANTED:
        step.emit(e.SlotChanged(HELD))
        plan = plan_of(step, world)
        if plan is None:
            abandon(step)
        else:
            begin(step, plan, world)
    elif command.outcome == QUEUED:
        if x.state != State.QUEUED:
            step.emit(e.ExecutionStateChanged(State.QUEUED))
    elif x.state == State.CREATED:
        reason = f"Execution is {command.outcome} due to concurrency limit exceeded"
        step.log("ERROR", reason)
        step.emit(e.ExecutionStateChanged(command.outcome, reason=reason))


def _give_back(step: Step, command: AnswerSlot) -> None:
    key = FlowKey(command.tenant, command.namespace, command.flow_id)
    release = ReleaseSlot(
        tenant=key.tenant,
        namespace=key.namespace,
        flow_id=key.flow_id,
        execution_id=command.execution_id,
    )
    step.commands.append((str(key), release))
