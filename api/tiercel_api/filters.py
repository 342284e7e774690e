"""`filters[field][OPERATOR]=value`, groups of them, and flat parameters -> conditions.

`filters[and][0][…]` and `filters[or][1][…]` are members of a group; a group inside a group nests
the same way. Whatever is not understood is refused, never ignored: an ignored filter would answer
with rows that nobody asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from multidict import MultiMapping

from tiercel_api.errors import HttpError
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.repository import patterns
from tiercel_engine.repository.query import LEVELS
from tiercel_engine.repository.terms import (
    ORDER_OPERATORS,
    TEXT_OPERATORS,
    Condition,
    Group,
    Term,
)
from tiercel_schemas.state import State

Query = MultiMapping[str]
#: Groups inside groups, and conditions of one request.
DEPTH_MAX = 3
TERMS_MAX = 200

_SEGMENT = re.compile(r"\[([^\[\]]*)\]")
_FILTER = re.compile(r"filters(?:\[[^\[\]]*\])+")
_MANY = frozenset({"EQUALS", "NOT_EQUALS", "IN", "NOT_IN", "PREFIX"})
_EQUALITIES = frozenset({"EQUALS", "NOT_EQUALS", "IN", "NOT_IN"})
_NULLS = frozenset({"IS_NULL", "IS_NOT_NULL"})
NUMBER_CHARS_MAX = 15

#: What a field makes of its operator and texts.
Reader = Callable[["Written", int], Condition]


@dataclass(frozen=True, slots=True)
class Written:
    """One condition as a request gives it."""

    field: str
    operator: str
    text: str
    key: str = ""

    @property
    def values(self) -> tuple[str, ...]:
        """The value, or several where the operator takes them."""
        texts = self.text.split(",") if self.operator in _MANY else [self.text]
        return tuple(text for text in texts if text != "" or len(texts) == 1)


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
            raise _illegal(f"Expected at most {TERMS_MAX} parameters.")
        if name.startswith("filters["):
            _place(root, name, value)
        elif name in flat and value != "":
            root.leaves.append(Written(name, flat[name], value))
        elif name in _FILTERS and name not in besides and value != "":
            # Another search knows it: whoever sends it here expects it to narrow this one.
            raise _illegal(f"Unsupported filter: {name}.")
    return _read(root, readers, now_us)


def _place(root: _Node, name: str, value: str) -> None:
    if not _FILTER.fullmatch(name):
        raise _illegal(f"Expected filters[field][OPERATOR], but it was {name!r}.")
    segments = _SEGMENT.findall(name)
    node, depth = root, 0
    while len(segments) > 2 and segments[0] in ("and", "or") and segments[1].isdecimal():
        depth += 1
        if depth > DEPTH_MAX:
            raise _illegal(f"Expected at most {DEPTH_MAX} groups inside each other.")
        node = node.groups.setdefault((segments[0], int(segments[1])), _Node())
        segments = segments[2:]
    if len(segments) not in (2, 3):
        raise _illegal(f"Expected filters[field][OPERATOR], but it was {name!r}.")
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
        raise _illegal(f"Unsupported filter: {leaf.field}.")
    return reader(leaf, now_us)


def _illegal(message: str) -> HttpError:
    return HttpError(422, "Illegal argument", message)


def _check(leaf: Written, operators: frozenset[str]) -> None:
    if leaf.operator not in operators:
        raise _illegal(f"Unsupported filter: {leaf.field} with {leaf.operator}.")


def text(leaf: Written, now_us: int) -> Condition:
    """A field of text."""
    _check(leaf, TEXT_OPERATORS)
    return _text_term(leaf, leaf.field)


def _text_term(leaf: Written, named: str, key: str = "") -> Term:
    if leaf.operator in _NULLS:
        return Term(named, leaf.operator, (), key)
    if leaf.operator == "REGEX":
        patterns.compiled(leaf.text)
    return Term(named, leaf.operator, leaf.values, key)


def equal(leaf: Written, now_us: int) -> Condition:
    """A field that is one of a few names."""
    _check(leaf, _EQUALITIES)
    return Term(leaf.field, leaf.operator, leaf.values)


def state(leaf: Written, now_us: int) -> Condition:
    """A state of executions."""
    _check(leaf, _EQUALITIES)
    for name in leaf.values:
        if name not in State.__members__:
            raise HttpError(400, "Bad Request", f"Expected a state, but it was {name!r}.")
    return equal(leaf, now_us)


def number(leaf: Written, now_us: int) -> Condition:
    """A whole number."""
    _check(leaf, ORDER_OPERATORS)
    if leaf.operator in _NULLS:
        return Term(leaf.field, leaf.operator)
    for value in leaf.values:
        if not value.isdecimal() or len(value) > NUMBER_CHARS_MAX:
            raise _illegal(f"Expected a whole number for {leaf.field}, but it was {value!r}.")
    return Term(leaf.field, leaf.operator, tuple(int(value) for value in leaf.values))


def instant(leaf: Written, now_us: int) -> Condition:
    """A date with a zone."""
    _check(leaf, ORDER_OPERATORS)
    if leaf.operator in _NULLS:
        return Term(leaf.field, leaf.operator)
    return Term(leaf.field, leaf.operator, tuple(map(instant_us, leaf.values)))


def kind(leaf: Written, now_us: int) -> Condition:
    """What an execution is for. None is NORMAL's other name."""
    _check(leaf, _EQUALITIES | _NULLS)
    if leaf.operator in _NULLS:
        operator = "EQUALS" if leaf.operator == "IS_NULL" else "NOT_EQUALS"
        return Term(leaf.field, operator, ("NORMAL",))
    return Term(leaf.field, leaf.operator, leaf.values)


