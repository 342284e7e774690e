"""Tasks that record metrics."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tiercel_engine.flow.base import Part, Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_worker.tasks.properties import number, seconds, text_map


class Metric(Part):
    """One metric."""

    type: Literal["counter", "timer", "gauge"]
    name: Text
    value: str | float
    tags: dict[str, Text] | str | None = None
    description: Text | None = None


class Publish(RunnableTask):
    """Record metrics of the task run.

    Properties: `metrics`, a list of `type` (counter, timer or gauge), `name`, `value` (a number; of
    a timer a duration) and `tags`. Outputs: none.

    Example:
        ```yaml
        id: measured
        namespace: docs.tasks
        tasks:
          - id: publish
            type: io.kestra.plugin.core.metric.Publish
            metrics:
              - type: counter
                name: pieces
                value: "{{ 6 * 7 }}"
                tags: {kind: bread}
              - type: timer
                name: waiting
                value: PT0.5S
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.metric.Publish"

    metrics: list[Metric] | str = Field(default_factory=list)

    def run(self, context: RunContext) -> None:
        metrics = self.metrics
        if isinstance(metrics, str):
            metrics = [Metric.model_validate(m) for m in context.render_value(metrics)]
        for metric in metrics:
            tags = {k: str(v) for k, v in text_map(context, metric.tags, "tags").items()}
            name = context.render(metric.name)
            if metric.type == "timer":
                value = (seconds(context, metric.value) or 0.0) * 1_000
            else:
                value = number(context, metric.value)
            context.metric(name, value, metric.type, tags)


PLUGINS = (Publish,)
