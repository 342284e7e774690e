"""CreateExecution and its scheduled begin; SaveFlow."""

from __future__ import annotations

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.attempts import plan_of
from tiercel_engine.execution.concurrency import start
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.sla import promise
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.templates import with_opened
from tiercel_engine.execution.timers import BeginScheduled
from tiercel_engine.execution.variables import decoded, flow_variables
from tiercel_engine.execution.world import World
from tiercel_engine.expression.analysis import analyse
from tiercel_engine.flow.checks import failed
from tiercel_engine.plugin.dialects import expression_dialect
from tiercel_schemas import events as e
from tiercel_schemas.commands import CreateExecution, SaveFlow
from tiercel_schemas.common import Label
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.state import State


def create(step: Step, command: CreateExecution, world: World) -> None:
    """Start an execution, or let it wait for its date."""
    if step.execution.exists:
        step.stale = "the execution exists already"
        return
    key = FlowKey(command.tenant, command.namespace, command.flow_id)
    plan = world.plan(key, command.flow_revision)
    if plan is None:
        raise Rejected(world.missing(key, command.flow_revision), "NOT_FOUND")
    if plan.flow.disabled:
        raise Rejected(f"The flow {key.namespace}.{key.flow_id} is disabled.", "CONFLICT")
    plan = with_opened(plan.of(command.loop), step.execution, world)
    assert plan is not None, "Expected an execution that begins to have opened no template."
    step.known_plan = (plan.flow.revision, plan)
    # A copy, and a time through a Loop, has its source's labels, those of the flow among them.
    flow_labels = () if command.copied or command.loop else plan.flow.labels
    step.emit(
        e.ExecutionCreated(
            tenant=command.tenant,
            namespace=command.namespace,
            flow_id=command.flow_id,
            flow_revision=plan.flow.revision,
            inputs=command.inputs,
            labels=(*(Label(*label) for label in flow_labels), *command.labels),
            trigger=command.trigger,
            parent_id=command.parent_id,
            original_id=command.original_id or command.execution_id,
            scheduled_us=command.scheduled_us,
            kind=command.kind,
            trace_parent=command.trace_parent,
            deduplicate=command.deduplicate,
            reply_to=command.reply_to,
            depth=command.depth,
            attempt_number=command.attempt_number,
            original_created_us=command.original_created_us,
            copied=command.copied,
            loop=command.loop,
            breakpoints=command.breakpoints,
        )
    )
    if world.skips.cover(step.execution.id, key):
        step.log("WARN", "The execution is not started: the server's settings skip it.")
        return
    if command.failure is not None:
        step.log("ERROR", command.failure)
        step.emit(e.ExecutionStateChanged(State.FAILED, reason=command.failure))
        return
    if command.copied == "TASK_RUNS":
        return
    if not command.copied and _is_refused(step, plan, world):
        return
    promise(step, plan)
    if command.scheduled_us is None or command.scheduled_us <= step.at_us:
        start(step, plan, world)


def _is_refused(step: Step, plan: Plan, world: World) -> bool:
    """Act on the flow's checks: whether the execution has ended by one.

    Raises:
        Rejected: by one that blocks executions.
    """
    if not plan.flow.checks:
        return False
    written = [(check.when, check.message) for check in plan.flow.checks]
    variables = decoded(flow_variables(step.execution, plan, analyse(written)))
    renderer = world.renderer.with_dialect(expression_dialect(plan.dialect))
    found = list(failed(plan.flow.checks, renderer.text, renderer.truthy, variables))
    for behavior in ("BLOCK_EXECUTION", "FAIL_EXECUTION"):
        messages = [check.message for check in found if check.behavior == behavior]
        if not messages:
            continue
        reason = f"A check of the flow does not hold: {', '.join(messages)}"
        if behavior == "BLOCK_EXECUTION":
            raise Rejected(reason, "INVALID")
        step.log("ERROR", reason)
        step.emit(e.ExecutionStateChanged(State.FAILED, reason=reason))
        return True
    return False


def begin_scheduled(step: Step, command: BeginScheduled, world: World) -> None:
    """The date has come."""
    x = step.execution
    if x.state != State.CREATED or x.slot:
        step.stale = "the execution runs already, or waits for its turn"
        return
    plan = plan_of(step, world)
    if plan is None:
        step.emit(e.ExecutionStateChanged(State.FAILED, reason="its flow's revision is gone"))
        return
    start(step, plan, world)


def save_flow(step: Step, command: SaveFlow, world: World) -> None:
    """Store the next revision of a flow; the same source again changes nothing."""
    key = FlowKey(command.tenant, command.namespace, command.flow_id)
    newest = world.latest_revision(key)
    deleted = newest == 0 or world.is_deleted(key)
    expected = command.expected_revision
    if expected is not None and expected != (0 if deleted else newest):
        if expected == 0:
            raise Rejected("Flow id already exists", "INVALID")
        raise Rejected(
            f"Expected revision {expected} of the flow to be the newest, but it is {newest}.",
            "CONFLICT",
        )
    if command.deleted and deleted:
        raise Rejected(world.missing(key, None), "NOT_FOUND")
    revision = FlowRevision(
        tenant=command.tenant,
        namespace=command.namespace,
        flow_id=command.flow_id,
        revision=newest + 1,
        source=command.source,
        deleted=command.deleted,
        dialect=command.dialect,
        updated_us=step.at_us,
        command_id=command.command_id,
    )
    problem = None if command.deleted else world.problem_with(revision)
    if problem is not None:
        raise Rejected(problem, "INVALID")
    step.flows.append(revision)
