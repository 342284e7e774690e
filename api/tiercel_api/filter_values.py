"""One condition of a filter: what a field makes of its operator and its texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

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


def illegal(message: str) -> HttpError:
    return HttpError(422, "Illegal argument", message)


def _check(leaf: Written, operators: frozenset[str]) -> None:
    if leaf.operator not in operators:
        raise illegal(f"Unsupported filter: {leaf.field} with {leaf.operator}.")


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
            raise illegal(f"Expected a whole number for {leaf.field}, but it was {value!r}.")
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
            raise illegal(str(error)) from None
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
                raise illegal(f"Expected {on} or {off}, but it was {name!r}.")
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
        raise illegal("Expected filters[labels][REGEX][key]: a pattern is of one label's values.")
    pairs = [label_of(value) for value in leaf.values]
    members = [Term("labels", leaf.operator, (value,), key) for key, value in pairs]
    return members[0] if len(members) == 1 else Group(members, is_any=leaf.operator == "IN")


def label_of(pair: str) -> tuple[str, str]:
    """`key:value`; the key ends at the first colon."""
    key, separator, value = pair.partition(":")
    if not separator or not key.strip():
        raise illegal(f"Invalid queryString parameter: {pair!r}")
    return key.strip(), value.strip()


def search(leaf: Written, now_us: int) -> Condition:
    """`q`: part of an id, a namespace or a flow."""
    _check(leaf, frozenset({"EQUALS", "NOT_EQUALS", "CONTAINS", "NOT_CONTAINS"}))
    return Term("q", leaf.operator, (leaf.text,))


def child(leaf: Written, now_us: int) -> Condition:
    """Whether another execution started it."""
    _check(leaf, frozenset({"EQUALS", "NOT_EQUALS"}))
    if leaf.text not in ("CHILD", "MAIN"):
        raise illegal(f"Expected CHILD or MAIN, but it was {leaf.text!r}.")
    is_child = (leaf.text == "CHILD") == (leaf.operator == "EQUALS")
    return Term("triggerExecutionId", "IS_NOT_NULL" if is_child else "IS_NULL")


def scope(leaf: Written, now_us: int) -> Condition:
    """USER, SYSTEM or both; SYSTEM is what lies in the namespace of that name."""
    _check(leaf, _EQUALITIES)
    names = set(leaf.values)
    if not names <= {"USER", "SYSTEM"}:
        raise illegal(f"Expected USER or SYSTEM, but it was {leaf.text!r}.")
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
        raise illegal(f"Expected a date with a zone, but it was {written!r}.")
    return round(moment.timestamp() * 1_000_000)
