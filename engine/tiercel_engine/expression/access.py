"""What `a.b`, `a[b]` and `a.b()` reach: keys, indices and a closed table of harmless methods.

No Python attribute is ever looked up by a name from a template: a name is a key of a map or a row
of `METHODS`, and nothing else. That is the whole sandbox of attribute access.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tiercel_engine.expression.faults import Fault, LimitFault, Missing
from tiercel_engine.expression.limits import COMPARED_NODES_MAX, OUTPUT_CHARS_MAX, QUICK_MATCH_S
from tiercel_engine.expression.operators import has
from tiercel_engine.expression.regex import split
from tiercel_engine.expression.text import java_text, scalar_text
from tiercel_engine.expression.values import (
    MapEntry,
    as_list,
    entries,
    is_number,
    is_sequence,
    whole_number,
)


def attribute(target: Any, name: str, line: int) -> Any:
    """The value of `target.name`.

    Raises:
        Missing: there is no such key or property, or `target` is null.
    """
    if type(target) is dict:
        try:
            return target[name]
        except KeyError:
            raise Missing(name, line) from None
    if isinstance(target, MapEntry):
        if name in ("key", "value"):
            return target.key if name == "key" else target.value
    elif isinstance(target, Mapping):
        try:
            return target[name]
        except KeyError:
            raise Missing(name, line) from None
    elif target is not None:
        method = _method(target, _PROPERTIES.get(name, name) if is_property(name) else "")
        if method is not None:
            return method(target)
    raise Missing(name, line)


def is_property(name: str) -> bool:
    """Whether a method of no arguments may be read without parentheses."""
    return name in _PROPERTIES


def subscript(target: Any, key: Any, line: int) -> Any:
    """The value of `target[key]`.

    Raises:
        Missing: there is no such key or index, or `target` is null.
        Fault: the key's kind cannot be one of this target.
    """
    if isinstance(target, Mapping) and not isinstance(target, MapEntry):
        return _entry(target, key, line)
    if is_sequence(target):
        if isinstance(key, str) and not (key.isascii() and key.isdigit() and len(key) < 10):
            return attribute(target, key, line)
        items = as_list(target)
        index = int(key) if isinstance(key, str) else whole_number(key)
        if index is None:
            raise Missing(java_text(key), line)
        if 0 <= index < len(items):
            return items[index]
        raise Missing(str(index), line)
    if isinstance(key, str):
        return attribute(target, key, line)
    raise Missing(java_text(key), line)


def _entry(target: Mapping[Any, Any], key: Any, line: int) -> Any:
    try:
        return target[key]
    except TypeError:
        raise Fault(f"Expected a key, but was {java_text(key)}") from None
    except KeyError:
        pass
    if is_number(key):
        # JSON has only text keys: a number finds the key of that text.
        try:
            return target[java_text(key)]
        except KeyError:
            pass
    raise Missing(java_text(key), line)


def call_method(target: Any, name: str, args: list[Any], line: int) -> Any:
    """The value of `target.name(args)`.

    Raises:
        Missing: no such method, or `target` is null.
        Fault: the arguments do not fit.
    """
    method = _method(target, name)
    if method is None:
        raise Missing(name, line)
    try:
        return method(target, *args)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as e:
        raise Fault(f"The arguments of {name}() do not fit", line) from e


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text wanted")
    return str(value)


def _replaced(value: str, old: Any, new: Any) -> str:
    old, new = _text(old), _text(new)
    if len(value) + value.count(old) * len(new) > OUTPUT_CHARS_MAX:
        raise LimitFault(f"Expected a text of at most {OUTPUT_CHARS_MAX} characters")
    return value.replace(old, new)


def _repeated(value: str, times: Any) -> str:
    if len(value) * int(times) > OUTPUT_CHARS_MAX:
        raise LimitFault(f"Expected a text of at most {OUTPUT_CHARS_MAX} characters")
    return value * int(times)


def _substring(value: str, start: Any, end: Any = None) -> str:
    stop = len(value) if end is None else int(end)
    if not 0 <= int(start) <= stop <= len(value):
        raise IndexError(start)
    return value[int(start) : stop]


def _item(value: Any, index: Any) -> Any:
    if int(index) < 0:
        raise IndexError(index)
    return as_list(value)[int(index)]


def _contains(items: Any, item: Any) -> bool:
    return has(items, item, [2 * COMPARED_NODES_MAX])


def _index_of(items: list[Any], item: Any) -> int:
    steps = [2 * COMPARED_NODES_MAX]
    return next((at for at, each in enumerate(items) if has([each], item, steps)), -1)


_STRING: dict[str, Callable[..., Any]] = {
    "length": len,
    "isEmpty": lambda s: not s,
    "isBlank": lambda s: not s.strip(),
    "toUpperCase": lambda s: s.upper(),
    "toLowerCase": lambda s: s.lower(),
    "trim": lambda s: s.strip(),
    "strip": lambda s: s.strip(),
    "contains": lambda s, part: _text(part) in s,
    "startsWith": lambda s, part: s.startswith(_text(part)),
    "endsWith": lambda s, part: s.endswith(_text(part)),
    "indexOf": lambda s, part: s.find(_text(part)),
    "lastIndexOf": lambda s, part: s.rfind(_text(part)),
    "substring": _substring,
    "replace": _replaced,
    "repeat": _repeated,
    "split": lambda s, pattern, limit=0: split(s, pattern, int(limit), QUICK_MATCH_S),
    "concat": lambda s, other: s + _text(other),
    "charAt": lambda s, index: _substring(s, index, int(index) + 1),
    "equals": lambda s, other: s == other,
    "equalsIgnoreCase": lambda s, other: s.casefold() == _text(other).casefold(),
    "toString": lambda s: s,
}
_LIST: dict[str, Callable[..., Any]] = {
    "size": len,
    "length": len,
    "isEmpty": lambda items: not items,
    "get": _item,
    "contains": _contains,
    "indexOf": lambda items, item: _index_of(as_list(items), item),
    "first": lambda items: _item(items, 0),
    "getFirst": lambda items: _item(items, 0),
    "getLast": lambda items: _item(items, len(items) - 1),
    "toString": java_text,
}
_MAP: dict[str, Callable[..., Any]] = {
    "size": len,
    "isEmpty": lambda m: not m,
    "get": lambda m, key: m.get(key),
    "getOrDefault": lambda m, key, other: m.get(key, other),
    "containsKey": lambda m, key: key in m,
    "containsValue": lambda m, item: _contains(m.values(), item),
    "keySet": lambda m: list(m),
    "values": lambda m: list(m.values()),
    "entrySet": entries,
    "toString": java_text,
}
_NUMBER: dict[str, Callable[..., Any]] = {
    "intValue": int,
    "longValue": int,
    "doubleValue": float,
    "floatValue": float,
    "toString": scalar_text,
}
_ENTRY: dict[str, Callable[..., Any]] = {
    "getKey": lambda entry: entry.key,
    "getValue": lambda entry: entry.value,
    "toString": java_text,
}
_OTHER: dict[str, Callable[..., Any]] = {"toString": java_text}

#: Kind -> the methods a template may call on it.
METHODS: dict[str, dict[str, Callable[..., Any]]] = {
    "string": _STRING,
    "list": _LIST,
    "map": _MAP,
    "number": _NUMBER,
    "entry": _ENTRY,
    "other": _OTHER,
}
#: Methods that may be read without parentheses, by the name of the property.
_PROPERTIES = {"size": "size", "length": "length", "empty": "isEmpty", "first": "first"}


def _method(target: Any, name: str) -> Callable[..., Any] | None:
    if isinstance(target, str):
        table = _STRING
    elif isinstance(target, MapEntry):
        table = _ENTRY
    elif isinstance(target, Mapping):
        table = _MAP
    elif is_sequence(target):
        table = _LIST
    elif is_number(target):
        table = _NUMBER
    elif target is None:
        return None
    else:
        table = _OTHER
    return table.get(name)
