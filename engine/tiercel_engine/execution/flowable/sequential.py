"""Sequential: one task after the other. The flow itself is one, too."""

from __future__ import annotations

from tiercel_engine.execution.flowable.base import Decision, Scope, in_order, with_handlers


class Sequential:
    """Runs its `tasks` in order, stops at the first that fails."""

    def decide(self, scope: Scope) -> Decision:
        return with_handlers(scope, in_order(scope, "tasks"))
