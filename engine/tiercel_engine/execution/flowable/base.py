"""The questions to a flowable: what does it begin with, what starts next, how has it ended.

A resolver is a function of counters (`Block`), of the flow's lists of tasks and of templates that
it has rendered. It never looks at single task runs, so its cost does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from tiercel_engine.execution.model import Block
from tiercel_engine.flow.dialect import Dialect
from tiercel_engine.flow.task import Task
from tiercel_schemas.state import State


class Child(msgspec.Struct, frozen=True):
    """A task run to create, with a value where an each goes through some."""

    task: Task
    branch: str
    value: str | None = None
    iteration: int | None = None


class Start(msgspec.Struct, frozen=True):
    """Create these task runs, in this order. `more`: ask again soon, there are others to start."""

    children: tuple[Child, ...]
    more: bool = False


class Wait(msgspec.Struct, frozen=True):
    """Something of it still runs."""


class End(msgspec.Struct, frozen=True):
    """It has ended in this state."""

    state: str


class Suspend(msgspec.Struct, frozen=True):
    """It is PAUSED until somebody resumes it.

    Attributes:
        after_s: seconds until it goes on by itself; None: never.
        state: what it becomes then: RUNNING goes on, others end it.
    """

    after_s: float | None = None
    state: str = State.RUNNING


class Repeat(msgspec.Struct, frozen=True):
    """It goes round again after some seconds: its task runs are made anew."""

    after_s: float
    iteration: int


class Open(msgspec.Struct, frozen=True):
    """A worker is to open its folder, in which its tasks run."""


class Close(msgspec.Struct, frozen=True):
    """Its worker is to close its folder: no task is left."""


class Interrupt(msgspec.Struct, frozen=True):
    """What still runs inside is stopped, and ends in this state."""

    state: str


Decision = Start | Wait | End | Suspend | Repeat | Open | Close | Interrupt
WAIT = Wait()
OPEN = Open()
CLOSE = Close()


class Scope(msgspec.Struct, frozen=True):
    """What a resolver sees of the flow or flowable that it resolves.

    Attributes:
        task: the flowable's task; None for the flow itself.
        dialect: what its flow means where versions of the language differ.
        tasks: branch -> its enabled tasks.
        block: branch -> its counters.
        has_started, has_ended: task id of a child -> whether its run exists, has ended.
        outputs: what `open` gave.
        values: the values that it goes through.
        changed: branch of the child that has ended last; "" when it is asked for the first time.
        elapsed_s: since a loop first went round.
        after_pause: what it went on as after its pause; None when it has not paused.
        has_interrupted: whether it has stopped what still ran inside.
        is_folder_open: whether a worker holds a folder open for its tasks.
        folder_state: how the folder was closed; None: it never was open.
        rendering: templates, rendered when asked with the variables of the flowable's task
            run; None for the flow itself.
    """

    task: Task | None
    dialect: Dialect
    tasks: Callable[[str], tuple[Task, ...]]
    block: Callable[[str], Block]
    has_started: Callable[[str], bool]
    has_ended: Callable[[str], bool]
    outputs: Mapping[str, Any]
    values: tuple[str, ...]
    changed: str
    elapsed_s: float
    after_pause: str | None
    has_interrupted: bool
    is_folder_open: bool
    folder_state: str | None
    rendering: Rendering | None


class Opening(msgspec.Struct, frozen=True):
    """What a flowable begins with: outputs to record, values to go through.

    `loops`: it may go round several times, and `outputs` are those of the first.
    """

    outputs: dict[str, Any] | None = None
    values: tuple[str, ...] = ()
    loops: bool = False


NOTHING = Opening()


class Rendering(Protocol):
    """Templates, rendered with the variables of the flowable's task run."""

    def text(self, template: str) -> str: ...

    def value(self, template: Any) -> Any: ...

    def truthy(self, template: Any) -> bool: ...

    def open_template(self, task: Any) -> None:
        """Make a template's tasks those of its Template task. Raises TaskError: it cannot be."""


class Resolver(Protocol):
    """Decides how one kind of flowable goes on."""

    def open(self, task: Any, rendering: Rendering) -> Opening:
        """What it begins with. Raises InvalidExpression or TaskError: it ends FAILED."""

    def decide(self, scope: Scope) -> Decision:
        """How it goes on. Raises InvalidExpression or TaskError: it ends FAILED."""


class Plain:
    """A flowable that begins with nothing."""

    def open(self, task: Any, rendering: Rendering) -> Opening:
        return NOTHING


def in_order(scope: Scope, branch: str) -> Decision:
    """One list after the other: the next task starts when the newest has ended well enough."""
    block = scope.block(branch)
    if block.live:
        return WAIT
    tasks = scope.tasks(branch)
    if block.is_broken or block.created >= len(tasks):
        return End(block.worst())
    return Start((Child(tasks[block.created], branch),))


def with_handlers(scope: Scope, main: Decision) -> Decision:
    """What follows the main list: `errors` when it failed, then `finally`, then the end.

    Neither list changes the result (as in Kestra).
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
