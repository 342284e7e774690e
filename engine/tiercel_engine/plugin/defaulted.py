"""Flows with plugin defaults of their own, in JSON Schema: no author need write what these give.

What a flow's own defaults give cannot be told by a schema. So there is a second definition of every
task and trigger, which requires nothing but an id and a type, and a flow that has defaults is
checked by these, at any depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Schema = dict[str, Any]

REF = "#/definitions/"
SUFFIX = "-defaulted"
#: In front of the name of a kind: the list of its types alone.
ANY = "any-"
_IDENTITY = ("id", "type")
_HAS_DEFAULTS: Schema = {
    "anyOf": [{"required": ["pluginDefaults"]}, {"required": ["taskDefaults"]}]
}


def with_defaulted(
    whole: Mapping[str, Schema], flow: str, kinds: Iterable[str], types: Iterable[str]
) -> dict[str, Schema]:
    """The definitions that are added, or take the place of others.

    Args:
        whole: all definitions by name.
        flow: the flow's.
        kinds: those that hand over to types.
        types: those that require properties.
    """
    types, kinds = frozenset(types), tuple(kinds)
    marked = _reaching({*kinds, *types}, whole) - {flow}
    added = {
        name + SUFFIX: _redirected(
            _relaxed(whole[name]) if name in types else whole[name],
            lambda ref: ref + SUFFIX if ref in marked else ref,
        )
        for name in marked
    }
    for kind in kinds:
        added[ANY + kind] = {k: v for k, v in whole[kind].items() if k != "allOf"}
    added[flow] = _divided(whole[flow], marked, frozenset(kinds))
    return added


def _divided(flow: Schema, marked: frozenset[str], kinds: frozenset[str]) -> Schema:
    """A flow whose tasks and triggers are checked by whether it has defaults."""
    properties = flow["properties"]
    divided = [name for name, each in properties.items() if not marked.isdisjoint(refs(each))]
    strict = {name: properties[name] for name in divided}
    lenient = {
        name: _redirected(each, lambda ref: ref + SUFFIX if ref in marked else ref)
        for name, each in strict.items()
    }
    # What editors without conditions see: the lists, and of which kind their members are.
    plain = {
        name: _redirected(each, lambda ref: ANY + ref)
        if kinds.issuperset(refs(each))
        else {key: value for key, value in each.items() if key != "items"}
        for name, each in strict.items()
    }
    return {
        **flow,
        "properties": {**properties, **plain},
        "if": _HAS_DEFAULTS,
        "then": {"properties": lenient},
        "else": {"properties": strict},
    }


def _relaxed(schema: Schema) -> Schema:
    required = [name for name in schema.get("required", ()) if name in _IDENTITY]
    # Alternatives at the top are names of one required property.
    return {**{k: v for k, v in schema.items() if k != "anyOf"}, "required": required}


def _reaching(names: Iterable[str], whole: Mapping[str, Schema]) -> frozenset[str]:
    """The names, and all definitions that refer to one of them at whatever depth."""
    referring: dict[str, set[str]] = {}
    for name, schema in whole.items():
        for ref in refs(schema):
            referring.setdefault(ref, set()).add(name)
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += referring.get(name, ())
    return frozenset(found)


def _redirected(value: Any, to: Callable[[str], str]) -> Any:
    """The same with other references."""
    if isinstance(value, list):
        return [_redirected(item, to) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("$ref"), str):
        return {**value, "$ref": REF + to(value["$ref"].removeprefix(REF))}
    return {key: _redirected(part, to) for key, part in value.items()}


def refs(value: Any) -> list[str]:
    """Names of the definitions that a schema refers to itself."""
    found: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                found.append(part["$ref"].removeprefix(REF))
            waiting += part.values()
    return found
