"""Templates of a flowable, rendered in the executor with the variables of its task run."""

from __future__ import annotations

from typing import Any

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.variables import decoded, job_variables
from tiercel_engine.execution.world import World
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.text import json_text
from tiercel_engine.flow.task import Task
from tiercel_schemas.common import Payload


class TaskRendering:
    """Renders with the variables of one task run, which are put together at the first template."""

    def __init__(self, step: Step, plan: Plan, world: World, run_id: str, task: Task) -> None:
        self._step, self._plan, self._world = step, plan, world
        self._run_id, self._task = run_id, task
        self._variables: dict[str, Any] | None = None

    def _all(self) -> dict[str, Any]:
        if self._variables is None:
            x = self._step.execution
            run = x.task_runs[self._run_id]
            refers = self._plan.references(self._task)
            self._variables = decoded(job_variables(x, self._plan, self._task, run, refers))
        return self._variables

    def text(self, template: str) -> str:
        return self._world.renderer.text(template, self._all())

    def value(self, template: Any) -> Any:
        return self._world.renderer.value(template, self._all())

    def truthy(self, template: Any) -> bool:
        return self._world.renderer.truthy(template, self._all())


def json_payload(value: Any) -> Payload:
    """A rendered value as it goes into events; the language has numbers and dates of its own.

    Raises:
        InvalidExpression: it is nested too deeply, or too long.
    """
    try:
        return Payload(json=json_text(value))
    except Fault as fault:
        raise InvalidExpression(fault.message) from fault
