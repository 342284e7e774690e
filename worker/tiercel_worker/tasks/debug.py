"""Tasks for trying things out."""

from __future__ import annotations

import time
from typing import ClassVar

from pydantic import BaseModel

from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext


class ReturnOutput(BaseModel):
    """`value`: the rendered template."""

    value: str | None = None


class Return(RunnableTask):
    """Render a template and return its text.

    Properties: `format` is the template. Outputs: `value`, its text; none without `format`.
    Metrics: `length` (counter, characters) and `duration` (timer), both tagged with the text.

    Example:
        ```yaml
        id: compute
        namespace: docs.tasks
        tasks:
          - id: answer
            type: io.kestra.plugin.core.debug.Return
            format: "{{ 6 * 7 }}"
          - id: show
            type: io.kestra.plugin.core.log.Log
            message: "The answer is {{ outputs.answer.value }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.debug.Return"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.debugs.Return",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = ReturnOutput

    format: Text | None = None

    def run(self, context: RunContext) -> ReturnOutput:
        started_s = time.monotonic()
        value = None if self.format is None else context.render(self.format)
        if value is not None:
            context.logger.log("DEBUG", value)
        tags = {"format": value or ""}
        context.metric("length", len(value or ""), "counter", tags)
        duration_ms = (time.monotonic() - started_s) * 1_000
        context.metric("duration", int(duration_ms), "timer", tags)
        return ReturnOutput(value=value)


class Echo(RunnableTask):
    """Write a line into the execution's log; deprecated, `log.Log` does the same.

    Properties: `format` is a template, `level` as in `log.Log`. Outputs: none.

    Example:
        ```yaml
        id: echo
        namespace: docs.tasks
        tasks:
          - id: shout
            type: io.kestra.plugin.core.debug.Echo
            format: "{{ flow.id | upper }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.debug.Echo"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.debugs.Echo",)

    format: Text
    level: str = "INFO"

    def run(self, context: RunContext) -> None:
        context.logger.log(context.render(self.level), context.render(self.format))
