"""Labels: those that users set on a finished execution, and those of the engine itself."""

from __future__ import annotations

from collections.abc import Iterable

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_schemas import events as e
from tiercel_schemas.commands import SetLabels
from tiercel_schemas.common import Label

#: Labels below it are the engine's own.
SYSTEM_PREFIX = "system."
CORRELATION = "system.correlationId"
#: Marks a copy, what was copied, and what ran again. As in Kestra since 0.22.
REPLAY = "system.replay"
REPLAYED = "system.replayed"
RESTARTED = "system.restarted"


def set_labels(step: Step, command: SetLabels, world: World) -> None:
    """Merge labels into those of a finished execution, by key."""
    x = step.execution
    if not x.is_ended:
        raise Rejected("The execution is not terminated", "CONFLICT")
    for label in command.labels:
        if label.key.startswith(SYSTEM_PREFIX):
            raise Rejected(f"System labels can only be set by the system: {label.key}", "INVALID")
    _set(step, merged(x.labels, command.labels))


def mark(step: Step, key: str) -> None:
    """Set one of the engine's own labels to `true`."""
    _set(step, merged(step.execution.labels, (Label(key, "true"),)))


def _set(step: Step, labels: tuple[Label, ...]) -> None:
    if labels == step.execution.labels:
        step.stale = "the execution has these labels already"
        return
    step.emit(e.LabelsSet(labels))


def merged(old: Iterable[Label], new: Iterable[Label]) -> tuple[Label, ...]:
    """`old` with `new` in the place of those with the same key, the others of `new` behind."""
    given = {label.key: label for label in new}
    kept = [given.get(label.key, label) for label in old]
    keys = {label.key for label in kept}
    added = [label for label in given.values() if label.key not in keys]
    return tuple(dict.fromkeys([*kept, *added]))
