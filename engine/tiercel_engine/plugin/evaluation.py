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
ANSWER_BYTES_MAX = 60_000


class Evaluation(RunnableTask):
    """Renders `template` and gives `{value, secret}`; `secret`: whether secrets were read.

    Then, where there is a key, it gives `sealed` instead of `value`: the value's JSON encrypted.
    The answer passes through the log, and nobody but the executor is to read it there.
    """

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
        is_secret = context.has_secrets()
        if is_secret and context.can_seal():
            answer: dict[str, Any] = {"sealed": dict(context.seal(text)), "secret": True}
        else:
            answer = {"value": msgspec.Raw(text.encode("utf-8", "replace")), "secret": is_secret}
        written = msgspec.json.encode(answer)
        size_bytes = len(written)
        if size_bytes > ANSWER_BYTES_MAX:
            raise TaskError(
                f"Expected what this expression gives to take at most {ANSWER_BYTES_MAX} bytes"
                f" as JSON, but it takes {size_bytes}: compute it in a task and use a part of it."
            )
        return msgspec.json.decode(written, type=dict[str, Any])
