"""Rules that concern several parts of a flow, and notes on what is valid but old or doubtful."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tiercel_engine.flow.dialect import evidence
from tiercel_engine.flow.input_base import Input
from tiercel_engine.flow.input_types import FormInput
from tiercel_engine.flow.inputs import is_given
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.order import cycle_among
from tiercel_engine.flow.task import Task

#: System labels that an author may set.
_OWN_SYSTEM_LABELS = ("system.readOnly",)
#: Ids that name routes of the API; refused in dialect 2.0.
RESERVED_IDS = frozenset(
    {
        "pause",
        "resume",
        "force-run",
        "change-status",
        "kill",
        "executions",
        "search",
        "source",
        "disable",
        "enable",
    }
)
_SUBFLOW_TYPES = ("io.kestra.plugin.core.flow.Subflow", "io.kestra.plugin.core.flow.ForEachItem")
_FLOW_TRIGGER = "io.kestra.plugin.core.trigger.Flow"
_FLOW_TRIGGER_FILTERS = ("conditions", "preconditions", "dependsOn", "when")
_SCHEDULE = "io.kestra.plugin.core.trigger.Schedule"
_OLD_INPUT_TYPES = ("BOOLEAN", "ENUM")


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that does not hold; `part` is the task, trigger, … at fault, when there is one."""

    message: str
    part: Any = None


@dataclass(frozen=True, slots=True)
class Notices:
    """What an author may want to know about a valid flow.

    Attributes:
        deprecation_paths: properties and types that are deprecated, such as `tasks[0]`.
        warnings: what is probably not meant.
        infos: one per older type name in use.
    """

    deprecation_paths: list[str]
    warnings: list[str]
    infos: list[str]


def check(flow: Flow) -> list[Problem]:
    """Every rule over several parts that does not hold."""
    return [
        *_duplicates("task", flow.all_tasks()),
        *_duplicates("trigger", flow.triggers),
        *_duplicates("input", flow.inputs),
        *_duplicates("output", flow.outputs),
        *_dependencies(flow.inputs),
        *_labels(flow),
        *_self_calls(flow),
        *_reserved(flow),
    ]


def notices(flow: Flow, replacement: Callable[[str], str | None]) -> Notices:
    """Notes on a valid flow.

    Args:
        flow: as `load_flow` gave it.
        replacement: today's name of an older type name, None for every other name.
    """
    used = dict.fromkeys(_types(flow))
    infos = [f"{name} is replaced by {new}" for name in used if (new := replacement(name))]
    return Notices(list(_deprecations(flow)), list(_warnings(flow)), infos)


def tasks_with_paths(flow: Flow) -> Iterator[tuple[str, Task]]:
    """Every task at any depth with its path, such as `tasks[0].then[1]`."""
    lists: dict[str, list[Task]] = {
        "tasks": flow.tasks,
        "errors": flow.errors,
        "finally": flow.finally_,
        "afterExecution": flow.after_execution,
        **{f"listeners[{i}].tasks": each.tasks for i, each in enumerate(flow.listeners)},
    }
    pending = list(reversed(lists.items()))
    while pending:
        path, tasks = pending.pop()
        for index, task in enumerate(tasks):
            own = f"{path}[{index}]"
            yield own, task
            pending += [(f"{own}.{name}", inner) for name, inner in task.child_lists().items()]


def _duplicates(kind: str, parts: Iterable[Any]) -> list[Problem]:
    seen: set[str] = set()
    reported: dict[str, Any] = {}
    for part in parts:
        if part.id in seen:
            reported.setdefault(part.id, part)
        seen.add(part.id)
    return [
        Problem(f"Duplicate {kind} id with name [{part_id}]", part)
        for part_id, part in reported.items()
    ]


