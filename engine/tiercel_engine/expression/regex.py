"""Java's regular expressions, kept from running away.

The engine is the package `regex`, because it can stop a match that backtracks for ever: every
operation has a bound of processor time. What a pattern may cost is told beforehand, too, so that
whoever must not block sends those that may take long elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from re import _constants as tree_codes  # type: ignore[attr-defined]
from re import _parser as tree_parser  # type: ignore[attr-defined]
from typing import Any, Protocol

import regex

from tiercel_engine.expression.faults import Fault, LimitFault, SlowFault
from tiercel_engine.expression.limits import (
    MATCH_S,
    OUTPUT_CHARS_MAX,
    PATTERN_CHARS_MAX,
    REGEX_TEXT_CHARS_MAX,
)

#: A repeat of more than this many rounds counts as one without end.
_ROUNDS_MAX = 64
#: Endless repeats of one pattern that may stand beside each other; each is a power of the text.
_REPEATS_MAX = 12
#: `Pattern.repeats` of a pattern that may backtrack without end.
WILD = 1_000

_CLASSES = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": "\\x00-\\x7f",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Punct": "!-/:-@\\[-`{-~",
    "Blank": " \\t",
    "XDigit": "0-9a-fA-F",
    "Space": " \\t\\n\\x0b\\f\\r",
}
_PROPERTY = re.compile(r"\\p\{(\w+)\}")
_NAMED_GROUP = re.compile(r"\(\?<(?![=!])")
_NAMED_REFERENCE = re.compile(r"\\k<(\w+)>")
_CHARACTER_CLASS = re.compile(r"\[(?:\\.|[^\]\\])*\]", re.DOTALL)


class Match(Protocol):
    """The part of a match that is used here."""

    def group(self, which: int | str = 0, /) -> str | None: ...

    def start(self) -> int: ...

    def end(self) -> int: ...


class Pattern:
    """A Java pattern compiled. Every operation ends in time, or with `SlowFault`.

    Attributes:
        repeats: how many endless repeats stand beside each other in it; `WILD` when it may
            backtrack without end.
    """

    __slots__ = ("_compiled", "repeats")

    def __init__(self, compiled: Any, repeats: int) -> None:
        self._compiled = compiled
        self.repeats = repeats

    def search(self, text: str, match_s: float = MATCH_S) -> Match | None:
        """The first match in a text."""
        return self._timed(self._compiled.search, text, match_s)

    def fullmatch(self, text: str, match_s: float = MATCH_S) -> Match | None:
        """The match of a whole text."""
        return self._timed(self._compiled.fullmatch, text, match_s)

    def finditer(self, text: str, match_s: float = MATCH_S) -> Iterator[Match]:
        """All matches one after the other."""
        try:
            yield from self._compiled.finditer(text, timeout=match_s, concurrent=True)
        except TimeoutError:
            raise _slow(match_s) from None

    def sub(self, expand: Callable[[Match], str], text: str, match_s: float = MATCH_S) -> str:
        """The text with every match replaced."""
        try:
            changed: str = self._compiled.sub(expand, text, timeout=match_s)
        except TimeoutError:
            raise _slow(match_s) from None
        return changed

    @staticmethod
    def _timed(operation: Callable[..., Any], text: str, match_s: float) -> Match | None:
        try:
            found: Match | None = operation(text, timeout=match_s, concurrent=True)
        except TimeoutError:
            raise _slow(match_s) from None
        return found


def _slow(match_s: float) -> SlowFault:
    return SlowFault(f"A regular expression took longer than {match_s:g} s")


@lru_cache(maxsize=512)
def compiled_pattern(pattern: str) -> Pattern:
    """A Java pattern compiled.

    Raises:
        Fault: it does not parse, or is too long.
    """
    if len(pattern) > PATTERN_CHARS_MAX:
        raise LimitFault(f"Expected a pattern of at most {PATTERN_CHARS_MAX} characters")
    translated = _NAMED_REFERENCE.sub(r"(?P=\1)", _NAMED_GROUP.sub("(?P<", pattern))
    translated = _properties(translated)
    try:
        compiled = regex.compile(translated)
    except (regex.error, OverflowError, RecursionError, ValueError) as e:
        raise Fault(f"Invalid regular expression: {pattern}") from e
    return Pattern(compiled, _repeats(translated))


def _repeats(translated: str) -> int:
    try:
        repeats = _endless(tree_parser.parse(translated), inside=False)
    except (re.error, OverflowError, RecursionError, _Wild):
        return WILD
    return WILD if repeats > _REPEATS_MAX else repeats


class _Wild(Exception):
    """A repeat stands in another one, so that there is no telling how long a match takes."""


def _properties(pattern: str) -> str:
    """`\\p{Alpha}` and its kin, inside and outside of brackets."""
    out: list[str] = []
    at = 0
    for found in _CHARACTER_CLASS.finditer(pattern):
        out.append(_PROPERTY.sub(_bracketed, pattern[at : found.start()]))
        out.append(_PROPERTY.sub(_named_class, found[0]))
        at = found.end()
    out.append(_PROPERTY.sub(_bracketed, pattern[at:]))
    return "".join(out)


def _named_class(found: re.Match[str]) -> str:
    name = found[1].removeprefix("Is")
    if name not in _CLASSES:
        raise Fault(f"Unknown character property name {{{found[1]}}}")
    return _CLASSES[name]


def _bracketed(found: re.Match[str]) -> str:
    return f"[{_named_class(found)}]"


def _endless(tree: Any, *, inside: bool) -> int:
    """How many endless repeats stand in a parsed pattern. Raises _Wild: one inside another."""
    count = 0
    for code, value in tree:
        if code in (tree_codes.MAX_REPEAT, tree_codes.MIN_REPEAT, tree_codes.POSSESSIVE_REPEAT):
            least, most, inner = value
            endless = most > _ROUNDS_MAX
            if inside and most != least:
                raise _Wild
            count += endless + _endless(inner, inside=inside or endless)
        else:
            if inside and code is tree_codes.BRANCH and not _distinct(value[1]):
                raise _Wild
            count += sum(_endless(part, inside=inside) for part in _parts(value))
    return count


def _distinct(alternatives: Any) -> bool:
    """Whether each alternative begins with another character, so that only one can fit."""
    firsts = [tuple(alternative[0]) if len(alternative) else None for alternative in alternatives]
    literal = all(first is not None and first[0] is tree_codes.LITERAL for first in firsts)
    return literal and len(set(firsts)) == len(firsts)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, tree_parser.SubPattern):
        return [value]
    if isinstance(value, (tuple, list)):
        return [part for each in value for part in _parts(each)]
    return []


def is_quick(pattern: str) -> bool:
    """Whether a pattern searches any text in a time that grows with its length only."""
    try:
        return compiled_pattern(pattern).repeats <= 1
    except Fault:
        return True


def pattern_for(pattern: Any, text: str) -> Pattern:
    """A compiled pattern fit to be searched in `text`.

    Raises:
        Fault: the pattern is no text, does not parse, or the text is too long for any.
    """
    if not isinstance(pattern, str):
        raise Fault("Expected a regular expression as text")
    if len(text) > REGEX_TEXT_CHARS_MAX:
        raise LimitFault(
            f"Expected a text of at most {REGEX_TEXT_CHARS_MAX} characters for a regular expression"
        )
    return compiled_pattern(pattern)


_REFERENCE = re.compile(r"\\(.)|\$(\d)|\$\{(\w+)\}|(\$)", re.DOTALL)


def replaced(text: str, pattern: str, replacement: str, match_s: float = MATCH_S) -> str:
    """`text` with every match replaced; `$1` and `${name}` stand for groups.

    Raises:
        Fault: the pattern or the replacement does not hold.
    """
    compiled = pattern_for(pattern, text)
    grown = 0

    def expand(found: Match) -> str:
        nonlocal grown
        piece = expanded(found, replacement)
        grown += len(piece)
        if grown > OUTPUT_CHARS_MAX:
            raise LimitFault(f"Expected a text of at most {OUTPUT_CHARS_MAX} characters")
        return piece

    return compiled.sub(expand, text, match_s)


def expanded(found: Match, replacement: str) -> str:
    """A replacement with the groups of a match in the place of `$1` and `${name}`.

    Raises:
        Fault: there is no such group, or the replacement does not read.
    """
    try:
        return _REFERENCE.sub(lambda reference: _referred(reference, found), replacement)
    except IndexError as e:
        raise Fault("No such group in the regular expression") from e


def _referred(reference: re.Match[str], found: Match) -> str:
    if reference[1] is not None:
        return reference[1]
    if reference[4] is not None:
        raise Fault("Illegal group reference in the replacement")
    group = found.group(int(reference[2])) if reference[2] else found.group(reference[3])
    return group or ""


def split(text: str, pattern: str, limit: int, match_s: float = MATCH_S) -> list[str]:
    """`text` split as Java does: a limit of 0 drops the empty texts at the end.

    Raises:
        Fault: the pattern does not hold.
    """
    parts: list[str] = []
    at = 0
    for found in pattern_for(pattern, text).finditer(text, match_s):
        if limit > 0 and len(parts) == limit - 1:
            break
        if found.end() == 0 or (found.start() == found.end() == len(text)):
            continue
        parts.append(text[at : found.start()])
        at = found.end()
    if not parts:
        return [text]
    parts.append(text[at:])
    if limit == 0:
        while parts and not parts[-1]:
            parts.pop()
    return parts
