"""Conditions of a search as data: one term per field, operator and values, and groups of them."""

from __future__ import annotations

from collections.abc import Sequence

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