def _dependencies(inputs: list[Input]) -> Iterator[Problem]:
    needs: Mapping[str, list[str]] = {each.id: each.needs for each in inputs}
    for name, wanted in needs.items():
        for missing in (need for need in wanted if need not in needs):
            yield Problem(f"Input [{name}] depends on a non-existent input [{missing}]")
    cycle = cycle_among(needs)
    if cycle:
        yield Problem(f"Cyclic dependency detected among the inputs [{', '.join(cycle)}]")


def _labels(flow: Flow) -> list[Problem]:
    return [
        Problem(f"System labels are set by the server only, but there is {key}={value}")
        for key, value in flow.labels
        if key.startswith("system.") and key not in _OWN_SYSTEM_LABELS
    ]


def _self_calls(flow: Flow) -> list[Problem]:
    return [
        Problem(f"Recursive call to flow [{flow.namespace}.{flow.id}]", task)
        for task in flow.all_tasks()
        if task.TYPE in _SUBFLOW_TYPES
        and getattr(task, "namespace", None) == flow.namespace
        and getattr(task, "flow_id", None) == flow.id
    ]


def _reserved(flow: Flow) -> list[Problem]:
    if flow.id in RESERVED_IDS and flow.dialect.refuses_reserved_ids:
        return [Problem(f"Expected a flow id that is no reserved word, but it was [{flow.id}]")]
    return []


def _types(flow: Flow) -> Iterator[str]:
    """The type names of tasks, triggers and conditions as written."""
    for task in flow.all_tasks():
        yield task.type
    for trigger in flow.triggers:
        yield trigger.type
    conditions: list[Any] = [c for each in flow.listeners for c in each.conditions]
    conditions += [c for each in flow.triggers for c in each.conditions or ()]
    while conditions:
        condition = conditions.pop(0)
        if isinstance(condition, dict):
            yield str(condition.get("type"))
            inner = condition.get("conditions") or ()
            conditions += inner.values() if isinstance(inner, dict) else inner


def _deprecations(flow: Flow) -> Iterator[str]:
    written = flow.properties
    for name in ("taskDefaults", "listeners"):
        if name in written:
            yield name
    for path, each in _inputs_with_paths("inputs", flow.written_inputs):
        if each.type in _OLD_INPUT_TYPES:
            yield f"{path}.type"
    for path, task in tasks_with_paths(flow):
        if task.DEPRECATED:
            yield path


def _inputs_with_paths(path: str, inputs: Iterable[Input]) -> Iterator[tuple[str, Input]]:
    for index, each in enumerate(inputs):
        yield (own := f"{path}[{index}]"), each
        if isinstance(each, FormInput):
            yield from _inputs_with_paths(f"{own}.inputs", each.inputs)


def _warnings(flow: Flow) -> Iterator[str]:
    if flow.id in RESERVED_IDS:
        yield f"The flow id [{flow.id}] is a reserved word from dialect 2.0 on"
    new, old = evidence(flow.properties)
    if new and old:
        yield (
            f"The flow uses [{', '.join(new)}] of dialect 2.0 and [{', '.join(old)}] of older ones:"
            " each runs as in its own, and defaults are those of"
            f" {flow.dialect.name}; a label `dialect` says which"
        )
    for each in flow.inputs:
        if each.defaults is not None and not each.required:
            yield f"Input [{each.id}] has defaults, so that `required: false` has no effect"
    for trigger in flow.triggers:
        if trigger.TYPE == _FLOW_TRIGGER and not any(
            trigger.properties.get(name) for name in _FLOW_TRIGGER_FILTERS
        ):
            yield f"Trigger [{trigger.id}] has no conditions and fires on every execution"
        elif trigger.TYPE == _SCHEDULE:
            missing = [
                each.id
                for each in flow.inputs
                if each.required
                and each.defaults is None
                and not each.dependencies
                and not is_given(trigger.inputs or {}, each.id)
            ]
            if missing:
                yield f"Trigger [{trigger.id}] gives no value for [{', '.join(missing)}]"
