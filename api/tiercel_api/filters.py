"""`filters[field][OPERATOR]=value`, groups of them, and flat parameters -> conditions.

`filters[and][0][…]` and `filters[or][1][…]` are members of a group; a group inside a group nests
the same way. Whatever is not understood is refused, never ignored: an ignored filter would answer
with rows that nobody asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from multidict import MultiMapping

from tiercel_api.errors import HttpError
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.repository.terms import (
    INSTANT_OPERATORS,
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
    query: Query, flat: Mapping[str, str], readers: Mapping[str, Reader], now_us: int
) -> list[Condition]:
    """What the query asks for: all of these.

    Args:
        flat: flat parameter -> operator that it stands for; parameters not named here are others'.
        readers: field -> what it makes of a condition.

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
    return Term(leaf.field, leaf.operator, leaf.values)


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


def instant(leaf: Written, now_us: int) -> Condition:
    """A date with a zone."""
    _check(leaf, INSTANT_OPERATORS)
    values = () if leaf.operator.startswith("IS_") else (instant_us(leaf.text),)
    return Term(leaf.field, leaf.operator, values)


def since(leaf: Written, now_us: int) -> Condition:
    """`timeRange`: not longer ago than this duration."""
    _check(leaf, frozenset({"EQUALS"}))
    try:
        start_us = now_us - round(parse_duration_s(leaf.text) * 1_000_000)
    except ValueError as error:
        raise _illegal(str(error)) from None
    return Term("startDate", "GREATER_THAN_OR_EQUAL_TO", (start_us,))


def label(leaf: Written, now_us: int) -> Condition:
    """`key:value`, or the key in the name and the value alone."""
    _check(leaf, TEXT_OPERATORS - {"PREFIX"})
    if leaf.key:
        return Term("labels", leaf.operator, leaf.values, leaf.key)
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
    if "timeRange" in query and "startDate" in query:
        raise _illegal("Parameters 'startDate' and 'timeRange' exclude each other")
    start, end = query.get("startDate"), query.get("endDate")
    if start and end and instant_us(start) > instant_us(end):
        raise _illegal("Start date must be before End Date")
    states = query.getall("state", [])
    found = conditions(query, _FLAT, _EXECUTION_READERS, now_us)
    if states:
        named = Written("state", "IN", ",".join(states))
        found.append(state(named, now_us))
    if end:
        # A flat end date bounds the start, as before 2.0.
        found.append(Term("startDate", "LESS_THAN_OR_EQUAL_TO", (instant_us(end),)))
    return found


def of_flows(query: Query) -> Sequence[Condition]:
    """What a search of flows asks for, in both spellings."""
    return conditions(query, _FLOW_FLAT, _FLOW_READERS, 0)


#: Flat parameters of a search; `state` may repeat and `endDate` is another's, see there.
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
_EXECUTION_READERS: dict[str, Reader] = {
    "q": search,
    "scope": scope,
    "namespace": text,
    "flowId": text,
    "id": text,
    "executionId": text,
    "parentId": text,
    "triggerExecutionId": text,
    "kind": equal,
    "state": state,
    "startDate": instant,
    "endDate": instant,
    "timeRange": since,
    "labels": label,
    "childFilter": child,
}
_FLOW_FLAT = {name: _FLAT[name] for name in ("q", "scope", "namespace", "flowId", "labels")}
_FLOW_READERS: dict[str, Reader] = {
    "q": search,
    "scope": scope,
    "namespace": text,
    "flowId": text,
    "id": text,
    "labels": label,
}
