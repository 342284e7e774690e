"""How much work a jq program may make, told from its text: whether it is safe to run right here.

jq cannot be stopped from outside, and it holds the interpreter while it runs. So only programs made
of words that are known here count as quick; for these a bound follows from the size of the input:
every word and operator says how it may let the data grow. The bound errs on the side of too much.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.regex import compiled_pattern

#: A longer program is never quick.
QUICK_PROGRAM_CHARS_MAX = 1_000
#: Units of work, about the nodes visited, that may be done in place: about a second.
QUICK_WORK_MAX = 2_000_000
#: A program that may square its work more often is never quick.
_SQUARES_MAX = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """Work is at most `(size * 2**doublings) ** power`; size: characters of input and literals."""

    power: int
    doublings: int
    literal_chars: int = 0

    def allows(self, input_chars: int) -> bool:
        """Whether the program may run in place over so long an input."""
        size = (input_chars + self.literal_chars) << self.doublings
        return bool(size**self.power <= QUICK_WORK_MAX)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Words that visit each node of their input once, and give no more than they got.
_LINEAR = _words(
    "abs and arrays ascii_downcase ascii_upcase booleans catch ceil elif else empty end endswith "
    "env error false floor flatten from_entries fromjson has if in input_filename iterables keys "
    "keys_unsorted length ltrim max min not now null nulls numbers objects or reverse round rtrim "
    "scalars select sort sqrt startswith strings then tonumber trim true try type unique "
    "utf8bytelength values"
)
#: Words that give one value, however many their argument gives.
_COLLECTING = _words(
    "add all any first group_by isempty last map map_values max_by min_by sort_by unique_by "
    "with_entries"
)
#: Words whose work or result may grow with the square of their input.
_SQUARE = _words(
    "capture contains del gsub index indices inside ltrimstr match paths rindex rtrimstr"
)
#: Words and formats whose result may be larger than their input, by at most 2**doublings.
_GROWING = {"to_entries": 4, "tojson": 3, "tostring": 3, "with_entries": 4}
_FORMATS = _words("@base64 @csv @html @json @sh @text @tsv @uri")
_FORMAT_DOUBLINGS = 4
_PATTERN_WORDS = _words("test match capture sub gsub")
_KNOWN: Final = (
    _LINEAR | _COLLECTING | _SQUARE | _PATTERN_WORDS | _GROWING.keys() | {"join", "split"}
)

_NUMBER = r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_TEXT = r'"(?:[^"\\]|\\[^(])*"'
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<walk>\[\s*\])
    |(?P<index>\[\s*(?:-?\d+|{_TEXT}|-?\d*\s*:\s*-?\d*)\s*\])
    |(?P<text>{_TEXT})
    |(?P<number>{_NUMBER})
    |(?P<field>\.[A-Za-z_]\w*|\$ENV\b)
    |(?P<format>@\w+)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<refused>\.\.|\?//|//=|[-+*/%|]=|(?<![=!<>])=(?!=))
    |(?P<sign>==|!=|<=|>=|//|[.<>|,:;?+*/%()\[\]{{}}-])""",
    re.VERBOSE,
)
_CALLED_WITH_TEXT = re.compile(rf"\(\s*({_TEXT})\s*([;)])")
_THEN_NUMBER = re.compile(rf"\s*({_NUMBER})(?![\w.])")
#: Factors of a repeated text that count as small.
_FACTOR_MAX = 1_000
#: Patterns that mean the same to jq's engine and to the one that judges them.
_PLAIN_PATTERN = re.compile(r"(?:[^\\(){}\[\]&]|\\[dswDSW./\-\[\](){}?*+|^$]|\[[^\\\[\]&]+\])*")
_PATH_KINDS = frozenset(("walk", "index", "field", "text", "space"))
_PATH_SIGNS = frozenset((".", "?"))
_CLOSING = {")": "(", "]": "[", "}": "{", "end": "if"}


@lru_cache(maxsize=512)
def cost_of(program: str) -> Cost | None:
    """What a program costs; None when that cannot be told, so that it must run apart."""
    if len(program) > QUICK_PROGRAM_CHARS_MAX:
        return None
    counter = _Counter(program)
    at = 0
    while at < len(program):
        token = _TOKEN.match(program, at)
        if token is None or not counter.takes(token):
            return None
        at = token.end()
    return counter.cost()


@dataclass(slots=True)
class _Level:
    """Between two brackets. `collects`: all that comes of it becomes one value."""

    opened_by: str
    collects: bool
    walks: int = 0
    is_path: bool = True


