"""`filters[field][OPERATOR]=value`, groups of them, and flat parameters -> conditions.

`filters[and][0][…]` and `filters[or][1][…]` are members of a group; a group inside a group nests
the same way. Whatever is not understood is refused, never ignored: an ignored filter would answer
with rows that nobody asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from multidict import MultiMapping

from tiercel_api.filter_values import (
    Reader,
    Written,
    bound,
    child,
    illegal,
    instant,
    instant_us,
    kind,
    label,
    level,
    number,
    renamed,
    scope,
    search,
    since,
    state,
    switched,
    text,
)
from tiercel_engine.repository.terms import Condition, Group, Term

Query = MultiMapping[str]
#: Groups inside groups, and conditions of one request.
DEPTH_MAX = 3
TERMS_MAX = 200

_SEGMENT = re.compile(r"\[([^\[\]]*)\]")
_FILTER = re.compile(r"filters(?:\[[^\[\]]*\])+")


@dataclass(slots=True)
class _Node:
    """Conditions at one place, and the groups below it by (logical, number)."""

    leaves: list[Written] = field(default_factory=list)
    groups: dict[tuple[str, int], _Node] = field(default_factory=dict)


def conditions(
    query: Query,
    flat: Mapping[str, str],
    readers: Mapping[str, Reader],
    now_us: int,
    besides: frozenset[str] = frozenset(),
) -> list[Condition]:
    """What the query asks for: all of these.

    Args:
        flat: flat parameter -> operator that it stands for.
        readers: field -> what it makes of a condition.
        besides: flat parameters that the caller reads itself.

    Raises:
        HttpError: a field, an operator or a value is not understood.
    """
    root = _Node()
    for count, (name, value) in enumerate(query.items()):
        if count >= TERMS_MAX:
            raise illegal(f"Expected at most {TERMS_MAX} parameters.")
        if name.startswith("filters["):
            _place(root, name, value)
        elif name in flat and value != "":
            root.leaves.append(Written(name, flat[name], value))
        elif name in _FILTERS and name not in besides and value != "":
            # Another search knows it: whoever sends it here expects it to narrow this one.
            raise illegal(f"Unsupported filter: {name}.")
    return _read(root, readers, now_us)


def _place(root: _Node, name: str, value: str) -> None:
    if not _FILTER.fullmatch(name):
        raise illegal(f"Expected filters[field][OPERATOR], but it was {name!r}.")
    segments = _SEGMENT.findall(name)
    node, depth = root, 0
    while len(segments) > 2 and segments[0] in ("and", "or") and segments[1].isdecimal():
        depth += 1
        if depth > DEPTH_MAX:
            raise illegal(f"Expected at most {DEPTH_MAX} groups inside each other.")
        node = node.groups.setdefault((segments[0], int(segments[1])), _Node())
        segments = segments[2:]
    if len(segments) not in (2, 3):
        raise illegal(f"Expected filters[field][OPERATOR], but it was {name!r}.")
    key = segments[2] if len(segments) == 3 else ""
    node.leaves.append(Written(segments[0], segments[1].upper(), value, key))


def _read(node: _Node, readers: Mapping[str, Reader], now_us: int) -> list[Condition]:
    found = [_term(leaf, readers, now_us) for leaf in node.leaves]
    for logical in ("and", "or"):
        members = [
            Group(_read(child, readers, now_us))
            for (name, _), child in sorted(node.groups.items())
            if name == logical
        ]
        if members:
            found.append(Group(members, is_any=logical == "or"))
    return found


def _term(leaf: Written, readers: Mapping[str, Reader], now_us: int) -> Condition:
    reader = readers.get(leaf.field)
    if reader is None:
        raise illegal(f"Unsupported filter: {leaf.field}.")
    return reader(leaf, now_us)


def of_executions(query: Query, now_us: int) -> Sequence[Condition]:
    """What a search of executions asks for, in both spellings."""
    _check_window(query)
    states = query.getall("state", [])
    found = conditions(query, _FLAT, _EXECUTION_READERS, now_us, frozenset({"state", "endDate"}))
    if states:
        named = Written("state", "IN", ",".join(states))
        found.append(state(named, now_us))
    if query.get("endDate"):
        # A flat end date bounds the start, as before 2.0.
        end_us = instant_us(query["endDate"])
        found.append(Term("startDate", "LESS_THAN_OR_EQUAL_TO", (end_us,)))
    return found


def of_flows(query: Query) -> Sequence[Condition]:
    """What a search of flows asks for, in both spellings."""
    flat = {name: _FLAT[name] for name in ("q", "scope", "namespace", "flowId", "labels")}
    return conditions(query, flat, _FLOW_READERS, 0)


def of_logs(query: Query, now_us: int) -> Sequence[Condition]:
    """What a search of log lines asks for, in both spellings."""
    _check_window(query)
    return conditions(query, _LINE_FLAT, _LOG_READERS, now_us)


def of_metrics(query: Query, now_us: int) -> Sequence[Condition]:
    """What is asked of an execution's metrics, in both spellings."""
    return conditions(query, _LINE_FLAT, _METRIC_READERS, now_us)


def of_table(table: str, query: Query, now_us: int) -> Sequence[Condition]:
    """What filters ask of the rows of a table of `repository.aggregates`, no flat parameters."""
    return conditions(query, {}, READERS[table], now_us)


