"""What a task type is: a pydantic model of its properties and `run(context) -> outputs`.

A type is registered by the entry-point group `tiercel.plugins`: each entry point names a module
whose `PLUGINS` is a tuple of classes. See worker/README.md, "How to write a task type".
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel

from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.context import RunContext, TaskContext
from tiercel_schemas.state import State


class Effects(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a task asks of the execution that it runs in, besides its outputs.

    Attributes:
        labels: to add; those that exist take the new value.
        variables: to merge deeply into `vars`; without `overwrite` none of them may exist.
        unset: paths of variables to take out, names with dots between; a missing one is an error
            unless `ignore_missing`.
        exit: the state in which the execution ends now; "" for not at all.
    """

    labels: dict[str, str] = {}
    variables: dict[str, Any] = {}
    overwrite: bool = True
    unset: tuple[str, ...] = ()
    ignore_missing: bool = False
    exit: str = ""


NO_EFFECTS = Effects()


class TaskResult:
    """What a task may return instead of plain outputs, to end in another state than SUCCESS.

    Attributes:
        outputs: JSON object, or a model of it.
        state: SUCCESS or WARNING.
        effects: what it asks of its execution; for engine tasks.
    """

    __slots__ = ("effects", "outputs", "state")

    def __init__(
        self,
        outputs: BaseModel | dict[str, Any] | None = None,
        state: str = State.SUCCESS,
        effects: Effects = NO_EFFECTS,
    ) -> None:
        self.outputs = outputs
        self.state = state
        self.effects = effects


class RunnableTask(Task):
    """A task that a worker runs."""

    #: The model of its outputs, for docs and completion.
    OUTPUTS: ClassVar[type[BaseModel] | None] = None

    def run(self, context: RunContext) -> BaseModel | dict[str, Any] | TaskResult | None:
        """Run one attempt; return its outputs.

        Raises:
            TaskError: the attempt ends FAILED with this message; so does any other exception.
        """
        raise NotImplementedError


class FlowableTask(Task):
    """A task that the executor resolves itself; its decisions are in `execution.flowable`."""


class EngineTask(RunnableTask):
    """A task so quick that the executor runs it itself, as an attempt like any other.

    Its `run` renders and compares, nothing else: it must not read, wait or compute for long. One
    whose templates need a worker (they read files, secrets, large values) is sent to one, and runs
    there by the same code; what it asks of its execution travels with the attempt's end.
    """

    #: Whether it does nothing but change its execution: its history then shows no RUNNING.
    UPDATES_EXECUTION: ClassVar[bool] = False

    def run(self, context: TaskContext) -> BaseModel | dict[str, Any] | TaskResult | None:
        """Run one attempt with what an executor has, too. Raises TaskError: it ends FAILED."""
        raise NotImplementedError
