"""What an author may write between `{{` and `}}` at a place of a flow, for editors. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tiercel_engine.expression import library
from tiercel_engine.expression.table import TABLE
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.inventory import Inventory

#: Expressions of one kind.
EACH_MAX = 1_000
#: Maps inside maps of a flow's variables that are gone into.
DEPTH_MAX = 5

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What every execution tells of itself.
_ALWAYS = (
    "execution.id", "execution.startDate", "execution.originalId", "execution.state",
    "flow.id", "flow.namespace", "flow.revision", "flow.tenantId",
    "envs", "globals", "kestra.environment", "kestra.url",
)  # fmt: skip
#: What a task has besides.
_OF_TASK = (
    "task.id", "task.type", "taskrun.id", "taskrun.startDate", "taskrun.attemptsCount",
    "taskrun.parentId", "taskrun.value",
)  # fmt: skip


def names_of_language() -> dict[str, list[str]]:
    """The filters and functions that there are, whatever the flow."""
    assert library.LOADED
    return {
        f"{wanted}s": sorted(name for kind, name in TABLE if kind == wanted)
        for wanted in ("filter", "function")
    }


def expressions_at(flow: Flow, task_id: str | None, known: Inventory) -> dict[str, list[str]]:
    """Expressions by kind: taskOutputs, executionContext, inputs and variables.

    Args:
        task_id: the place, where only what comes before it has outputs; None: the flow's end.
    """
    context = [*_ALWAYS, *(_OF_TASK if task_id is not None else ())]
    if flow.triggers:
        context += ["trigger.id", "trigger.type", "trigger.date", "trigger.next"]
    context += [_path("labels", key) for key, _ in flow.labels]
    found = {
        "taskOutputs": list(_outputs(flow, task_id, known)),
        "executionContext": context,
        "inputs": [f"inputs.{each.id}" for each in flow.inputs],
        "variables": list(_variables("vars", flow.variables)),
    }
    return {kind: each[:EACH_MAX] for kind, each in found.items()}


def _outputs(flow: Flow, task_id: str | None, known: Inventory) -> Iterator[str]:
    for task in flow.all_tasks():
        if task.id == task_id:
            return
        if task_id is not None and _is_around(task, task_id):
            continue
        place = _path("outputs", task.id)
        entry = known.find(task.type)
        fields = {} if entry is None or entry.outputs is None else entry.outputs.model_fields
        if fields:
            yield from (_path(place, f.alias or name) for name, f in fields.items())
        else:
            yield place


def _is_around(task: Task, task_id: str) -> bool:
    """Whether a task lies inside another one, at any depth."""
    children = [child for group in task.child_lists().values() for child in group]
    return any(child.id == task_id or _is_around(child, task_id) for child in children)


def _variables(place: str, value: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    for key, member in value.items():
        below = _path(place, str(key))
        yield below
        if isinstance(member, Mapping) and depth < DEPTH_MAX:
            yield from _variables(below, member, depth + 1)


def _path(place: str, name: str) -> str:
    """A member of a map; what is no name in an expression stands in brackets."""
    if _NAME.fullmatch(name):
        return f"{place}.{name}"
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"{place}['{quoted}']"
