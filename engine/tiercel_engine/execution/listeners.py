"""Which listeners of a flow want to hear how an execution ends. Deprecated in the language."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.plan import Plan, listener_branch
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.variables import decoded, flow_variables
from tiercel_engine.execution.world import World
from tiercel_engine.expression.analysis import analyse
from tiercel_engine.plugin.condition_rules import BrokenCondition, Source, Subject, hold
from tiercel_engine.plugin.dialects import expression_dialect


def listening(step: Step, plan: Plan, world: World, state: str) -> Iterator[str]:
    """The lists of those whose conditions hold; one that cannot be judged does not, and says so."""
    x = replace(step.execution, state=state, ended_us=step.at_us)
    renderer = world.renderer.with_dialect(expression_dialect(plan.dialect))
    for number, listener in enumerate(plan.flow.listeners):
        variables = decoded(flow_variables(x, plan, analyse(listener.conditions)))
        subject = Subject(renderer, variables, _source(x, listener.conditions))
        try:
            if hold(listener.conditions, subject):
                yield listener_branch(number)
        except (BrokenCondition, InvalidExpression) as error:
            step.log("WARN", f"Listener {number + 1} does not run: {error}")


def _source(x: Execution, conditions: object) -> Source:
    outputs = msgspec.json.decode(x.outputs.json) if x.outputs and x.outputs.json else {}
    # Task runs are searched only for the one condition that asks about them.
    is_asked = b"HasRetryAttempt" in msgspec.json.encode(conditions)
    retried = (run.state for run in x.task_runs.values() if is_asked and run.attempt > 1)
    return Source(
        namespace=x.namespace,
        flow_id=x.flow_id,
        state=x.state,
        labels={label.key: label.value for label in x.labels},
        outputs=outputs,
        retried=frozenset(retried),
    )
