"""YAML text to plain JSON data, with the position of every value.

Owns the bounds on what a source may cost to read. Built on the parser's event stream instead of
its composer: events let us stop at a bound before the text has been expanded, refuse duplicate
keys, and keep positions.

Scalars follow YAML 1.2: only true and false are booleans, dates and times stay text. Keys are
always text. What JSON cannot say (.inf, .nan, integers beyond 64 bits) stays text too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from tiercel_engine.errors import InvalidFlow, Violation

SOURCE_BYTES_MAX = 1_048_576
DEPTH_MAX = 100
_TOO_DEEP = f"Expected at most {DEPTH_MAX} levels of nesting, but there are more"
#: How newer versions of libyaml say that they read ahead into more levels than they take.
_READER_DEPTH = "maximum nesting depth"
#: Nodes after every alias has been expanded. A source of 1 MiB has at most half as many itself.
NODES_MAX = 200_000

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_CONSTANTS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip

Location = Sequence[str | int]


class Document:
    """The data of one YAML document and where each piece of it stands."""

    def __init__(self) -> None:
        self.data: Any = None
        self.line = 1
        # Keyed by id(): the containers live in `data`, so their ids stay theirs.
        self._entries: dict[int, dict[str | int, tuple[Any, Any]]] = {}
        self._starts: dict[int, Any] = {}

    def walk(self, location: Location) -> Iterator[tuple[Any, str | int]]:
        """Each (container, key) on the way to `location`; parts that lead nowhere are left out."""
        current = self.data
        for part in location:
            entries = self._entries.get(id(current))
            if entries is None:
                return
            is_there = part in current if isinstance(current, dict) else part in range(len(current))
            if is_there:
                yield current, part
                current = current[part]

    def value_at(self, location: Location) -> Any:
        """The value there, or the nearest that encloses it."""
        value: Any = self.data
        for container, key in self.walk(location):
            value = container[key]
        return value

    def position(self, location: Location, of_key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value there (or of its key), or of what encloses it."""
        mark: Any = self._starts.get(id(self.data))
        for container, key in self.walk(location):
            entry = self._entries[id(container)].get(key)
            if entry is not None:
                mark = entry[0] if of_key else entry[1]
        return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)

    def start_of(self, container: Any) -> tuple[int, int]:
        """Line and column of a mapping or sequence; (0, 0) when it is not of this document."""
        mark = self._starts.get(id(container))
        return (0, 0) if mark is None else (mark.line + 1, mark.column + 1)


class _Frame:
    """A mapping or sequence that is still open."""

    __slots__ = ("anchor", "container", "entries", "key", "key_mark", "nodes_before")

    def __init__(
        self, container: Any, entries: dict[Any, Any], anchor: str | None, nodes_before: int
    ) -> None:
        self.container = container
        self.entries = entries
        self.anchor = anchor
        self.nodes_before = nodes_before
        self.key: str | None = None
        self.key_mark: Any = None


