"""Parallel and Dag: tasks at the same time, bounded by `concurrent`.

After a failure nothing new starts; what runs may end, as in Kestra.
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
    with_handlers,
)
from tiercel_engine.execution.model import Block
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin import flowables

BRANCH = "tasks"


def room(block: Block, limit: int) -> int | None:
    """How many more may run at once; None for any number."""
    return None if limit == 0 else max(0, limit - block.live)


class Parallel(Plain):
    """Starts its tasks in their order, as many at once as allowed."""

    def decide(self, scope: Scope) -> Decision:
        return with_handlers(scope, self._main(scope))

    def _main(self, scope: Scope) -> Decision:
        assert isinstance(scope.task, flowables.Parallel)
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
