"""What pydantic found wrong with a flow, in the words, paths and order that clients know.

Two kinds of findings. A *shape* finding is one that the peer's reader stops at: unknown property,
unknown type, wrong type; its path is the chain of classes and properties. A *rule* finding is a
value of the right shape that is refused: missing, pattern, range; its path is `tasks[0].id`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from tiercel_engine.errors import InvalidFlow, Violation
from tiercel_engine.flow.base import Part
from tiercel_engine.flow.source import Document, Location

#: More than an author reads at once; a broken generator of flows can make 100,000.
VIOLATIONS_MAX = 100

_RULES = {
    "rule": "{message}",
    "greater_than_equal": "must be greater than or equal to {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be less than or equal to {le}",
    "less_than": "must be less than {lt}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
_PEER_TYPES = {
    "string": "java.lang.String",
    "int": "java.lang.Integer",
    "bool": "java.lang.Boolean",
    "float": "java.lang.Double",
    "list": "java.util.ArrayList",
    "dict": "java.util.LinkedHashMap",
}

Classes = Mapping[int, type[Part]]


def invalid_flow(
    error: ValidationError, document: Document, classes: Classes, what: str = "flow"
) -> InvalidFlow:
    """The error to raise for what pydantic found; from its first `VIOLATIONS_MAX` findings.

    Args:
        error: what pydantic says.
        document: what was read.
        classes: which model read each mapping, by the mapping's id().
        what: was to be read.
    """
    shapes: list[Violation] = []
    rules: list[Violation] = []
    unknown: list[tuple[str, Location]] = []
    seen: set[tuple[str | int, ...]] = set()
    for details in error.errors(include_url=False)[:VIOLATIONS_MAX]:
        kind, location = str(details["type"]), details["loc"]
        if kind == "missing":
            rules += _missing(location, document)
        elif kind in _RULES:
            rules.append(_rule(_RULES[kind].format(**details.get("ctx", {})), location, document))
        elif kind == "extra_forbidden":
            shapes.append(_unknown_property(location, document, classes))
        elif kind == "unknown_type":
            unknown.append((details["msg"], location))
        else:
            # A property that takes several types is reported once per type: the first will do.
            place = tuple(_at(location, document))
            if place not in seen:
                shapes.append(_wrong_type(details, document, classes))
            seen.add(place)
    shapes += _unknown_types(unknown, document, classes)
    shapes.sort(key=lambda violation: (violation.line, violation.column))
    if shapes:
        message = "\n".join(
            (f"Illegal {what} yaml: " if violation.path == "yaml" else "") + violation.message
            for violation in shapes
            if not violation.message.startswith("Could not resolve")
        )
    else:
        message = "".join(f"{violation.path}: {violation.message}\n" for violation in rules)
    return InvalidFlow(message, (*shapes, *rules))


def dotted(location: Location) -> str:
    """A location as `tasks[0].id`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def chain(location: Location, document: Document, classes: Classes) -> str:
    """A location as the peer's readers write it: classes and the properties in them."""
    steps = []
    for container, key in document.walk(location):
        if isinstance(container, list):
            steps.append(f"java.util.ArrayList[{key}]")
        else:
            steps.append(f'{_name_of(container, classes)}["{key}"]')
    return "->".join(steps)


def _name_of(container: Any, classes: Classes) -> str:
    cls = classes.get(id(container))
    if cls is None:
        return "java.util.LinkedHashMap"
    return cls.PEER_NAME or str(getattr(cls, "TYPE", "")) or cls.__qualname__


def _at(location: Location, document: Document) -> Location:
    """The part of a location that exists in the document, without pydantic's own marks."""
    return [key for _, key in document.walk(location)]


def _rule(message: str, location: Location, document: Document) -> Violation:
    return Violation(dotted(_at(location, document)), message, *document.position(location))


def _missing(location: Location, document: Document) -> list[Violation]:
    name = str(location[-1])
    messages = ["must not be null"]
    if name == "id":
        messages.append("must not be blank")
    elif name == "tasks":
        messages = ["must not be empty"]
    path = dotted([*_at(location[:-1], document), name])
    return [Violation(path, message, *document.position(location)) for message in messages]


def _unknown_property(location: Location, document: Document, classes: Classes) -> Violation:
    container = document.value_at(location[:-1])
    cls = classes.get(id(container))
    known = cls.known_properties() if cls is not None else []
    names = ", ".join(f'"{name}"' for name in known)
    message = (
        f'Unrecognized field "{location[-1]}" (class {_name_of(container, classes)}),'
        f" not marked as ignorable ({len(known)} known properties: {names})"
    )
    enclosing = chain(location[:-1], document, classes)
    path = f'{enclosing}{"->" if enclosing else ""}{_name_of(container, classes)}["{location[-1]}"]'
    return Violation(path, message, *document.position(location, of_key=True))


def _unknown_types(
    found: Sequence[tuple[str, Location]], document: Document, classes: Classes
) -> list[Violation]:
    """Two violations as the peer has them; the first names all types, and where others stand."""
    if not found:
        return []
    places = sorted((*document.position([*at, "type"]), message, at) for message, at in found)
    line, column, message, location = places[0]
    others = [f"{text} (line {row}, column {place})" for row, place, text, _ in places[1:]]
    path, name = chain(location, document, classes), message.removeprefix("Invalid type: ")
    unresolved = (
        f"Could not resolve type id '{name}' as a subtype of"
        " `io.kestra.core.models.Plugin`: No plugin registered for the defined type:"
        f" '{name}'\n at [Source: (StringReader); line: {line}, column: {column}]"
        f" (through reference chain: {path})"
    )
    messages = ("\n".join([message, *others]), unresolved)
    return [Violation(path, text, line, column) for text in messages]


def _wrong_type(details: Any, document: Document, classes: Classes) -> Violation:
    location = details["loc"]
    line, column = document.position(location)
    wanted = details.get("ctx", {}).get("class_name") or _PEER_TYPES.get(
        str(details["type"]).split("_")[0]
    )
    given = _token(details["input"])
    if wanted is not None:
        problem = f"Cannot deserialize value of type `{wanted}` from {given}"
    else:
        reason = str(details["msg"]).removeprefix("Value error, ")
        problem = f"Cannot deserialize value from {given}: {reason}"
    message = (
        f"{problem}\n at [Source: (StringReader); line: {line}, column: {column}]"
        f" (through reference chain: {chain(location, document, classes)})"
    )
    return Violation("yaml", message, line, column)


def _token(value: Any) -> str:
    if value is None:
        return "Null value (token `JsonToken.VALUE_NULL`)"
    if isinstance(value, list | tuple):
        return "Array value (token `JsonToken.START_ARRAY`)"
    if isinstance(value, dict):
        return "Object value (token `JsonToken.START_OBJECT`)"
    if isinstance(value, bool):
        return f"Boolean value (token `JsonToken.VALUE_{str(value).upper()}`)"
    if isinstance(value, int):
        return "Integer value (token `JsonToken.VALUE_NUMBER_INT`)"
    if isinstance(value, float):
        return "Floating-point value (token `JsonToken.VALUE_NUMBER_FLOAT`)"
    text = str(value)
    return f'String "{text if len(text) <= 200 else text[:200] + "…"}"'
