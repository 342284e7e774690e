"""WorkingDirectory: its tasks in order, in one folder. See `tiercel_engine.execution.session`."""

from __future__ import annotations

from tiercel_engine.execution.flowable.base import (
    CLOSE,
    OPEN,
    Decision,
    End,
    Plain,
    Scope,
    in_order,
    with_handlers,
)
from tiercel_schemas.state import State


class WorkingDirectory(Plain):
    """While the folder is open, the next task; then the folder is closed, and the handlers run."""

    def decide(self, scope: Scope) -> Decision:
        main = in_order(scope, "tasks")
        if scope.is_folder_open:
            return CLOSE if isinstance(main, End) else main
        if scope.folder_state not in (State.SUCCESS, State.WARNING):
            return with_handlers(scope, End(State.FAILED))
        # A task is left although the folder was closed: somebody changed a state by hand.
        return with_handlers(scope, main) if isinstance(main, End) else OPEN