class _Counter:
    """Adds up what the tokens of one program cost.

    `.a[].b[]` walks its input once, however long it is. A walk multiplies where others see each of
    its items beside the whole input: `.[] + .`, `select(.[])`. What a walk multiplied may be walked
    and multiplied again, so each may square the work.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._levels = [_Level("", True)]
        self._before = ""
        self._squares = self._doublings = self._literal_chars = 0

    def cost(self) -> Cost | None:
        """The sum; None when it is out of all bounds, or the brackets do not close."""
        self._end_of_stage()
        if len(self._levels) > 1 or self._squares > _SQUARES_MAX:
            return None
        return Cost(2**self._squares, self._doublings, self._literal_chars)

    def takes(self, token: re.Match[str]) -> bool:
        """Count a token; False for one that makes the program long."""
        kind, text = str(token.lastgroup), token[0]
        level = self._levels[-1]
        if kind not in _PATH_KINDS and text not in _PATH_SIGNS:
            level.is_path = level.is_path and text in ("|", ";", *_CLOSING)
        good = kind != "refused"
        if kind in ("text", "number"):
            self._literal_chars += len(text)
        elif kind == "walk":
            if self._is_after_value() or self._before == ".":
                level.walks += 1
        elif kind == "format":
            self._doublings += _FORMAT_DOUBLINGS
            good = text in _FORMATS
        elif kind == "word":
            good = self._is_key(token) or self._word(text, token.end())
        elif kind == "sign":
            good = self._sign(text, token.end())
        if kind != "space":
            self._before = text
        return good

    def _is_after_value(self) -> bool:
        """Whether a bracket here asks for an item of what stands before it."""
        last = self._before[-1:]
        return last in tuple(')]}?"') or (last != "" and (last.isalnum() or last == "_"))

    def _is_key(self, token: re.Match[str]) -> bool:
        """`{name: ...}` and `{name}`: a name of data, not a word of the language."""
        after = self._program[token.end() :].lstrip()[:1]
        inside = self._levels[-1].opened_by == "{"
        return inside and self._before in ("{", ",") and after in (":", ",", "}")

    def _end_of_stage(self) -> None:
        """A stage of a pipe is over: its walks multiply unless it is a mere path."""
        level = self._levels[-1]
        if not (level.collects and level.is_path):
            self._squares += level.walks
        level.walks, level.is_path = 0, True

    def _close(self, sign: str) -> bool:
        self._end_of_stage()
        level = self._levels.pop()
        return level.opened_by == _CLOSING[sign]

    def _word(self, word: str, end: int) -> bool:
        if word == "if":
            self._levels.append(_Level("if", False))
        elif word == "end" and not self._close("end"):
            return False
        self._squares += word in _SQUARE
        self._doublings += _GROWING.get(word, 0)
        argument = _CALLED_WITH_TEXT.match(self._program, end)
        if word in _PATTERN_WORDS:
            return argument is not None and self._pattern(argument[1][1:-1])
        if word == "split":
            # With flags it takes a pattern.
            return argument is not None and argument[2] == ")"
        if word == "join":
            if argument is None:
                self._squares += 1
            else:
                self._doublings += (len(argument[1]) - 2).bit_length()
        return word in _KNOWN

    def _pattern(self, literal: str) -> bool:
        """A pattern that repeats nothing within what repeats; `literal`: as it stands in quotes."""
        pattern = literal.replace("\\\\", "\\")
        if _PLAIN_PATTERN.fullmatch(pattern) is None:
            return False
        try:
            repeats = compiled_pattern(pattern).repeats
        except Fault:
            return False
        # A `?` is no endless repeat, but many of them are tried in every combination.
        self._squares += repeats + pattern.count("?")
        return True

    def _sign(self, sign: str, end: int) -> bool:
        if sign in ("(", "[", "{"):
            is_list = sign == "[" and not self._is_after_value() and self._before != "."
            collects = is_list or (sign == "(" and self._before in _COLLECTING)
            self._levels.append(_Level(sign, collects))
            return True
        if sign in _CLOSING:
            return self._close(sign)
        if sign in ("|", ";"):
            self._end_of_stage()
        return self._operator(sign, _THEN_NUMBER.match(self._program, end))

    def _operator(self, sign: str, number: re.Match[str] | None) -> bool:
        """Count an operator; `number`: what follows it, when that is a literal number."""
        if sign == "*":
            if number is None or float(number[1]) > _FACTOR_MAX:
                return False
            self._doublings += int(float(number[1])).bit_length()
        elif sign == "," or (sign == "+" and number is None):
            self._doublings += 1
        elif sign == "-" and number is None:
            self._squares += 1
        return True
