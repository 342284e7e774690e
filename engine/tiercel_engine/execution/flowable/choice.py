"""If and Switch: one of several lists, chosen once, when the flowable begins."""

from __future__ import annotations

from tiercel_engine.execution.flowable.base import (
    Decision,
    End,
    Opening,
    Rendering,
    Scope,
    in_order,
    with_handlers,
)
from tiercel_engine.plugin import flowables
from tiercel_schemas.state import State


class If:
    """`then` when the condition holds, else `else`; a missing list is a success."""

    def open(self, task: flowables.If, rendering: Rendering) -> Opening:
        return Opening({"evaluationResult": rendering.truthy(task.condition)})

    def decide(self, scope: Scope) -> Decision:
        branch = "then" if scope.outputs.get("evaluationResult") else "else"
        return with_handlers(scope, in_order(scope, branch))


class Switch:
    """The case that the value names, else `defaults`; neither is a failure."""

    def open(self, task: flowables.Switch, rendering: Rendering) -> Opening:
        value = rendering.text(task.value)
        return Opening({"value": value, "defaults": value not in task.cases})

    def decide(self, scope: Scope) -> Decision:
        assert isinstance(scope.task, flowables.Switch)
        value = scope.outputs.get("value")
        branch = f"cases.{value}" if value in scope.task.cases else "defaults"
        if branch == "defaults" and not scope.task.defaults:
            return with_handlers(scope, End(State.FAILED))
        return with_handlers(scope, in_order(scope, branch))
