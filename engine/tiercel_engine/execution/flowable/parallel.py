"""Parallel and Dag: tasks at the same time, bounded by `concurrent`.

After a failure nothing new starts. What runs may end, or is stopped: `onChildFailure` says so, and
where it does not, the flow's dialect.
"""

from __future__ import annotations

from tiercel_engine.execution.flowable.base import (
    WAIT,
    Child,
    Decision,
    End,
    Interrupt,
    Plain,
    Scope,
    Start,
    with_handlers,
)
from tiercel_engine.execution.model import Block
from tiercel_engine.flow.dialect import Dialect
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin import flowables
from tiercel_schemas.state import State

BRANCH = "tasks"


#: What is written for `onChildFailure`, older names too -> what the stopped ones end as.
_STOPPED: dict[str, State | None] = {
    "CONTINUE": None,
    "FAIL": State.FAILED,
    "FAILED": State.FAILED,
    "CANCEL": State.CANCELLED,
    "CANCELLED": State.CANCELLED,
}


def stops_as(task: Task, dialect: Dialect) -> State | None:
    """What running siblings end as when a task of a Parallel or Dag has failed; None: they go on,
    or it is another flowable."""
    if not isinstance(task, flowables.Parallel | flowables.Dag):
        return None
    return _STOPPED[task.on_child_failure or dialect.on_child_failure]


def after_start(scope: Scope) -> Decision:
    """What follows when nothing of a Parallel or Dag is to start."""
    block = scope.block(BRANCH)
    assert scope.task is not None
    state = stops_as(scope.task, scope.dialect)
    if block.failed and block.live and state is not None and not scope.has_interrupted:
        return Interrupt(state)
    if block.live:
        return WAIT
    return End(State.FAILED if scope.has_interrupted and not block.killed else block.worst())


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
        return after_start(scope)


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
        return after_start(scope)

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
