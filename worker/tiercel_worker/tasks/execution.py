"""Tasks about the execution that they run in."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext

#: Rendered conditions that mean no.
FALSE_TEXTS = frozenset({"", "0", "-0", "false"})


class Fail(RunnableTask):
    """Fail on purpose: always, or when a condition holds.

    Properties: `condition` is a template, the task fails unless it renders to nothing, 0 or
    false; without one it always fails. `errorMessage` is the line in the log. Outputs: none.

    Example:
        ```yaml
        id: guard
        namespace: docs.tasks
        inputs:
          - id: pieces
            type: INT
            defaults: 3
        tasks:
          - id: enough
            type: io.kestra.plugin.core.execution.Fail
            condition: "{{ inputs.pieces < 1 }}"
            errorMessage: "There are only {{ inputs.pieces }} pieces"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.execution.Fail"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.executions.Fail",)

    condition: Text | None = None
    error_message: Text = Field("Task failure", alias="errorMessage")

    def run(self, context: RunContext) -> None:
        if self.condition is None:
            raise TaskError(context.render(self.error_message))
        if context.render(self.condition).strip() not in FALSE_TEXTS:
            context.logger.log("ERROR", context.render(self.error_message))
            raise TaskError("Fail on a condition")
