"""YAML text of values in the peer's layout, and values of YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import yaml

from tiercel_engine.expression.faults import Fault, LimitFault
from tiercel_engine.expression.limits import OUTPUT_CHARS_MAX, STEPS_MAX, VALUE_DEPTH_MAX
from tiercel_engine.expression.text import json_text, offset_text, scalar_text, time_text
from tiercel_engine.expression.values import MapEntry, is_sequence

_LINE_CHARS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
#: Words that YAML 1.1 reads as something else than text.
_RESERVED = frozenset(
    {"", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n"}
    | {".nan", ".inf", "-.inf", "+.inf"}
)
_DOUBLE_QUOTED = re.compile(r": |:$| #|^#|[,\[\]{}]")
_SINGLE_QUOTED = re.compile(r"^[\s@`*&!|>%'\"]|\s$|^[-?:](?:\s|$)|^(?:\.\.\.|---)")
_NUMERIC = re.compile(r"[-+]?[0-9][0-9_.]*")


class _Loader(yaml.SafeLoader):
    """YAML as the peer reads it: dates stay text, `1e3` is a number and `12:30` is none."""


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag not in _NUMBERS]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _NUMBERS[0],
    re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    _NUMBERS[1],
    re.compile(
        r"(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9]+(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def from_yaml(source: str) -> Any:
    """The value that YAML text stands for.

    Raises:
        Fault: it is no YAML.
    """
    try:
        value = yaml.load(source, Loader=_Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as e:
        raise Fault(f"Invalid yaml: {e}") from e
    if value is None and not source.strip():
        raise Fault("Invalid yaml: No content to map due to end-of-input")
    return value


def yaml_text(value: Any) -> str:
    """A value as block YAML: no document start, few quotes, lists indented by one.

    Raises:
        LimitFault: it is too long or too deep.
    """
    if value is None:
        return "null"
    writer = _Writer()
    if isinstance(value, MapEntry):
        value = {value.key: value.value}
    if isinstance(value, Mapping) and value:
        writer.map(value, 0)
    elif is_sequence(value) and len(value):
        writer.list(value, 1)
    elif value == "" and isinstance(value, str):
        return '--- ""\n'
    else:
        writer.line(writer.inline(value, 2))
    return "".join(writer.parts)


class _Writer:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._left = OUTPUT_CHARS_MAX
        self._nodes = STEPS_MAX

    def line(self, text: str) -> None:
        self._left -= len(text) + 1
        if self._left < 0:
            raise LimitFault(f"Expected a text of at most {OUTPUT_CHARS_MAX} characters")
        self.parts.append(text + "\n")

    def _item(self, head: str, value: Any, indent: int) -> None:
        """`head` is what stands before the value; nested containers begin on the next line."""
        self._nodes -= 1
        if self._nodes < 0 or indent > VALUE_DEPTH_MAX * 2:
            raise LimitFault("A value is too large for YAML")
        if isinstance(value, MapEntry):
            value = {value.key: value.value}
        if isinstance(value, Mapping) and value:
            self.line(head)
            self.map(value, indent)
        elif is_sequence(value) and len(value):
            self.line(head)
            self.list(value, indent + (0 if head.endswith("-") else 1))
        else:
            # A literal block stands two columns behind its key, one behind its dash.
            column = len(head) - len(head.lstrip()) + (1 if head.endswith("-") else 2)
            self.line(f"{head} {self.inline(value, column)}")

    def map(self, value: Mapping[Any, Any], indent: int) -> None:
        for key, item in value.items():
            name = _key(scalar_text(key))
            self._item(f"{' ' * indent}{name}:", item, indent + (2 if is_map(item) else 0))

    def list(self, value: Any, indent: int) -> None:
        for item in value:
            inner = indent + 1 + (1 if is_sequence(item) else 0)
            self._item(f"{' ' * indent}-", item, inner)

    def inline(self, value: Any, indent: int) -> str:
        """What fits behind a key, or a literal block."""
        if isinstance(value, Mapping):
            return "{}"
        if is_sequence(value):
            return "[]"
        if value is None:
            return "null"
        if isinstance(value, datetime) and value.tzinfo is not None:
            day = value.date().isoformat()
            return f"{day}T{time_text(value, seconds=True)}{offset_text(value)}"
        if isinstance(value, date):
            return json_text(value)[1:-1]
        if isinstance(value, str):
            return _literal(str(value), indent) if "\n" in value else quoted(str(value))
        return json_text(value)


def is_map(value: Any) -> bool:
    """Whether it takes an indent of its own."""
    return isinstance(value, Mapping)


def _literal(text: str, indent: int) -> str:
    if _LINE_CHARS.search(text) or " \n" in text or text.endswith(" "):
        return json_text(text)
    hint = str(indent) if text[0] in " \n" else ""
    chomp = "" if text.endswith("\n") and not text.endswith("\n\n") else "-"
    if text.endswith("\n\n"):
        chomp = "+"
    body = text[:-1] if text.endswith("\n") else text
    pad = " " * indent
    return f"|{hint}{chomp}\n" + "\n".join(pad + line if line else "" for line in body.split("\n"))


def _key(text: str) -> str:
    """A key; one that looks like a number is quoted to stay text."""
    return json_text(text) if _NUMERIC.fullmatch(text) or "\n" in text else quoted(text)


def quoted(text: str) -> str:
    """A one-line text, with the quotes that YAML needs."""
    if text.lower() in _RESERVED or _LINE_CHARS.search(text):
        return json_text(text)
    if _DOUBLE_QUOTED.search(text):
        return json_text(text)
    if _SINGLE_QUOTED.search(text):
        return "'" + text.replace("'", "''") + "'"
    return text
