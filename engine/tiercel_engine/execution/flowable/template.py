"""Template: runs the tasks of a template, which is kept apart from flows (deprecated, gone in 2.0).

What it does is a Sequential's, once the template's tasks are its own. Follows Kestra's.
"""

from __future__ import annotations

from tiercel_engine.execution.flowable.base import Opening, Rendering
from tiercel_engine.execution.flowable.sequential import Sequential
from tiercel_engine.plugin import flowables


class Template(Sequential):
    """Pins the template's revision; its tasks see the arguments as their parent's outputs."""

    def open(self, task: flowables.Template, rendering: Rendering) -> Opening:
        rendering.open_template(task)
        return Opening({"args": {name: rendering.value(arg) for name, arg in task.args.items()}})
