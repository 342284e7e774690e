"""Attempts that the executor runs itself: tasks that only render, compare and change the execution.

Such an attempt has its number, its retries, its `allowFailure` and its log like every other; it
begins and ends in the same step, and what it logs and measures leaves in the same transaction.
What the executor must not do (read files, open secrets, run long) makes it a job instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiercel_engine.errors import InvalidExpression, TaskError
from tiercel_engine.execution.effects import apply_effects, record_with
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.rendering import json_payload
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.variables import decoded
from tiercel_engine.execution.world import World
from tiercel_engine.expression.analysis import References
from tiercel_engine.expression.text import output_text
from tiercel_engine.plugin.base import NO_EFFECTS, EngineTask, TaskResult
from tiercel_engine.plugin.context import TaskLogger
from tiercel_engine.plugin.dialects import expression_dialect
from tiercel_engine.storage.sealing import SEALED_TYPE
from tiercel_schemas import events as e
from tiercel_schemas.logs import MetricEntry
from tiercel_schemas.state import State

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
#: What marks values that only a worker fetches or opens.
_ELSEWHERE = ('"$claim"', SEALED_TYPE)


def is_quick(refers: References, variables_json: str) -> bool:
    """Whether the executor may run a task with these templates and variables."""
    if refers.blocking or refers.dynamic:
        return False
    return not any(mark in variables_json for mark in _ELSEWHERE)


def run_here(
    step: Step, plan: Plan, world: World, run_id: str, task: EngineTask, variables: dict[str, Any]
) -> None:
    """Run the newest attempt, submitted in this step, to its end."""
    if step.execution.state == State.RETRYING:
        step.emit(e.ExecutionStateChanged(State.RUNNING))
    if not task.UPDATES_EXECUTION:
        step.emit(e.TaskRunStateChanged(run_id, State.RUNNING))
    context = EngineContext(step, plan, world, run_id, task, decoded(variables))
    state, error = State.SUCCESS.value, None
    outputs, effects = None, NO_EFFECTS
    try:
        result = task.run(context)
        if isinstance(result, TaskResult):
            state, effects, result = result.state, result.effects, result.outputs
        outputs = json_payload(result) if isinstance(result, Mapping) else None
        apply_effects(step, plan, effects)
    except (InvalidExpression, TaskError) as problem:
        state, error, effects = State.FAILED.value, str(problem), NO_EFFECTS
        context.log("ERROR", error)
    run = step.execution.task_runs[run_id]
    at_us = step.at_us
    end = e.AttemptEnded(run_id, run.attempt, run.epoch, state, at_us, at_us, outputs, error)
    record_with(step, plan, world, end, effects)


class EngineContext:
    """One attempt in the executor. See `tiercel_engine.plugin.context.TaskContext`."""

    def __init__(
        self,
        step: Step,
        plan: Plan,
        world: World,
        run_id: str,
        task: EngineTask,
        variables: dict[str, Any],
    ) -> None:
        x = step.execution
        self.execution_id = x.id
        self.task_run_id = run_id
        self.attempt = x.task_runs[run_id].attempt
        self.namespace = x.namespace
        self.flow_id = x.flow_id
        self.task_id = task.id
        self.variables: Mapping[str, Any] = variables
        self.logger: TaskLogger = self
        self._step = step
        self._renderer = world.renderer.with_dialect(expression_dialect(plan.dialect))
        self._lowest = LEVELS.index(task.log_level) if task.log_level in LEVELS else 0

    def render(self, template: Any, extra: Mapping[str, Any] | None = None) -> str:
        variables = self.variables if extra is None else {**self.variables, **extra}
        if isinstance(template, str):
            return self._renderer.text(template, variables)
        return output_text(self._renderer.value(template, variables))

    def render_value(self, template: Any) -> Any:
        return self._renderer.value(template, self.variables)

    def render_deep(self, value: Any) -> Any:
        return self._renderer.deep(value, self.variables)

    def log(self, level: str, message: str) -> None:
        if LEVELS.index(level) >= self._lowest:
            self._step.log(level, message, self.task_run_id)

    def metric(
        self, name: str, value: float, kind: str = "counter", tags: Mapping[str, str] | None = None
    ) -> None:
        self._step.metrics.append(
            MetricEntry(
                namespace=self.namespace,
                flow_id=self.flow_id,
                execution_id=self.execution_id,
                task_run_id=self.task_run_id,
                task_id=self.task_id,
                type=kind,
                name=name,
                value=float(value),
                at_us=self._step.at_us,
                tags=dict(tags or {}),
            )
        )
