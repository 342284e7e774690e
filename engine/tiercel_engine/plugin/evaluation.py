"""Rendering a template for the executor: what goes to a worker when rendering may block.

It travels as a job like a task's attempt and is run by the same code, but no flow names it: it is
in no registry.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from tiercel_engine.errors import TaskError
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.text import json_text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext

#: The number of an evaluation in the place of an attempt's: those of tasks count from 1.
ATTEMPT = 0
#: How long one may take.
TIMEOUT = "PT1M"
#: The answer as JSON: it becomes part of an event, whole, because the executor decides by it.
ANSWER_CHARS_MAX = 60_000


class Evaluation(RunnableTask):
    """Renders `template` and gives `{value, secret}`; `secret`: whether secrets were read."""

    TYPE: ClassVar[str] = "tiercel.Evaluation"

    template: Any = None
    typed: bool = False
    opens_secrets: bool = True

    def run(self, context: RunContext) -> dict[str, Any]:
        render = context.render_value if self.typed else context.render
        value = render(self.template)
        try:
            text = json_text(value)
        except Fault as fault:
            raise TaskError(fault.message) from fault
        if len(text) > ANSWER_CHARS_MAX:
            raise TaskError(
                f"Expected what this expression gives to take at most {ANSWER_CHARS_MAX} characters"
                f" as JSON, but it takes {len(text)}: compute it in a task and use a part of it."
            )
        return {"value": msgspec.json.decode(text), "secret": context.has_secrets()}
