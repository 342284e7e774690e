"""Triggers that look: a worker evaluates them again and again, and says what is to start.

A polling trigger names a task that looks. The task runs on a worker like any other, with `trigger`
and `cursor` among its variables, and gives an `Answer` as its outputs. What it keeps in `cursor` is
stored with the trigger's state in the transaction that starts the executions, and handed to the
next look: whatever it counts is counted exactly once.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from pydantic import Field

from tiercel_engine.flow.task import DurationS
from tiercel_engine.plugin.triggers import CoreTrigger

#: Executions that one look may start.
STARTS_MAX = 500


class Wish(msgspec.Struct, frozen=True):
    """An execution that a look asks for.

    Attributes:
        variables: what `{{ trigger }}` gives.
        key: names the reason; the same key starts one execution only. Empty: this look.
    """

    variables: dict[str, Any]
    key: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What a look has found.

    Attributes:
        cursor: for the next look; None leaves what there was.
    """

    starts: tuple[Wish, ...] = ()
    cursor: Any = None

    def outputs(self) -> dict[str, Any]:
        """As outputs of a task."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


class PollingTrigger(CoreTrigger):
    """A trigger that looks every `interval`, and rests while an execution of it runs."""

    STATE_KIND: ClassVar[str] = "POLLING"
    #: The type of the task that looks; it is given the trigger's own properties.
    LOOKS: ClassVar[str] = ""
    #: Properties of triggers that the task does not have.
    OWN: ClassVar[frozenset[str]] = frozenset(
        {
            "interval", "conditions", "when", "inputs", "stopAfter", "labels", "minLogLevel",
            "allowConcurrent", "failOnTriggerError", "policyRefs", "assets", "disabled",
            "workerGroup", "workerSelector", "logLevel", "logToFile", "description", "version",
        }
    )  # fmt: skip

    interval: DurationS = Field(60.0)

    def task(self) -> dict[str, Any]:
        """The task that looks."""
        rest = {name: value for name, value in self.properties.items() if name not in self.OWN}
        return {**rest, "type": self.LOOKS}


class RealtimeTrigger(PollingTrigger):
    """A trigger that looks without a pause, and starts however many run."""

    STATE_KIND: ClassVar[str] = "REALTIME"

    interval: DurationS = Field(0.0)
    allow_concurrent: bool = Field(True, alias="allowConcurrent")
