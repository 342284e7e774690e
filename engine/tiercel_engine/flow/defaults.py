"""Plugin defaults: properties that every task or trigger of a type gets.

The order is server, then flow: later ones win. The task's own properties win over those, and
forced defaults win over the task. Maps are merged deeply, anything else is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: What a default can never set: they say which task it is.
_IDENTITY = ("id", "type")


@dataclass(frozen=True, slots=True)
class TypeDefault:
    """Properties for all types that are `type` or begin with it followed by a dot."""

    type: str
    values: dict[str, Any]
    forced: bool = False

    def covers(self, names: Sequence[str]) -> bool:
        """Whether it applies to a type that has these names."""
        return any(name == self.type or name.startswith(self.type + ".") for name in names)


def apply_defaults(
    properties: dict[str, Any], names: Sequence[str], defaults: Sequence[TypeDefault]
) -> dict[str, Any]:
    """The properties with all defaults merged in; the same object when none applies.

    Args:
        properties: as written.
        names: the type's name today and its older names.
        defaults: in the order server, flow.
    """
    covering = [default for default in defaults if default.covers(names)]
    if not covering:
        return properties
    base: dict[str, Any] = {}
    for default in covering:
        if not default.forced:
            base = merge(base, default.values)
    merged = merge(base, properties)
    for default in covering:
        if default.forced:
            merged = merge(merged, default.values)
    identity = {key: properties[key] for key in _IDENTITY if key in properties}
    return {**identity, **{k: v for k, v in merged.items() if k not in _IDENTITY}}


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """A new map with the entries of both; `above` wins, maps are merged. Neither is changed."""
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[key] = merge(known, value)
        else:
            merged[key] = value
    return merged
