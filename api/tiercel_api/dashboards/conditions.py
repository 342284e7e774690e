"""Conditions of a chart: as they are written -> as the read model takes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from tiercel_api.dashboards.parts import ConditionPart
from tiercel_api.errors import HttpError
from tiercel_api.filter_values import instant_us
from tiercel_engine.errors import UserError
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.repository import patterns
from tiercel_engine.repository.aggregates import FIELDS, Kind
from tiercel_engine.repository.query import LEVELS
from tiercel_engine.repository.terms import ORDER_OPERATORS, TEXT_OPERATORS, Condition, Group, Term

#: Type of a condition -> the operator that it stands for.
OPERATORS = {
    "EQUAL_TO": "EQUALS",
    "NOT_EQUAL_TO": "NOT_EQUALS",
    **{
        name: name
        for name in (
            "IN", "NOT_IN", "CONTAINS", "STARTS_WITH", "ENDS_WITH", "REGEX", "IS_NULL",
            "IS_NOT_NULL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL_TO", "LESS_THAN",
            "LESS_THAN_OR_EQUAL_TO",
        )
    },
}  # fmt: skip
_DEPTH_MAX = 3
_NAME = re.compile(r"[A-Z][A-Z_]*")


class Refused(Exception):
    """A condition that does not hold as it is written: what is wrong with it."""


def field_name(written: str) -> str:
    """`FLOW_ID` as the API names it: `flowId`."""
    first, *rest = written.lower().split("_")
    return first + "".join(part.capitalize() for part in rest)


def written_name(name: str) -> str:
    """`flowId` as authors write it: `FLOW_ID`."""
    return re.sub(r"(?=[A-Z])", "_", name).upper()


def kind_of(table: str, written: str) -> tuple[str, Kind]:
    """The field that an author names, and what it holds.

    Raises:
        Refused: the table has none of that name.
    """
    fields = FIELDS[table]
    name = field_name(written)
    if _NAME.fullmatch(written) is None or name not in fields:
        known = ", ".join(map(written_name, fields))
        raise Refused(f"Expected a field of {known}, but it is {written!r}")
    return name, fields[name]


def terms(table: str, written: Sequence[ConditionPart]) -> list[Condition]:
    """Conditions without problems, as the read model takes them."""
    return [term(table, one) for one in written]


def term(table: str, written: ConditionPart, depth_left: int = _DEPTH_MAX) -> Condition:
    """One condition. Raises Refused."""
    if written.type == "OR":
        return _any_of(table, written, depth_left)
    operator = OPERATORS.get(written.type)
    if operator is None:
        raise Refused(f"Expected a type of {', '.join(OPERATORS)}, OR, but it is {written.type!r}")
    if written.field is None:
        raise Refused("field: must not be null")
    name, kind = kind_of(table, written.field)
    if kind is Kind.LABELS and not written.label_key:
        raise Refused("labelKey: must not be null with the field LABELS")
    allowed = TEXT_OPERATORS if kind in (Kind.TEXT, Kind.LABELS) else ORDER_OPERATORS
    if kind is Kind.TEXT:
        allowed |= ORDER_OPERATORS
    if operator not in allowed:
        raise Refused(f"Expected another type: {written.field} has no {written.type}")
    if operator.startswith("IS_"):
        return Term(name, operator, (), written.label_key or "")
    given = written.values if operator in ("IN", "NOT_IN") else [written.value]
    if not given or any(value is None or isinstance(value, list | dict) for value in given):
        needed = "values" if operator in ("IN", "NOT_IN") else "value"
        raise Refused(f"{needed}: must not be null")
    values = tuple(_value_of(kind, value) for value in given)
    if operator == "REGEX":
        try:
            patterns.compiled(str(values[0]))
        except UserError as error:
            raise Refused(str(error)) from None
    return Term(name, operator, values, written.label_key or "")


def _any_of(table: str, written: ConditionPart, depth_left: int) -> Group:
    if not depth_left or not written.values:
        raise Refused("values: Expected conditions, at most three levels of OR")
    try:
        parts = [
            ConditionPart.model_validate(one, by_alias=True, by_name=False)
            for one in written.values
        ]
    except ValidationError as error:
        raise Refused(f"values: {error.errors(include_url=False)[0]['msg']}") from None
    # The field that stands beside OR is that of conditions which name none.
    for part in parts:
        part.field = part.field or written.field
    return Group([term(table, part, depth_left - 1) for part in parts], is_any=True)


def _value_of(kind: Kind, value: Any) -> str | int | float:
    """What a field of this kind is compared with. Raises Refused."""
    if kind is Kind.NUMBER:
        return _number(value)
    if kind is Kind.DURATION:
        try:
            return parse_duration_s(value) * 1_000_000
        except ValueError as error:
            raise Refused(str(error)) from None
    if kind is Kind.INSTANT:
        try:
            return instant_us(str(value))
        except HttpError as error:
            raise Refused(str(error)) from None
    if kind is Kind.LEVEL:
        if str(value).upper() not in LEVELS:
            raise Refused(f"Expected one of {', '.join(LEVELS)}, but it is {value!r}")
        return LEVELS.index(str(value).upper())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Any) -> int | float:
    try:
        return value if isinstance(value, int | float) else float(value)
    except ValueError:
        raise Refused(f"Expected a number, but it is {value!r}") from None