def level(leaf: Written, now_us: int) -> Condition:
    """A level of lines. As in Kestra, EQUALS means it and those above, NOT_EQUALS those below."""
    _check(leaf, ORDER_OPERATORS - _NULLS)
    for name in leaf.values:
        if name.upper() not in LEVELS:
            raise HttpError(
                400, "Bad Request", f"Expected one of {', '.join(LEVELS)}, but was {name!r}."
            )
    ranks = tuple(LEVELS.index(name.upper()) for name in leaf.values)
    whole = {"EQUALS": "GREATER_THAN_OR_EQUAL_TO", "NOT_EQUALS": "LESS_THAN"}
    return Term("level", whole.get(leaf.operator, leaf.operator), ranks)


def since(field: str) -> Reader:
    """A reader of `timeRange`: `field` lies not longer ago than this duration."""

    def read(leaf: Written, now_us: int) -> Condition:
        _check(leaf, frozenset({"EQUALS"}))
        try:
            start_us = now_us - round(parse_duration_s(leaf.text) * 1_000_000)
        except ValueError as error:
            raise _illegal(str(error)) from None
        return Term(field, "GREATER_THAN_OR_EQUAL_TO", (start_us,))

    return read


def renamed(field: str, reader: Reader) -> Reader:
    """A reader of another name of a field."""

    def read(leaf: Written, now_us: int) -> Condition:
        return reader(replace(leaf, field=field), now_us)

    return read


def bound(field: str, operator: str) -> Reader:
    """A reader of `startDate` or `endDate`, which bound another field when they only equal."""

    def read(leaf: Written, now_us: int) -> Condition:
        given = operator if leaf.operator == "EQUALS" else leaf.operator
        return instant(replace(leaf, field=field, operator=given), now_us)

    return read


def switched(field: str, on: str, off: str) -> Reader:
    """A reader of a field that has two names in the API and is 0 or 1 in the tables."""

    def read(leaf: Written, now_us: int) -> Condition:
        _check(leaf, _EQUALITIES)
        names = {on: 1, off: 0}
        for name in leaf.values:
            if name.upper() not in names:
                raise _illegal(f"Expected {on} or {off}, but it was {name!r}.")
        return Term(field, leaf.operator, tuple(names[name.upper()] for name in leaf.values))

    return read


def label(leaf: Written, now_us: int) -> Condition:
    """`key:value`, or the key in the name and the value alone."""
    _check(leaf, TEXT_OPERATORS)
    if leaf.key:
        return _text_term(leaf, "labels", leaf.key)
    if leaf.operator in _NULLS:
        return Term("labels", leaf.operator, (), leaf.text)
    if leaf.operator == "REGEX":
        raise _illegal("Expected filters[labels][REGEX][key]: a pattern is of one label's values.")
    pairs = [label_of(value) for value in leaf.values]
    members = [Term("labels", leaf.operator, (value,), key) for key, value in pairs]
    return members[0] if len(members) == 1 else Group(members, is_any=leaf.operator == "IN")


def label_of(pair: str) -> tuple[str, str]:
    """`key:value`; the key ends at the first colon."""
    key, separator, value = pair.partition(":")
    if not separator or not key.strip():
        raise _illegal(f"Invalid queryString parameter: {pair!r}")
    return key.strip(), value.strip()


def search(leaf: Written, now_us: int) -> Condition:
    """`q`: part of an id, a namespace or a flow."""
    _check(leaf, frozenset({"EQUALS", "NOT_EQUALS", "CONTAINS", "NOT_CONTAINS"}))
    return Term("q", leaf.operator, (leaf.text,))


def child(leaf: Written, now_us: int) -> Condition:
    """Whether another execution started it."""
    _check(leaf, frozenset({"EQUALS", "NOT_EQUALS"}))
    if leaf.text not in ("CHILD", "MAIN"):
        raise _illegal(f"Expected CHILD or MAIN, but it was {leaf.text!r}.")
    is_child = (leaf.text == "CHILD") == (leaf.operator == "EQUALS")
    return Term("triggerExecutionId", "IS_NOT_NULL" if is_child else "IS_NULL")


def scope(leaf: Written, now_us: int) -> Condition:
    """USER, SYSTEM or both; SYSTEM is what lies in the namespace of that name."""
    _check(leaf, _EQUALITIES)
    names = set(leaf.values)
    if not names <= {"USER", "SYSTEM"}:
        raise _illegal(f"Expected USER or SYSTEM, but it was {leaf.text!r}.")
    if len(names) == 2:
        return Group(())
    is_system = (names == {"SYSTEM"}) == (leaf.operator in ("EQUALS", "IN"))
    return Term("namespace", "EQUALS" if is_system else "NOT_EQUALS", ("system",))


def instant_us(written: str) -> int:
    """ISO 8601 text with a zone, as microseconds since the epoch."""
    try:
        # A plus sign that was not quoted arrives as a blank.
        moment = datetime.fromisoformat(written.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _illegal(f"Expected a date with a zone, but it was {written!r}.")
    return round(moment.timestamp() * 1_000_000)


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
        raise _illegal(f"Expected dateFilter of {', '.join(_TRIGGER_DATES)}, but was {name!r}.")
    readers = {**_TRIGGER_READERS, **_window(_TRIGGER_DATES[name])}
    return conditions(query, _TRIGGER_FLAT, readers, now_us)


def _check_window(query: Query) -> None:
    if "timeRange" in query and "startDate" in query:
        raise _illegal("Parameters 'startDate' and 'timeRange' exclude each other")
    start, end = query.get("startDate"), query.get("endDate")
    if start and end and instant_us(start) > instant_us(end):
        raise _illegal("Start date must be before End Date")


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
