"""Parallel and Dag: tasks at the same time, bounded by `concurrent`.

After a failure nothing new starts. What runs may end, or is stopped: `onChildFailure` says which,
else the dialect, as in Kestra.
"""

from __future__ import annotations

from tiercel_engine.execution.flowable.base import (
    WAIT,
    Child,
    Decision,
    End,
    Plain,
    Scope,
    Start,
    Stop,
    with_handlers,
)
from tiercel_engine.execution.model import Block
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin import flowables
from tiercel_schemas.state import State

BRANCH = "tasks"


def room(block: Block, limit: int) -> int | None:
    """How many more may run at once; None for any number."""
    return None if limit == 0 else max(0, limit - block.live)


def after_failure(scope: Scope, written: str | None) -> Decision | None:
    """What a failed task means for those beside it; None when they may end."""
    asked = written or scope.dialect.on_child_failure
    block = scope.block(BRANCH)
    if asked == "CONTINUE" or not block.failed:
        return None
    cancels = asked in ("CANCEL", "CANCELLED")
    if block.live:
        return Stop(State.CANCELLED if cancels else State.FAILED)
    # Those that were cancelled are not why it fails.
    return End(State.FAILED) if cancels and not block.killed else None


class Parallel(Plain):
    """Starts its tasks in their order, as many at once as allowed."""

    def decide(self, scope: Scope) -> Decision:
        return with_handlers(scope, self._main(scope))

    def _main(self, scope: Scope) -> Decision:
        assert isinstance(scope.task, flowables.Parallel)
        failure = after_failure(scope, scope.task.on_child_failure)
        if failure is not None:
            return failure
        block = scope.block(BRANCH)
        if not block.is_broken:
            free = room(block, scope.task.concurrent)
            end = None if free is None else block.created + free
            ready = scope.tasks(BRANCH)[block.created : end]
            if ready:
                return Start(tuple(Child(task, BRANCH) for task in ready))
        return WAIT if block.live else End(block.worst())


class Dag(Plain):
    """Starts each task as soon as all that it depends on have ended."""

    def decide(self, scope: Scope) -> Decision:
        return with_handlers(scope, self._main(scope))

    def _main(self, scope: Scope) -> Decision:
        assert isinstance(scope.task, flowables.Dag)
        failure = after_failure(scope, scope.task.on_child_failure)
        if failure is not None:
            return failure
        block = scope.block(BRANCH)
        if not block.is_broken:
            ready = self._ready(scope, scope.task)[: room(block, scope.task.concurrent)]
            if ready:
                return Start(tuple(Child(task, BRANCH) for task in ready))
        return WAIT if block.live else End(block.worst())

    @staticmethod
    def _ready(scope: Scope, dag: flowables.Dag) -> list[Task]:
        """Tasks not started whose dependencies have ended; a disabled one counts as ended."""
        enabled = {task.id for task in scope.tasks(BRANCH)}
        return [
            entry.task
            for entry in dag.tasks
            if entry.task.id in enabled
            and not scope.has_started(entry.task.id)
            and all(name not in enabled or scope.has_ended(name) for name in entry.depends_on)
        ]
