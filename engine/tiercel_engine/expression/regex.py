"""Java's regular expressions on Python's engine, kept from running away.

Python cannot stop a match that backtracks for ever, so patterns that can (`(a+)+`, `(a|a)*`) are
refused, and the more endless repeats a pattern has, the shorter the text it may search.
"""

from __future__ import annotations

import re
from functools import lru_cache
from re import _constants as tree_codes  # type: ignore[attr-defined]
from re import _parser as tree_parser  # type: ignore[attr-defined]
from typing import Any

from tiercel_engine.expression.faults import Fault, LimitFault
from tiercel_engine.expression.limits import (
    OUTPUT_CHARS_MAX,
    PATTERN_CHARS_MAX,
    REGEX_TEXT_CHARS_MAX,
)

#: A repeat of more than this many rounds counts as one without end.
_ROUNDS_MAX = 64
#: Endless repeats of one pattern that may stand beside each other; each is a power of the text.
_REPEATS_MAX = 12
#: Characters that a pattern may search, by its number of endless repeats; the last holds for more.
_TEXT_CHARS_MAX = (REGEX_TEXT_CHARS_MAX, 100_000, 5_000, 1_000)

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


@lru_cache(maxsize=512)
def compiled_pattern(pattern: str) -> tuple[re.Pattern[str], int]:
    """A Java pattern compiled, and how many endless repeats it holds.

    Raises:
        Fault: it does not parse, or could run for ever.
    """
    if len(pattern) > PATTERN_CHARS_MAX:
        raise LimitFault(f"Expected a pattern of at most {PATTERN_CHARS_MAX} characters")
    translated = _NAMED_REFERENCE.sub(r"(?P=\1)", _NAMED_GROUP.sub("(?P<", pattern))
    translated = _properties(translated)
    try:
        repeats = _endless(tree_parser.parse(translated), inside=False)
        compiled = re.compile(translated)
    except (re.error, OverflowError, RecursionError) as e:
        raise Fault(f"Invalid regular expression: {pattern}") from e
    if repeats > _REPEATS_MAX:
        raise LimitFault("A regular expression repeats too much")
    return compiled, repeats


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
    """How many endless repeats stand in a parsed pattern; refuses one inside another."""
    count = 0
    for code, value in tree:
        if code in (tree_codes.MAX_REPEAT, tree_codes.MIN_REPEAT, tree_codes.POSSESSIVE_REPEAT):
            least, most, inner = value
            endless = most > _ROUNDS_MAX
            if inside and most != least:
                raise LimitFault("A regular expression repeats what already repeats")
            count += endless + _endless(inner, inside=inside or endless)
        else:
            if inside and code is tree_codes.BRANCH and not _distinct(value[1]):
                raise LimitFault("A regular expression repeats alternatives that may overlap")
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
        return compiled_pattern(pattern)[1] <= 1
    except Fault:
        return True


def pattern_for(pattern: Any, text: str) -> re.Pattern[str]:
    """A compiled pattern fit to be searched in `text`.

    Raises:
        Fault: the pattern is no text, does not parse, or is too costly for so long a text.
    """
    if not isinstance(pattern, str):
        raise Fault("Expected a regular expression as text")
    compiled, repeats = compiled_pattern(pattern)
    if len(text) > _TEXT_CHARS_MAX[min(repeats, len(_TEXT_CHARS_MAX) - 1)]:
        raise LimitFault("A text is too long for so many repeats in a regular expression")
    return compiled


_REFERENCE = re.compile(r"\\(.)|\$(\d)|\$\{(\w+)\}|(\$)", re.DOTALL)


def replaced(text: str, pattern: str, replacement: str) -> str:
    """`text` with every match replaced; `$1` and `${name}` stand for groups.

    Raises:
        Fault: the pattern or the replacement does not hold.
    """
    compiled = pattern_for(pattern, text)
    grown = 0

    def expand(found: re.Match[str]) -> str:
        nonlocal grown
        try:
            piece = _REFERENCE.sub(lambda reference: _referred(reference, found), replacement)
        except IndexError as e:
            raise Fault("No such group in the regular expression") from e
        grown += len(piece)
        if grown > OUTPUT_CHARS_MAX:
            raise LimitFault(f"Expected a text of at most {OUTPUT_CHARS_MAX} characters")
        return piece

    return compiled.sub(expand, text)


def _referred(reference: re.Match[str], found: re.Match[str]) -> str:
    if reference[1] is not None:
        return reference[1]
    if reference[4] is not None:
        raise Fault("Illegal group reference in the replacement")
    group = found.group(int(reference[2])) if reference[2] else found.group(reference[3])
    return group or ""


def split(text: str, pattern: str, limit: int) -> list[str]:
    """`text` split as Java does: a limit of 0 drops the empty texts at the end.

    Raises:
        Fault: the pattern does not hold.
    """
    parts: list[str] = []
    at = 0
    for found in pattern_for(pattern, text).finditer(text):
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
