"""Pause: waits for a resume or for a time. Follows Kestra's task of that name.

Its `onPause` task comes first, then the wait, then the tasks of its old form. What it becomes
when nobody resumes it is decided, and recorded, when the wait begins.
"""

from __future__ import annotations

from typing import Any

from tiercel_engine.errors import TaskError
from tiercel_engine.execution.flowable.base import (
    Decision,
    End,
    Plain,
    Rendering,
    Scope,
    Suspend,
    in_order,
    with_handlers,
)
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.plugin import flowables
from tiercel_schemas.state import State

#: What a pause becomes when its duration is over.
BEHAVIORS = {
    "RESUME": State.RUNNING,
    "WARN": State.WARNING,
    "FAIL": State.FAILED,
    "CANCEL": State.CANCELLED,
}
#: Longer waits are cut: their end must be a date.
WAIT_S_MAX = 100 * 366 * 86_400.0


class Pause(Plain):
    """`onPause`, the wait, `tasks`."""

    def decide(self, scope: Scope) -> Decision:
        return with_handlers(scope, self._main(scope))

    def _main(self, scope: Scope) -> Decision:
        if scope.after_pause is None:
            before = in_order(scope, "onPause")
            if isinstance(before, End) and not scope.block("onPause").is_broken:
                return _wait(scope)
            return before
        if scope.after_pause != State.RUNNING:
            return End(scope.after_pause)
        return in_order(scope, "tasks")


def _wait(scope: Scope) -> Suspend:
    """How long at most, and what then: what comes first of `pauseDuration` and `timeout`."""
    assert isinstance(scope.task, flowables.Pause)
    assert scope.rendering is not None
    duration_s = _seconds(scope.task.pause_duration, scope.rendering)
    timeout_s = _seconds(scope.task.timeout, scope.rendering)
    if duration_s is not None and (timeout_s is None or duration_s <= timeout_s):
        return Suspend(duration_s, BEHAVIORS[scope.task.behavior])
    return Suspend(timeout_s, State.FAILED)


def _seconds(written: Any, rendering: Rendering) -> float | None:
    """A duration, or a template of one, in seconds. Raises InvalidExpression, TaskError."""
    if written is None:
        return None
    value = rendering.text(written) if isinstance(written, str) else written
    try:
        seconds = parse_duration_s(value)
    except ValueError as error:
        raise TaskError(str(error)) from error
    return min(max(seconds, 0.0), WAIT_S_MAX)
