"""Sequential: one task after the other. The flow itself is one, too. And AllowFailure."""

from __future__ import annotations

from tiercel_engine.execution.flowable.base import (
    Decision,
    End,
    Plain,
    Scope,
    in_order,
    with_handlers,
)
from tiercel_schemas.state import State


class Sequential(Plain):
    """Runs its `tasks` in order, stops at the first that fails."""

    def decide(self, scope: Scope) -> Decision:
        return with_handlers(scope, in_order(scope, "tasks"))


class AllowFailure(Sequential):
    """The same, but its failure is a warning. Its errors run all the same."""

    def decide(self, scope: Scope) -> Decision:
        decision = super().decide(scope)
        if isinstance(decision, End) and decision.state == State.FAILED:
            return End(State.WARNING)
        return decision
