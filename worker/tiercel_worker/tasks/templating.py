"""A task that is itself written by a template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tiercel_engine.errors import InvalidFlow, TaskError
from tiercel_engine.flow.base import Text
from tiercel_engine.flow.source import read
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext


class TemplatedTask(RunnableTask):
    """Run a task whose whole text is a template.

    Properties: `spec`, the YAML of a task that a worker runs; its `id` may be left out. Outputs:
    those of that task.

    Example:
        ```yaml
        id: written
        namespace: docs.tasks
        tasks:
          - id: task
            type: io.kestra.plugin.core.templating.TemplatedTask
            spec: |
              type: io.kestra.plugin.core.{{ 'debug' }}.Return
              format: written by a template
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.templating.TemplatedTask"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.templating.TemplatedTask",)

    spec: Text

    def run(self, context: RunContext) -> Any:
        try:
            properties = read(context.render(self.spec)).data
        except InvalidFlow as error:
            raise TaskError(f"Expected the YAML of a task, but {error}") from error
        if not isinstance(properties, Mapping):
            raise TaskError("Expected the YAML of a task, but it was no map.")
        if properties.get("type") in (self.TYPE, *self.ALIASES):
            raise TaskError("Expected a task that is not of the type TemplatedTask itself.")
        return context.run_task(properties)


PLUGINS = (TemplatedTask,)