def of_triggers(query: Query, now_us: int) -> Sequence[Condition]:
    """What a search of triggers asks for, in both spellings.

    `dateFilter` names the date that startDate, endDate and timeRange bound.
    """
    name = query.get("dateFilter") or "UPDATED"
    if name not in _TRIGGER_DATES:
        raise illegal(f"Expected dateFilter of {', '.join(_TRIGGER_DATES)}, but was {name!r}.")
    readers = {**_TRIGGER_READERS, **_window(_TRIGGER_DATES[name])}
    return conditions(query, _TRIGGER_FLAT, readers, now_us)


def _check_window(query: Query) -> None:
    if "timeRange" in query and "startDate" in query:
        raise illegal("Parameters 'startDate' and 'timeRange' exclude each other")
    start, end = query.get("startDate"), query.get("endDate")
    if start and end and instant_us(start) > instant_us(end):
        raise illegal("Start date must be before End Date")


def _window(field: str) -> dict[str, Reader]:
    """The readers that bound one date."""
    return {
        "startDate": bound(field, "GREATER_THAN_OR_EQUAL_TO"),
        "endDate": bound(field, "LESS_THAN_OR_EQUAL_TO"),
        "timeRange": since(field),
    }


#: Flat parameters of a search of executions; `state` may repeat and `endDate` is another's.
_FLAT = {
    "q": "EQUALS",
    "scope": "IN",
    "namespace": "PREFIX",
    "flowId": "EQUALS",
    "startDate": "GREATER_THAN_OR_EQUAL_TO",
    "timeRange": "EQUALS",
    "labels": "EQUALS",
    "triggerExecutionId": "EQUALS",
    "childFilter": "EQUALS",
    "kind": "IN",
}
_WHERE: dict[str, Reader] = {"q": search, "scope": scope, "namespace": text, "flowId": text}
_EXECUTION_READERS: dict[str, Reader] = {
    **_WHERE,
    "id": text,
    "executionId": text,
    "flowRevision": number,
    "parentId": text,
    "triggerExecutionId": text,
    "triggerId": text,
    "kind": kind,
    "state": state,
    "startDate": instant,
    "endDate": instant,
    "timeRange": since("startDate"),
    "labels": label,
    "childFilter": child,
}
_FLOW_READERS: dict[str, Reader] = {
    **_WHERE,
    "id": text,
    "flowRevision": number,
    "revision": renamed("flowRevision", number),
    "labels": label,
}
_LINE_FLAT = {
    "q": "EQUALS",
    "scope": "IN",
    "namespace": "PREFIX",
    "flowId": "EQUALS",
    "executionId": "EQUALS",
    "taskId": "EQUALS",
    "taskRunId": "EQUALS",
    "triggerId": "EQUALS",
    "attempt": "EQUALS",
    "minLevel": "EQUALS",
    "level": "EQUALS",
    "startDate": "EQUALS",
    "endDate": "EQUALS",
    "timeRange": "EQUALS",
}
_LINE_READERS: dict[str, Reader] = {
    **_WHERE,
    **_window("timestamp"),
    "timestamp": instant,
    "executionId": text,
    "taskId": text,
    "taskRunId": text,
}
_LOG_READERS: dict[str, Reader] = {
    **_LINE_READERS,
    "triggerId": text,
    "attempt": number,
    "attemptNumber": renamed("attempt", number),
    "minLevel": level,
    "level": level,
    "kind": kind,
    "executionKind": renamed("kind", kind),
}
_METRIC_READERS: dict[str, Reader] = {
    **_LINE_READERS,
    "name": text,
    "type": text,
    "value": number,
}
#: Kestra's names of the dates of a trigger, and ours.
_TRIGGER_DATES = {
    "UPDATED": "updatedAt",
    "LAST_TRIGGERED_DATE": "lastTriggeredDate",
    "NEXT_EXECUTION_DATE": "nextEvaluationDate",
}
_TRIGGER_FLAT = {
    "q": "EQUALS",
    "scope": "IN",
    "namespace": "PREFIX",
    "flowId": "EQUALS",
    "triggerId": "EQUALS",
    "workerId": "EQUALS",
}
#: Every flat parameter that some search narrows by.
_FILTERS = _FLAT.keys() | _LINE_FLAT.keys() | _TRIGGER_FLAT.keys() | {"state"}
_TRIGGER_READERS: dict[str, Reader] = {
    **_WHERE,
    "triggerId": text,
    "id": renamed("triggerId", text),
    "workerId": text,
    "executionId": text,
    "kind": text,
    "triggerState": switched("disabled", "DISABLED", "ENABLED"),
    "locked": switched("locked", "TRUE", "FALSE"),
    "lastTriggeredDate": instant,
    "nextEvaluationDate": instant,
    "nextExecutionDate": renamed("nextEvaluationDate", instant),
    "updatedAt": instant,
}
#: Table of `repository.aggregates` -> its fields and what they make of a condition.
READERS: Mapping[str, Mapping[str, Reader]] = {
    "executions": _EXECUTION_READERS,
    "flows": {name: reader for name, reader in _FLOW_READERS.items() if name != "labels"},
    "logs": _LOG_READERS,
    "metrics": _METRIC_READERS,
    "triggers": {**_TRIGGER_READERS, **_window("updatedAt")},
}