class _Builder:
    """Builds one document from its events, without recursion."""

    def __init__(self) -> None:
        self.document = Document()
        self._stack: list[_Frame] = []
        #: Per anchor: its value, and its nodes once expanded; None while it is still open.
        self._anchors: dict[str, tuple[Any, int] | None] = {}
        self._nodes = 0

    def feed(self, event: Any) -> None:
        """Take the next event of the document."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open({}, event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open([], event)
        elif isinstance(event, yaml.CollectionEndEvent):
            frame = self._stack.pop()
            if frame.anchor is not None:
                self._anchors[frame.anchor] = (frame.container, self._nodes - frame.nodes_before)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)

    def _scalar(self, event: Any) -> None:
        self._count(1, event.start_mark)
        frame = self._stack[-1] if self._stack else None
        if frame is not None and isinstance(frame.container, dict) and frame.key is None:
            self._key(frame, event)
            return
        value = scalar(event.value) if event.implicit[0] else event.value
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._place(value, event.start_mark)

    def _key(self, frame: _Frame, event: Any) -> None:
        if event.value in frame.container:
            raise failure(f"Duplicate field '{event.value}'", event.start_mark)
        frame.key, frame.key_mark = event.value, event.start_mark

    def _open(self, container: Any, event: Any) -> None:
        self._count(1, event.start_mark)
        if len(self._stack) >= DEPTH_MAX:
            raise failure(
                _TOO_DEEP,
                event.start_mark,
            )
        self._place(container, event.start_mark)
        entries: dict[Any, Any] = {}
        self.document._entries[id(container)] = entries
        self.document._starts[id(container)] = event.start_mark
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Frame(container, entries, event.anchor, self._nodes - 1))

    def _alias(self, event: Any) -> None:
        known = self._anchors.get(event.anchor)
        if known is None:
            raise failure(
                f"Expected an anchor that stands before its alias, but *{event.anchor} has none",
                event.start_mark,
            )
        self._count(known[1], event.start_mark)
        self._place(known[0], event.start_mark)

    def _place(self, value: Any, mark: Any) -> None:
        """Put a finished or just opened value into what encloses it."""
        if not self._stack:
            self.document.data = value
            return
        frame = self._stack[-1]
        if isinstance(frame.container, list):
            frame.entries[len(frame.container)] = (mark, mark)
            frame.container.append(value)
        elif frame.key is None:
            raise failure("Expected text as a key, but it was an object, a list or an alias", mark)
        else:
            frame.container[frame.key] = value
            frame.entries[frame.key] = (frame.key_mark, mark)
            frame.key = None

    def _count(self, nodes: int, mark: Any) -> None:
        self._nodes += nodes
        if self._nodes > NODES_MAX:
            raise failure(
                f"Expected at most {NODES_MAX} values once aliases are expanded,"
                " but there are more",
                mark,
            )


def read(source: str) -> Document:
    """Read one YAML document.

    Raises:
        InvalidFlow: it is not one document of YAML, or passes a bound. One violation with the
            path `yaml` says what and where.
    """
    try:
        size_bytes = len(encoded := source.encode())
    except UnicodeEncodeError as error:
        line = source.count("\n", 0, error.start) + 1
        raise failure_at(
            "Expected Unicode text, but it has half a surrogate pair", line, 1
        ) from None
    if size_bytes > SOURCE_BYTES_MAX:
        raise failure_at(
            f"Expected a source of at most {SOURCE_BYTES_MAX} bytes, but it has {size_bytes}", 1, 1
        )
    try:
        return _build(source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = str(error.problem or error.context)
        raise failure(_TOO_DEEP if _READER_DEPTH in problem else problem, mark) from None
    except yaml.reader.ReaderError as error:
        # The reader counts bytes.
        line = encoded.count(b"\n", 0, error.position) + 1
        raise failure_at(f"Expected printable text, but {error.reason}", line, 1) from None


def _build(source: str) -> Document:
    builder = _Builder()
    documents = 0
    for event in yaml.parse(source, Loader=_Loader):
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise failure("Expected one document, but there are more", event.start_mark)
        builder.feed(event)
    return builder.document


def scalar(text: str) -> Any:
    """The value of a plain scalar: null, a boolean, a number, or the text itself."""
    if len(text) <= 5 and text in _CONSTANTS:
        return _CONSTANTS[text]
    first = text[0]
    if not (first.isdigit() or first in "+-."):
        return text
    if _INT.fullmatch(text):
        number = int(text, 0) if text[:2] in ("0x", "0o") else _decimal(text)
        return number if number is not None and -(2**63) <= number < 2**63 else text
    if _FLOAT.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else text
    return text


def _decimal(text: str) -> int | None:
    """The integer, or None for one that has more digits than any 64-bit number."""
    return int(text) if len(text) <= 20 else None


def failure(problem: str, mark: Any) -> InvalidFlow:
    """The error for text that cannot be read; `mark` counts from 0."""
    return (
        failure_at(problem, mark.line + 1, mark.column + 1) if mark else failure_at(problem, 1, 1)
    )


def failure_at(problem: str, line: int, column: int) -> InvalidFlow:
    """The error for text that cannot be read; `line` and `column` count from 1."""
    message = f"{problem}\n at [Source: (StringReader); line: {line}, column: {column}]"
    return InvalidFlow(f"Illegal flow yaml: {message}", (Violation("yaml", message, line, column),))
