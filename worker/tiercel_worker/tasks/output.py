"""Tasks that give values to later tasks."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, Field

from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext


class OutputValuesOutput(BaseModel):
    """`values`: the rendered values by their names."""

    values: dict[str, Any] | None = None


class OutputValues(RunnableTask):
    """Render named values and hand them to later tasks.

    Properties: `values` is a map; every text in it, at any depth, is a template. Outputs:
    `values`, the same map rendered; what a template gives is text.

    Example:
        ```yaml
        id: totals
        namespace: docs.tasks
        tasks:
          - id: keep
            type: io.kestra.plugin.core.output.OutputValues
            values:
              day: "{{ execution.startDate | date('yyyy-MM-dd') }}"
              pieces: "{{ 3 + 4 }}"
          - id: tell
            type: io.kestra.plugin.core.log.Log
            message: "{{ outputs.keep.values.pieces }} pieces on {{ outputs.keep.values.day }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.output.OutputValues"
    OUTPUTS: ClassVar[type[BaseModel] | None] = OutputValuesOutput

    values: dict[str, Any] = Field(default_factory=dict)

    def run(self, context: RunContext) -> dict[str, Any]:
        return {"values": context.render_deep(self.values)}
