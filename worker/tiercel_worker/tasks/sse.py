"""A task that reads server-sent events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel, Field

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.context import RunContext
from tiercel_worker.tasks.http import BODY_BYTES_MAX, HttpTask
from tiercel_worker.tasks.properties import flag

#: Events of one answer: each is an output.
EVENTS_MAX = 10_000
_PICK = "{{ event | jq(program) | first }}"
_IS_MISSING = "{{ (event | jq(program) | first) is null }}"


class SseOutput(BaseModel):
    """What was sent.

    Attributes:
        uri: that answered.
        events: `data` as text, with `id` and `event` where they were given.
        size: how many there were.
        result: what `concatJqExpression` picked of each, joined.
    """

    uri: str
    events: list[dict[str, str]]
    size: int
    result: str | None = None


class SseRequest(HttpTask):
    """Send a request, and read the server-sent events of its answer until it ends.

    Properties: those of `http.Request` without `encryptBody`, and `concatJqExpression` (a jq
    program; what it picks of the JSON of each event becomes one text), `failedOnMissingJq` (true:
    an event of which it picks nothing fails the task). Outputs: `uri`, `events` (`data`, `id`,
    `event`), `size` and `result`. Metrics: `response.length`.

    Example:
        ```yaml
        id: listen
        namespace: docs.tasks
        inputs:
          - id: url
            type: URI
            defaults: http://localhost:8080/events
        tasks:
          - id: events
            type: io.kestra.plugin.core.http.SseRequest
            uri: "{{ inputs.url }}"
            concatJqExpression: .text
            failedOnMissingJq: false
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.http.SseRequest"
    OUTPUTS: ClassVar[type[BaseModel] | None] = SseOutput

    concat_jq_expression: Text | None = Field(None, alias="concatJqExpression")
    failed_on_missing_jq: bool | str = Field(True, alias="failedOnMissingJq")

    def run(self, context: RunContext) -> SseOutput:
        answer, path = self.answer(context, BODY_BYTES_MAX)
        text = path.read_text("utf-8", "replace")
        events: list[dict[str, str]] = []
        for event in events_of(text):
            if len(events) == EVENTS_MAX:
                raise TaskError(f"Expected at most {EVENTS_MAX} events in one answer.")
            events.append(event)
        result = None
        if self.concat_jq_expression is not None:
            program = context.render(self.concat_jq_expression)
            result = "".join(self._picked(context, program, event["data"]) for event in events)
        return SseOutput(uri=answer.uri, events=events, size=len(events), result=result)

    def _picked(self, context: RunContext, program: str, data: str) -> str:
        is_strict = flag(context, self.failed_on_missing_jq)
        try:
            extra: dict[str, Any] = {"event": msgspec.json.decode(data), "program": program}
        except msgspec.DecodeError:
            extra = {}
        if not extra or context.render(_IS_MISSING, extra) == "true":
            if is_strict:
                raise TaskError(f"Expected {program!r} to pick something of {data[:200]!r}.")
            return ""
        return context.render(_PICK, extra)


def events_of(text: str) -> Iterator[dict[str, str]]:
    """The events of a stream: `data` (its lines joined), `id` and `event` where given.

    Follows the HTML standard's event-stream format.
    """
    lines: list[str] = []
    about: dict[str, str] = {}
    for line in text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line:
            if lines:
                yield {"data": "\n".join(lines), **about}
            lines, about = [], {}
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            lines.append(value)
        elif name in ("id", "event"):
            about[name] = value


PLUGINS = (SseRequest,)
