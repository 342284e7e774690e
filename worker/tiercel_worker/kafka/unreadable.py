"""Records that do not read: told, and put aside where the author wants them.

One of them never stops a topic. Follows `onSerdeError` of Kestra's Kafka plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from tiercel_engine.eventlog.dead_letters import (
    REASON,
    REASON_BYTES_MAX,
    SOURCE_OFFSET,
    SOURCE_PARTITION,
    SOURCE_TOPIC,
)
from tiercel_engine.flow.base import Part, Rule, Text
from tiercel_engine.plugin.context import RunContext
from tiercel_worker.kafka.clients import produce

#: Unreadable records of one attempt that its log tells of one by one.
TOLD_MAX = 20
#: Records that wait to be put aside.
BATCH_MAX = 500


class OnSerdeError(Part):
    """What becomes of a record that does not read: left out, or written to another topic, too."""

    PEER_NAME: ClassVar[str] = "io.kestra.plugin.kafka.OnSerdeError"

    type: Literal["SKIPPED", "DLQ"] = "SKIPPED"
    topic: Text | None = None

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if self.type == "DLQ" and not self.topic:
            raise Rule("onSerdeError of type DLQ must have a topic")
        return self


class Unread:
    """The unreadable records of one attempt."""

    def __init__(
        self, context: RunContext, settings: Mapping[str, Any], policy: OnSerdeError
    ) -> None:
        self._context = context
        self._settings = {k: v for k, v in settings.items() if k != "auto.offset.reset"}
        self._topic = context.render(policy.topic) if policy.topic else None
        self._waiting: list[dict[str, Any]] = []
        self._count = 0

    def take(self, message: Any, error: Exception) -> None:
        """Tell of a record, and put it aside. Raises TaskError: the cluster does not take it."""
        self._count += 1
        if self._count <= TOLD_MAX:
            place = f"{message.topic()}-{message.partition()} at {message.offset()}"
            self._context.logger.log("WARN", f"The record of {place} is left out: {error}")
        if self._topic is None:
            return
        origin = {
            REASON: str(error).encode()[:REASON_BYTES_MAX],
            SOURCE_TOPIC: message.topic().encode(),
            SOURCE_PARTITION: str(message.partition()).encode(),
            SOURCE_OFFSET: str(message.offset()).encode(),
        }
        self._waiting.append(
            {
                "topic": self._topic,
                "key": message.key(),
                "value": message.value(),
                "headers": [*(message.headers() or ()), *origin.items()],
            }
        )
        if len(self._waiting) >= BATCH_MAX:
            self._flush()

    def close(self) -> None:
        """Put aside what waits, and tell how many there were. Raises as `take`."""
        if self._waiting:
            self._flush()
        if self._count > TOLD_MAX:
            self._context.logger.log("WARN", f"{self._count} records in all were left out.")

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        produce(self._settings, iter(waiting), lambda: False, transactional=False)
