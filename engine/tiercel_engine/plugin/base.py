"""What a task type is: a pydantic model of its properties and `run(context) -> outputs`.

A type is registered by the entry-point group `tiercel.plugins`: each entry point names a module
whose `PLUGINS` is a tuple of classes. See worker/README.md, "How to write a task type".
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel

from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.context import RunContext
from tiercel_schemas.state import State


class TaskResult:
    """What a task may return instead of plain outputs, to end in another state than SUCCESS.

    Attributes:
        outputs: JSON object, or a model of it.
        state: SUCCESS or WARNING.
    """

    __slots__ = ("outputs", "state")

    def __init__(
        self, outputs: BaseModel | dict[str, Any] | None = None, state: str = State.SUCCESS
    ) -> None:
        self.outputs = outputs
        self.state = state


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
