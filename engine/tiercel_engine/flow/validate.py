"""Rules that concern several parts of a flow (features.md §1, "Flow validation")."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tiercel_engine.flow.model import Flow

#: System labels that an author may set.
_OWN_SYSTEM_LABELS = ("system.readOnly",)
#: Ids that name routes of the API; refused in dialect 2.0 (dialect2.md §1.1).
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


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that does not hold; `part` is the task, trigger, … at fault, when there is one."""

    message: str
    part: Any = None


def check(flow: Flow, dialect: str = "1.3") -> list[Problem]:
    """Every rule over several parts that does not hold."""
    return [
        *_duplicates("task", flow.all_tasks()),
        *_duplicates("trigger", flow.triggers),
        *_duplicates("input", flow.inputs),
        *_duplicates("output", flow.outputs),
        *_labels(flow),
        *_self_calls(flow),
        *_reserved(flow, dialect),
    ]


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


def _reserved(flow: Flow, dialect: str) -> list[Problem]:
    if flow.id in RESERVED_IDS and dialect.startswith("2"):
        return [Problem(f"Expected a flow id that is no reserved word, but it was [{flow.id}]")]
    return []
