"""Events of the execution itself."""

from __future__ import annotations

from immutables import Map
from msgspec.structs import replace

from tiercel_engine.execution import transitions
from tiercel_engine.execution.appliers.runs import dropped
from tiercel_engine.execution.model import BlockKey, Execution
from tiercel_schemas import events as e
from tiercel_schemas.state import State, is_terminated

#: `ExecutionCreated.copied` of an execution whose task runs are still to come.
TASK_RUNS = "TASK_RUNS"


def created(x: Execution, event: e.ExecutionCreated, at_us: int) -> Execution:
    assert not x.exists, f"Expected execution {x.id} not to exist, but it is {x.state}."
    return Execution(
        id=x.id,
        sequence=1,
        tenant=event.tenant,
        namespace=event.namespace,
        flow_id=event.flow_id,
        flow_revision=event.flow_revision,
        state=State.CREATED,
        created_us=at_us,
        inputs=event.inputs,
        labels=event.labels,
        trigger=event.trigger,
        parent_id=event.parent_id,
        original_id=event.original_id,
        scheduled_us=event.scheduled_us,
        kind=event.kind,
        trace_parent=event.trace_parent,
        reply_to=event.reply_to,
        loop=event.loop,
        breakpoints=event.breakpoints,
        depth=event.depth,
        attempt_number=event.attempt_number,
        original_created_us=event.original_created_us,
        awaits_copy=event.copied == TASK_RUNS,
    )


def state_changed(x: Execution, event: e.ExecutionStateChanged, at_us: int) -> Execution:
    transitions.check(transitions.EXECUTION, x.state, event.state, f"execution {x.id}")
    goes_on = event.state == State.RUNNING
    return replace(
        x,
        sequence=x.sequence + 1,
        state=event.state,
        awaits_copy=False,
        ended_us=at_us if is_terminated(event.state) else None,
        is_held=event.by_request,
        unasked=Map() if goes_on else x.unasked,
    )


def restarted(x: Execution, event: e.ExecutionRestarted, at_us: int) -> Execution:
    transitions.check(transitions.EXECUTION, x.state, State.RESTARTED, f"execution {x.id}")
    return replace(
        x,
        sequence=x.sequence + 1,
        state=State.RESTARTED,
        attempt_number=event.attempt_number,
        flow_revision=event.flow_revision,
        reply_to=event.reply_to or x.reply_to,
        outputs=None,
        ended_us=None,
        after=(),
        slot="",
        deadlines=(),
        violated=(),
        errors=(),
        awaits_copy=False,
        exit="",
        evaluated=dropped(x.evaluated, ""),
    )


def after_planned(x: Execution, event: e.AfterExecutionPlanned, at_us: int) -> Execution:
    return replace(x, sequence=x.sequence + 1, after=event.branches)


def after_ended(x: Execution, event: e.AfterExecutionEnded, at_us: int) -> Execution:
    return replace(x, sequence=x.sequence + 1, after=())


def breakpoints_set(x: Execution, event: e.BreakpointsSet, at_us: int) -> Execution:
    return replace(x, sequence=x.sequence + 1, breakpoints=event.breakpoints)


def slot_changed(x: Execution, event: e.SlotChanged, at_us: int) -> Execution:
    return replace(x, sequence=x.sequence + 1, slot=event.state)


def deadline_set(x: Execution, event: e.SlaDeadlineSet, at_us: int) -> Execution:
    deadlines = (*x.deadlines, (event.sla_id, event.due_us))
    return replace(x, sequence=x.sequence + 1, deadlines=deadlines)


def sla_violated(x: Execution, event: e.SlaViolated, at_us: int) -> Execution:
    return replace(
        x,
        sequence=x.sequence + 1,
        deadlines=tuple(each for each in x.deadlines if each[0] != event.sla_id),
        violated=(*x.violated, event.sla_id),
    )


def outputs_set(x: Execution, event: e.ExecutionOutputsSet, at_us: int) -> Execution:
    return replace(x, sequence=x.sequence + 1, outputs=event.outputs)


def labels_set(x: Execution, event: e.LabelsSet, at_us: int) -> Execution:
    return replace(x, sequence=x.sequence + 1, labels=event.labels)


def variables_set(x: Execution, event: e.VariablesSet, at_us: int) -> Execution:
    variables = x.variables
    for name, text in event.values.items():
        variables = variables.set(name, text)
    for name in event.removed:
        variables = variables.set(name, None)
    return replace(x, sequence=x.sequence + 1, variables=variables)


def exit_requested(x: Execution, event: e.ExitRequested, at_us: int) -> Execution:
    return replace(x, sequence=x.sequence + 1, exit=event.state)


def asks_postponed(x: Execution, event: e.AsksPostponed, at_us: int) -> Execution:
    unasked: Map[BlockKey, None] = Map(
        {(each.task_run_id, each.branch): None for each in event.lists}
    )
    return replace(x, sequence=x.sequence + 1, unasked=unasked)
