"""Conditions of a search as data: one term per field, operator and values, and groups of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

#: Operators that compare texts.
TEXT_OPERATORS = frozenset(
    {
        "EQUALS", "NOT_EQUALS", "IN", "NOT_IN", "STARTS_WITH", "ENDS_WITH", "CONTAINS",
        "NOT_CONTAINS", "PREFIX", "IS_NULL", "IS_NOT_NULL",
    }
)  # fmt: skip
#: Operators that compare instants.
INSTANT_OPERATORS = frozenset(
    {
        "EQUALS", "NOT_EQUALS", "GREATER_THAN", "GREATER_THAN_OR_EQUAL_TO", "LESS_THAN",
        "LESS_THAN_OR_EQUAL_TO", "IS_NULL", "IS_NOT_NULL",
    }
)  # fmt: skip


class Term(msgspec.Struct, frozen=True):
    """`field` (as the API names it) compared with any of `values`; of a label also its `key`."""

    field: str
    operator: str
    values: tuple[str | int, ...] = ()
    key: str = ""


class Group(msgspec.Struct, frozen=True):
    """All of its members, or any of them."""

    members: Sequence[Term | Group]
    is_any: bool = False


Condition = Term | Group


def holds(
    condition: Condition,
    fields: Mapping[str, str | None],
    labels: Callable[[], Mapping[str, str]],
) -> bool:
    """Whether a condition on texts holds for what is not in a database.

    Args:
        fields: field -> its value; those of `q` are all of them.
        labels: asked only when a term is about labels.
    """
    if isinstance(condition, Group):
        found = (holds(member, fields, labels) for member in condition.members)
        return any(found) if condition.is_any else all(found)
    if condition.field == "q":
        part = str(condition.values[0]).lower()
        has = any(part in value.lower() for value in fields.values() if value is not None)
        return has != condition.operator.startswith("NOT")
    if condition.field == "labels":
        return _compares(labels().get(condition.key), condition)
    return _compares(fields.get(condition.field), condition)


def _compares(value: str | None, term: Term) -> bool:
    """As the database does it; a negated operator also holds where there is no value."""
    texts = [str(one) for one in term.values]
    if term.operator in ("IS_NULL", "IS_NOT_NULL"):
        return (value is None) == (term.operator == "IS_NULL")
    positive = term.operator.removeprefix("NOT_")
    is_negated = positive != term.operator
    if value is None:
        return is_negated
    match positive:
        case "EQUALS" | "IN":
            found = value in texts
        case "STARTS_WITH":
            found = value.startswith(texts[0])
        case "ENDS_WITH":
            found = value.endswith(texts[0])
        case "CONTAINS":
            found = texts[0].lower() in value.lower()
        case "PREFIX":
            found = any(value == text or value.startswith(f"{text}.") for text in texts)
        case _:
            raise AssertionError(f"Expected an operator on texts, but it is {term.operator}.")
    return found != is_negated
