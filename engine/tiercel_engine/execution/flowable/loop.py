"""LoopUntil (WaitFor): its tasks again and again until the condition holds.

Follows Kestra's WaitFor and LoopUntil. The condition is evaluated when the tasks
of one time have ended; the next time begins after an interval, with the task runs made anew.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tiercel_engine.errors import TaskError
from tiercel_engine.execution.flowable.base import (
    Decision,
    End,
    Opening,
    Rendering,
    Repeat,
    Scope,
    Start,
    in_order,
    with_handlers,
)
from tiercel_engine.flow.dialect import LoopLimits
from tiercel_engine.plugin import flowables
from tiercel_schemas.state import State

BRANCH = "tasks"
COUNT = "iterationCount"


class LoopUntil:
    """`tasks`, the condition, the interval; then again."""

    def open(self, task: flowables.LoopUntil, rendering: Rendering) -> Opening:
        return Opening(outputs={COUNT: 1}, loops=True)

    def decide(self, scope: Scope) -> Decision:
        return with_handlers(scope, self._main(scope))

    def _main(self, scope: Scope) -> Decision:
        assert isinstance(scope.task, flowables.LoopUntil)
        assert scope.rendering is not None
        iteration: int = scope.outputs[COUNT]
        decision = in_order(scope, BRANCH)
        if isinstance(decision, Start):
            children = (replace(child, iteration=iteration) for child in decision.children)
            return Start(tuple(children))
        if not isinstance(decision, End) or scope.block(BRANCH).is_broken:
            return decision
        if scope.block("errors").created:
            # It has failed already: its errors cannot change that.
            return End(State.FAILED)
        if scope.rendering.truthy(scope.task.condition):
            return decision
        limits = _limits(scope, scope.task, scope.rendering)
        if _is_reached(limits, iteration, scope.elapsed_s):
            return End(State.FAILED) if scope.task.fail_on_max_reached else decision
        return Repeat(limits.interval_s, iteration + 1)


def _is_reached(limits: LoopLimits, iteration: int, elapsed_s: float) -> bool:
    if limits.iterations_max is not None and iteration >= limits.iterations_max:
        return True
    return limits.duration_s is not None and elapsed_s >= limits.duration_s


def _limits(scope: Scope, task: flowables.LoopUntil, rendering: Rendering) -> LoopLimits:
    """What is written, else the defaults. Raises InvalidExpression, TaskError."""
    default = scope.dialect.loop_limits(task.type)
    written = task.check_frequency
    if written is None:
        return default
    return LoopLimits(
        _number(written.max_iterations, rendering, default.iterations_max),
        default.duration_s if written.max_duration is None else written.max_duration,
        default.interval_s if written.interval is None else max(0.0, written.interval),
    )


def _number(written: Any, rendering: Rendering, default: int | None) -> int | None:
    if written is None:
        return default
    value = rendering.text(written) if isinstance(written, str) else written
    try:
        return int(value)
    except ValueError as error:
        raise TaskError(f"Expected maxIterations to be a number, but it was {value!r}.") from error
