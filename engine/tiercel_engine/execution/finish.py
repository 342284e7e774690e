"""The end of an execution: its outputs, what its parent asked for, its final state."""

from __future__ import annotations

import msgspec

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.execution.ending import end_execution
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.rendering import flow_rendering, json_payload
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_engine.expression.analysis import analyse
from tiercel_engine.flow.outputs import typed_outputs
from tiercel_schemas import events as e
from tiercel_schemas.state import State


def finish(step: Step, plan: Plan, world: World, state: str) -> None:
    """End the execution: render the flow's outputs, take the final state."""
    outputs = plan.outputs
    reply_to = step.execution.reply_to
    if outputs:
        rendering = flow_rendering(step, plan, world, plan.output_references())
        try:
            rendered = json_payload(rendering.value({o.id: o.value for o in outputs}))
            values = msgspec.json.decode(rendered.json or "{}")
            payload = json_payload(typed_outputs(outputs, values, world.seal))
        except InvalidExpression as error:
            if state != State.FAILED:
                step.log("ERROR", f"Failed to render output values: {rendering.told(error)}")
                state = State.FAILED
        else:
            step.emit(e.ExecutionOutputsSet(payload))
    elif reply_to is not None and reply_to.outputs_json is not None:
        _render_reply(step, plan, world, reply_to.outputs_json)
    end_execution(step, plan, world, state)


def _render_reply(step: Step, plan: Plan, world: World, outputs_json: str) -> None:
    """Render what the task that started the execution asks for (`outputs` of a Subflow)."""
    templates = msgspec.json.decode(outputs_json)
    rendering = flow_rendering(step, plan, world, analyse(templates))
    try:
        step.reply_outputs = json_payload(rendering.value(templates))
    except InvalidExpression as error:
        step.reply_error = f"Failed to render the outputs of the subflow: {rendering.told(error)}"
