"""Tasks about the course of a flow that a worker runs."""

from __future__ import annotations

from typing import ClassVar

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext


class Sleep(RunnableTask):
    """Wait for a while; a kill or a timeout ends the wait at once.

    Properties: `duration`, such as PT10S, or a template of one. Outputs: none.

    Example:
        ```yaml
        id: nap
        namespace: docs.tasks
        tasks:
          - id: wait
            type: io.kestra.plugin.core.flow.Sleep
            duration: PT0.5S
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.flow.Sleep"

    duration: str | float

    def run(self, context: RunContext) -> None:
        duration = context.render(self.duration)
        try:
            duration_s = parse_duration_s(duration)
        except ValueError as error:
            raise TaskError(str(error)) from None
        context.logger.log("INFO", f"Waiting for {duration}")
        context.wait_cancelled(max(0.0, duration_s))
