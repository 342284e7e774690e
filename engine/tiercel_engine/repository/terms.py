"""Conditions of a search as data: one term per field, operator and values, and groups of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from tiercel_engine.repository.patterns import Patterns

#: Operators that compare texts.
TEXT_OPERATORS = frozenset(
    {
        "EQUALS", "NOT_EQUALS", "IN", "NOT_IN", "STARTS_WITH", "ENDS_WITH", "CONTAINS",
        "NOT_CONTAINS", "PREFIX", "REGEX", "IS_NULL", "IS_NOT_NULL",
    }
)  # fmt: skip
#: Operators that compare numbers and instants.
ORDER_OPERATORS = frozenset(
    {
        "EQUALS", "NOT_EQUALS", "IN", "NOT_IN", "GREATER_THAN", "GREATER_THAN_OR_EQUAL_TO",
        "LESS_THAN", "LESS_THAN_OR_EQUAL_TO", "IS_NULL", "IS_NOT_NULL",
    }
)  # fmt: skip

#: What a field holds, and what it is compared with.
Value = str | int | float


class Term(msgspec.Struct, frozen=True):
    """`field` (as the API names it) compared with any of `values`; of a label also its `key`."""

    field: str
    operator: str
    values: tuple[Value, ...] = ()
    key: str = ""


class Group(msgspec.Struct, frozen=True):
    """All of its members, or any of them."""

    members: Sequence[Term | Group]
    is_any: bool = False


Condition = Term | Group


class Facts(msgspec.Struct, frozen=True):
    """What is known of one thing that no database holds.

    Attributes:
        fields: field -> its value.
        texts: what `q` looks into.
        labels: asked only when a term is about labels.
        patterns: the bound of the search that it is looked at by.
    """

    fields: Mapping[str, Value | None]
    texts: Sequence[str | None] = ()
    labels: Callable[[], Mapping[str, str]] = dict
    patterns: Patterns = msgspec.field(default_factory=Patterns)


def holds(condition: Condition, facts: Facts) -> bool:
    """Whether a condition holds, as the databases judge it. Raises SearchTooSlow."""
    if isinstance(condition, Group):
        found = (holds(member, facts) for member in condition.members)
        return any(found) if condition.is_any else all(found)
    if condition.field == "q":
        part = str(condition.values[0]).lower()
        has = any(part in text.lower() for text in facts.texts if text is not None)
        return has != condition.operator.startswith("NOT")
    if condition.field == "labels":
        return _compares(facts.labels().get(condition.key), condition, facts.patterns)
    return _compares(facts.fields.get(condition.field), condition, facts.patterns)


def leaves(conditions: Sequence[Condition]) -> Iterator[Term]:
    """Every term, however deep it stands."""
    for condition in conditions:
        if isinstance(condition, Group):
            yield from leaves(condition.members)
        else:
            yield condition


def _compares(value: Value | None, term: Term, patterns: Patterns) -> bool:
    """As the database does it; a negated operator also holds where there is no value."""
    if term.operator in ("IS_NULL", "IS_NOT_NULL"):
        return (value is None) == (term.operator == "IS_NULL")
    positive = term.operator.removeprefix("NOT_")
    is_negated = positive != term.operator
    if value is None:
        return is_negated
    if positive in ("EQUALS", "IN"):
        return (value in term.values) != is_negated
    if not isinstance(value, str):
        return _is_ordered(value, positive, term.values[0])
    return _is_like(value, positive, [str(one) for one in term.values], patterns) != is_negated


def _is_like(value: str, operator: str, texts: Sequence[str], patterns: Patterns) -> bool:
    match operator:
        case "STARTS_WITH":
            return value.startswith(texts[0])
        case "ENDS_WITH":
            return value.endswith(texts[0])
        case "CONTAINS":
            return texts[0].lower() in value.lower()
        case "PREFIX":
            return any(value == text or value.startswith(f"{text}.") for text in texts)
        case "REGEX":
            return patterns.matches(texts[0], value)
    raise AssertionError(f"Expected an operator on texts, but it is {operator}.")


def _is_ordered(value: float, operator: str, other: Value) -> bool:
    assert not isinstance(other, str), f"Expected a number, but it is {other!r}."
    match operator:
        case "GREATER_THAN":
            return value > other
        case "GREATER_THAN_OR_EQUAL_TO":
            return value >= other
        case "LESS_THAN":
            return value < other
        case "LESS_THAN_OR_EQUAL_TO":
            return value <= other
    raise AssertionError(f"Expected an operator on numbers, but it is {operator}.")
