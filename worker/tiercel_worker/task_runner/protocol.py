"""What a command prints: log lines, and `::{…}::` lines with outputs, metrics and logs in JSON.

The line protocol is the one that the peer's client libraries write.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tiercel_engine.errors import TaskError
from tiercel_engine.plugin.context import RunContext
from tiercel_worker.task_runner.process import STDERR

_PROTOCOL = re.compile(r"^::(\{.*\})::$")
#: All outputs of one command together are no larger than this, as JSON text.
OUTPUT_CHARS_MAX = 16 << 20


class Message(msgspec.Struct):
    """One protocol line. Members of later versions, such as assets, are left out."""

    outputs: dict[str, Any] = msgspec.field(default_factory=dict)
    metrics: list[dict[str, Any]] = msgspec.field(default_factory=list)
    logs: list[dict[str, Any]] = msgspec.field(default_factory=list)


class Printed:
    """Takes a command's lines one by one.

    Attributes:
        vars: the outputs that the command has given.
        error_lines: how many lines it wrote to stderr, protocol lines not counted.
    """

    def __init__(self, context: RunContext) -> None:
        self.vars: dict[str, Any] = {}
        self.error_lines = 0
        self._context = context
        self._output_chars = 0

    def take(self, pipe: str, line: str) -> None:
        """One line of stdout or stderr.

        Raises:
            TaskError: the outputs are too large, or a metric does not hold.
        """
        match = _PROTOCOL.match(line.strip()) if line.lstrip().startswith("::{") else None
        if match is not None and self._obey(match.group(1)):
            return
        if pipe == STDERR:
            self.error_lines += 1
        self._context.logger.log("ERROR" if pipe == STDERR else "INFO", line)

    def _obey(self, text: str) -> bool:
        try:
            message = msgspec.json.decode(text, type=Message)
        except msgspec.DecodeError as error:
            self._context.logger.log("WARN", f"The next line looks like outputs, but {error}")
            return False
        if message.outputs:
            self._output_chars += len(text)
            if self._output_chars > OUTPUT_CHARS_MAX:
                raise TaskError(
                    f"Expected at most {OUTPUT_CHARS_MAX} characters of outputs;"
                    " write larger ones to a file and name it in outputFiles."
                )
            self.vars.update(message.outputs)
        for metric in message.metrics:
            self._metric(metric)
        for entry in message.logs:
            self._context.logger.log(str(entry.get("level", "INFO")), str(entry.get("message", "")))
        return True

    def _metric(self, metric: dict[str, Any]) -> None:
        try:
            name, value = str(metric["name"]), float(metric["value"])
            tags = {str(k): str(v) for k, v in (metric.get("tags") or {}).items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TaskError(f"Expected a metric with a name and a value, but {error!r}.") from None
        self._context.metric(name, value, str(metric.get("type", "counter")), tags)
