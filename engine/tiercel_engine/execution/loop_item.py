"""What one time through a Loop sees: its item, and the variables of the execution around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tiercel_schemas.common import LoopRun

JsonObject = dict[str, Any]

#: Root variables that are those of the execution around.
TAKEN = ("execution", "inputs", "trigger", "schedule", "vars", "labels")
#: Root variables that have what is around, and over it what is inside.
MERGED = ("outputs", "tasks")


def in_loop(own: JsonObject, loop: LoopRun, is_wanted: Callable[[str], bool]) -> JsonObject:
    """An execution's own variables with those of the execution around it, and its item."""
    around = msgspec.json.decode(loop.variables.json or "{}", type=dict[str, msgspec.Raw])
    variables = {
        **own,
        **{name: around[name] for name in TAKEN if name in around and is_wanted(name)},
    }
    for name in MERGED:
        if name in around and is_wanted(name):
            outer = msgspec.json.decode(around[name], type=dict[str, msgspec.Raw])
            variables[name] = {**outer, **own.get(name, {})}
    variables["item"] = item_of(loop)
    return variables


def item_of(loop: LoopRun) -> JsonObject:
    """`item`: value, index, key, and the items of the loops around, outermost first."""
    parents: list[JsonObject] = msgspec.json.decode(loop.parents)
    item: JsonObject = {"value": loop.value, "index": loop.index}
    if loop.key is not None:
        item["key"] = loop.key
    if parents:
        item |= {"parents": parents, "parent": parents[-1]}
    return item


def parents_inside(loop: LoopRun | None) -> str:
    """The items around a loop in an execution that is itself one time through `loop`."""
    if loop is None:
        return "[]"
    item = {name: value for name, value in item_of(loop).items() if not name.startswith("parent")}
    return msgspec.json.encode([*msgspec.json.decode(loop.parents), item]).decode()
