"""What a flow's templates refer to that cannot be there, told when the flow is validated.

Warnings, never refusals: a template may be guarded by `??`, and the peer saves such flows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.expression.analysis import References, analyse, check
from tiercel_engine.flow.input_types import ChoiceInput
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.task import Task
from tiercel_engine.flow.validate import tasks_with_paths

#: Warnings of one flow; more of them tell nothing new.
WARNINGS_MAX = 50
#: Templates of a value that are looked at one by one.
TEXTS_MAX = 10_000
#: Properties of tasks that are rendered among the variables of another flow.
_ELSEWHERE = {"io.kestra.plugin.core.flow.Subflow": "outputs"}


def doubtful_references(flow: Flow) -> list[str]:
    """Templates that do not parse, and ids of tasks and inputs that the flow does not have."""
    found: dict[str, None] = {}
    for place, value in _places(flow):
        for warning in (*_unreadable(place, value), *_unknown(flow, place, analyse(value))):
            found[warning] = None
            if len(found) == WARNINGS_MAX:
                return list(found)
    return list(found)


def _places(flow: Flow) -> Iterator[tuple[str, Any]]:
    """Everything that holds templates, with what it is called."""
    for path, task in tasks_with_paths(flow):
        yield f"Task [{task.id}] ({path})", _own_properties(task)
    for output in flow.outputs:
        yield f"Output [{output.id}]", output.value
    for each in flow.inputs:
        templates = [each.defaults, *each.conditions]
        templates += [each.expression] if isinstance(each, ChoiceInput) else []
        yield f"Input [{each.id}]", templates


def _own_properties(task: Task) -> dict[str, Any]:
    """Without the tasks inside it, and without what another flow renders."""
    left_out = {branch.partition(".")[0] for branch in task.child_lists()}
    left_out.add(_ELSEWHERE.get(task.TYPE, ""))
    return {name: value for name, value in task.properties.items() if name not in left_out}


def _unreadable(place: str, value: Any) -> Iterator[str]:
    for text in _texts(value):
        try:
            check(text)
        except InvalidExpression as error:
            yield f"{place} has an expression that does not parse: {error}"


def _texts(value: Any) -> Iterator[str]:
    pending, seen = [value], 0
    while pending and seen < TEXTS_MAX:
        one = pending.pop()
        seen += 1
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, list):
            pending += one


def _unknown(flow: Flow, place: str, refers: References) -> Iterator[str]:
    inputs = {tuple(each.id.split(".")) for each in flow.inputs}
    for root, *keys in sorted(refers.paths):
        if not keys:
            continue
        if root in ("outputs", "tasks") and flow.task(keys[0]) is None:
            known = (task.id for task in flow.all_tasks())
            yield f"{place} refers to the unknown task [{keys[0]}]{_meant(keys[0], known)}"
        elif root == "inputs" and not any(_overlap(tuple(keys), each) for each in inputs):
            known = (each.id for each in flow.inputs)
            yield f"{place} refers to the unknown input [{keys[0]}]{_meant(keys[0], known)}"


def _overlap(path: tuple[str, ...], known: tuple[str, ...]) -> bool:
    """Whether one leads to the other: `{{ inputs.a }}` holds the input `a.b`."""
    return all(one == other for one, other in zip(path, known, strict=False))


def _meant(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f": did you mean [{near[0]}]?" if near else ""
