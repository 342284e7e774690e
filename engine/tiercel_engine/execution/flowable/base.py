"""The questions to a flowable: what starts next, has it ended, and how.

A resolver is a pure function of counters (`Block`) and of the flow's lists of tasks. It never
looks at single task runs, so its cost does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from tiercel_engine.execution.model import Block
from tiercel_engine.flow.task import Task
from tiercel_schemas.state import State


class Child(msgspec.Struct, frozen=True):
    """A task run to create."""

    task: Task
    branch: str
    value: str | None = None
    iteration: int | None = None


class Start(msgspec.Struct, frozen=True):
    """Create these task runs, in this order."""

    children: tuple[Child, ...]


class Wait(msgspec.Struct, frozen=True):
    """Something of it still runs."""


class End(msgspec.Struct, frozen=True):
    """It has ended in this state."""

    state: str


Decision = Start | Wait | End
WAIT = Wait()


class Scope(msgspec.Struct, frozen=True):
    """What a resolver sees of the flow or flowable that it resolves.

    Attributes:
        tasks: branch -> its enabled tasks.
        block: branch -> its counters.
    """

    tasks: Callable[[str], tuple[Task, ...]]
    block: Callable[[str], Block]


class Resolver(Protocol):
    """Decides how one kind of flowable goes on."""

    def decide(self, scope: Scope) -> Decision: ...


def in_order(scope: Scope, branch: str) -> Decision:
    """One list after the other: the next task starts when the newest has ended well enough."""
    block = scope.block(branch)
    if block.live:
        return WAIT
    tasks = scope.tasks(branch)
    if block.failed or block.killed or block.created >= len(tasks):
        return End(block.worst())
    return Start((Child(tasks[block.created], branch),))


def with_handlers(scope: Scope, main: Decision) -> Decision:
    """What follows the main list: `errors` when it failed, then `finally`, then the end.

    Neither list changes the result (features.md §1, errors branch and finally).
    """
    if not isinstance(main, End):
        return main
    if main.state == State.FAILED and scope.tasks("errors"):
        handler = in_order(scope, "errors")
        if not isinstance(handler, End):
            return handler
    if main.state != State.KILLED and scope.tasks("finally"):
        closing = in_order(scope, "finally")
        if not isinstance(closing, End):
            return closing
    return main
