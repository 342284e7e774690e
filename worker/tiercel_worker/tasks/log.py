"""Tasks that write the log."""

from __future__ import annotations

from typing import ClassVar

from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext


class Log(RunnableTask):
    """Write one or more lines into the execution's log.

    Properties: `message` is a template or a list of them, `level` is one of TRACE, DEBUG, INFO,
    WARN, ERROR. Outputs: none.

    Example:
        ```yaml
        id: greet
        namespace: docs.tasks
        inputs:
          - id: who
            type: STRING
            defaults: reader
        tasks:
          - id: hello
            type: io.kestra.plugin.core.log.Log
            message: "Good morning, {{ inputs.who }}"
            level: WARN
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.log.Log"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.log.Log",)

    message: str | int | float | bool | list[str | int | float | bool]
    level: str = "INFO"

    def run(self, context: RunContext) -> None:
        level = context.render(self.level)
        messages = self.message if isinstance(self.message, list) else [self.message]
        for message in messages:
            context.logger.log(level, context.render(message))
