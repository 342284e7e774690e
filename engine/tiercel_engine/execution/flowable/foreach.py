"""ForEach, EachSequential, EachParallel: a list of tasks once per value.

The n-th time through the list is the branch `tasks#n`; its own counters say where it stands, and
the counters of `tasks`, all times together, say how many run. Both are looked up, never searched.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tiercel_engine.errors import TaskError
from tiercel_engine.execution.flowable.base import (
    WAIT,
    Child,
    Decision,
    End,
    Opening,
    Rendering,
    Scope,
    Start,
    with_handlers,
)
from tiercel_engine.execution.flowable.parallel import room
from tiercel_engine.execution.model import ITERATION_MARK
from tiercel_engine.expression.text import json_text
from tiercel_engine.plugin import flowables

BRANCH = "tasks"
#: Task runs that one command creates at most; the rest follows by further commands.
CHUNK = 500


def resolve_values(values: Any, rendering: Rendering) -> tuple[str, ...]:
    """The distinct values as texts, as Kestra's eaches take them.

    Raises:
        TaskError: they are no list, or some are null.
    """
    rendered = rendering.value(values) if isinstance(values, str) else values
    if isinstance(rendered, str):
        try:
            rendered = msgspec.json.decode(rendered)
        except msgspec.DecodeError as error:
            raise TaskError(
                f"Expected the values to be a JSON list, but they were {rendered[:200]!r}."
            ) from error
    if isinstance(rendered, dict):
        rendered = [{"key": key, "value": value} for key, value in rendered.items()]
    if not isinstance(rendered, list):
        raise TaskError(f"Expected the values to be a list, but they were {rendered!r:.200}.")
    texts = [_text(rendering.text(v) if isinstance(v, str) else v) for v in rendered]
    nulls = sum(text is None for text in texts)
    if nulls:
        raise TaskError(f"Found '{nulls}' null values on Each, with values={rendered!r:.500}")
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json_text(value)


class ForEach:
    """Values side by side up to a limit; inside one value the tasks are sequential."""

    def open(self, task: flowables.ForEach, rendering: Rendering) -> Opening:
        return Opening(values=resolve_values(task.values, rendering))

    def limit(self, scope: Scope) -> int:
        """How many values at once; 0 for all."""
        assert isinstance(scope.task, flowables.ForEach)
        return scope.task.concurrency_limit

    def decide(self, scope: Scope) -> Decision:
        return with_handlers(scope, self._main(scope))

    def _main(self, scope: Scope) -> Decision:
        following = self._same_value(scope)
        if following is not None:
            return following
        block = scope.block(BRANCH)
        tasks = scope.tasks(BRANCH)
        if tasks and not block.is_broken:
            # Inside one value one task runs at a time, so what runs counts values.
            free = room(block, self.limit(scope))
            left = len(scope.values) - block.iterations
            count = min(left, CHUNK if free is None else min(free, CHUNK))
            if count > 0:
                first = block.iterations
                numbers = range(first, first + count)
                children = tuple(_child(scope, tasks[0], number) for number in numbers)
                more = count < left and (free is None or count < free)
                return Start(children, more)
        return WAIT if block.live else End(block.worst())

    @staticmethod
    def _same_value(scope: Scope) -> Decision | None:
        """The next task for the value whose task has just ended, if there is one."""
        branch, mark, number = scope.changed.partition(ITERATION_MARK)
        if not mark or branch != BRANCH:
            return None
        block = scope.block(scope.changed)
        tasks = scope.tasks(BRANCH)
        if block.live or block.is_broken or block.created >= len(tasks):
            return None
        return Start((_child(scope, tasks[block.created], int(number)),))


class EachSequential(ForEach):
    """One value after the other."""

    def open(self, task: Any, rendering: Rendering) -> Opening:
        return Opening(values=resolve_values(task.value, rendering))

    def limit(self, scope: Scope) -> int:
        return 1


class EachParallel:
    """Every pair of a value and a task at the same time."""

    def open(self, task: flowables.EachParallel, rendering: Rendering) -> Opening:
        return Opening(values=resolve_values(task.value, rendering))

    def decide(self, scope: Scope) -> Decision:
        return with_handlers(scope, self._main(scope))

    def _main(self, scope: Scope) -> Decision:
        assert isinstance(scope.task, flowables.EachParallel)
        block = scope.block(BRANCH)
        tasks = scope.tasks(BRANCH)
        if not block.is_broken:
            free = room(block, scope.task.concurrent)
            left = len(scope.values) * len(tasks) - block.created
            count = min(left, CHUNK if free is None else min(free, CHUNK))
            if count > 0:
                pairs = range(block.created, block.created + count)
                children = tuple(
                    _child(scope, tasks[pair % len(tasks)], pair // len(tasks)) for pair in pairs
                )
                return Start(children, count < left and (free is None or count < free))
        return WAIT if block.live else End(block.worst())


def _child(scope: Scope, task: Any, number: int) -> Child:
    branch = f"{BRANCH}{ITERATION_MARK}{number}"
    iteration = number if scope.dialect.numbers_values else None
    return Child(task, branch, scope.values[number], iteration)
