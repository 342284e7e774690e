"""Template: the tasks of a template, which Kestra keeps apart from flows (deprecated, gone in 2.0).

There are no templates here, as on a server of Kestra where nobody has stored any: the task fails
and says so. A Subflow does what it did.
"""

from __future__ import annotations

from tiercel_engine.errors import TaskError
from tiercel_engine.execution.flowable.base import Decision, End, Opening, Rendering, Scope
from tiercel_engine.plugin import flowables
from tiercel_schemas.state import State


class Template:
    """Fails with Kestra's message for a template that is not there."""

    def open(self, task: flowables.Template, rendering: Rendering) -> Opening:
        raise TaskError(
            "This server keeps no templates: use a Subflow. "
            f"Can't find flow template '{task.namespace}.{task.template_id}'"
        )

    def decide(self, scope: Scope) -> Decision:
        return End(State.FAILED)
