"""Looking for a text in flows' sources, line by line, and putting another in its place.

Patterns are Java's, as in Kestra, and every match has a bound of time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from tiercel_engine.errors import UserError
from tiercel_engine.expression.faults import Fault, SlowFault
from tiercel_engine.expression.regex import Match, Pattern, compiled_pattern, expanded

PATTERN_CHARS_MAX = 200
REPLACEMENT_CHARS_MAX = 2_000
#: Lines longer than this are not looked into.
LINE_CHARS_MAX = 20_000
#: Seconds that one line may take, and all of a request.
LINE_S = 0.05
SEARCH_S_MAX = 10.0

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Where a search looks -> the properties of a flow that it means; ALL means the whole source.
SCOPES: dict[str, tuple[str, ...]] = {
    "ALL": (),
    "TASKS": ("tasks", "errors", "finally", "afterExecution"),
    "TRIGGERS": ("triggers",),
    "INPUTS": ("inputs",),
}


class BadSearch(UserError):
    """What is looked for is no text or pattern that can be looked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """One match. `line` counts from 1, `column` from 0."""

    line: int
    column: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One line before and after a replacement, and how many matches it had."""

    line: int
    before: str
    after: str
    count: int


def changed(source: str, changes: Iterable[Change]) -> str:
    """A source with its lines changed; the ends of lines stay."""
    lines = source.splitlines(keepends=True)
    for change in changes:
        end = lines[change.line - 1][len(change.before) :]
        lines[change.line - 1] = f"{change.after}{end}"
    return "".join(lines)


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, by one request: it has `SEARCH_S_MAX` from the time it is made.

    Attributes:
        text: a text, or with `is_regex` a pattern.
        scope: a name of `SCOPES`.
    """

    text: str
    case_sensitive: bool = False
    whole_word: bool = False
    is_regex: bool = False
    scope: str = "ALL"
    _pattern: Pattern = field(init=False, repr=False, compare=False)
    _until_s: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises BadSearch."""
        if not self.text or len(self.text) > PATTERN_CHARS_MAX:
            raise BadSearch(f"Expected a text of 1 to {PATTERN_CHARS_MAX} characters.")
        if self.scope not in SCOPES:
            raise BadSearch(f"Expected a scope of {', '.join(SCOPES)}, but was {self.scope!r}.")
        pattern = f"(?:{self.text})" if self.is_regex else re.escape(self.text)
        if self.whole_word:
            pattern = rf"\b{pattern}\b"
        written = pattern if self.case_sensitive else f"(?i){pattern}"
        try:
            object.__setattr__(self, "_pattern", compiled_pattern(written))
        except Fault as error:
            raise BadSearch(str(error)) from None
        object.__setattr__(self, "_until_s", time.monotonic() + SEARCH_S_MAX)

    def find(self, source: str) -> Iterator[Found]:
        """Every match, in order. Raises BadSearch: it takes too long."""
        lines = source.splitlines()
        for number in self._numbers(source, len(lines)):
            line = lines[number - 1]
            try:
                for match in self._in(line):
                    yield Found(number, match.start(), match.end(), line)
            except SlowFault as error:
                raise BadSearch(str(error)) from None

    def changes(
        self, source: str, replacement: str, line: int | None = None, column: int | None = None
    ) -> Iterator[Change]:
        """Each line that a replacement would change, in order.

        Args:
            replacement: of a pattern: `$1` and `${name}` stand for its groups.
            line: only there, from 1. `column`: only the match that begins there, from 0.

        Raises:
            BadSearch: the replacement does not hold, or it takes too long.
        """
        if len(replacement) > REPLACEMENT_CHARS_MAX:
            raise BadSearch(f"Expected at most {REPLACEMENT_CHARS_MAX} characters of replacement.")
        lines = source.splitlines()
        for number in self._numbers(source, len(lines)):
            if line is None or number == line:
                change = self._changed(number, lines[number - 1], replacement, column)
                if change.count:
                    yield change

    def _changed(self, number: int, before: str, replacement: str, column: int | None) -> Change:
        parts, at, count = [], 0, 0
        try:
            for match in self._in(before):
                if column is None or match.start() == column:
                    parts += [before[at : match.start()], self._instead(match, replacement)]
                    at, count = match.end(), count + 1
        except Fault as error:
            raise BadSearch(str(error)) from None
        return Change(number, before, "".join([*parts, before[at:]]), count)

    def _instead(self, match: Match, replacement: str) -> str:
        return expanded(match, replacement) if self.is_regex else replacement

    def _in(self, line: str) -> Iterator[Match]:
        if time.monotonic() > self._until_s:
            raise BadSearch(f"Expected a search of at most {SEARCH_S_MAX:g} s: narrow it.")
        if len(line) <= LINE_CHARS_MAX:
            for match in self._pattern.finditer(line, LINE_S):
                if match.end() > match.start():
                    yield match

    def _numbers(self, source: str, count: int) -> Iterator[int]:
        """The lines to look into, from 1."""
        if self.scope == "ALL":
            yield from range(1, count + 1)
            return
        wanted = SCOPES[self.scope]
        for name, first, after in _sections(source):
            if name in wanted:
                yield from range(first, min(after, count + 1))


def _sections(source: str) -> Iterator[tuple[str, int, int]]:
    """(property, its first line, the line after its last) of a flow; none when it does not read."""
    try:
        root = yaml.compose(source, Loader=_Loader)
    except yaml.YAMLError:
        return
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            after = value.end_mark.line + (1 if value.end_mark.column > 0 else 0)
            yield str(key.value), key.start_mark.line + 1, after + 1
