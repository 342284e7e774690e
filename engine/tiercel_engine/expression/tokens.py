"""The lexer: template text to tokens.

Follows Pebble 3.2.2: `{{ }}` prints, `{% %}` executes, `{# #}` is a comment, `verbatim` is settled
here, a `-` inside a delimiter eats the white space beside it. Two liberties, both supersets: words
that are operators may be attribute names (`x.is`), and `{%-if` needs no space after its `-`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tiercel_engine.expression.faults import SyntaxFault
from tiercel_engine.expression.limits import NESTING_MAX


class Token(NamedTuple):
    """`kind`: text, print, print_end, execute, execute_end, name, number, string, op, punct, end.

    A string with interpolation carries its pieces instead of text in `pieces`: text or tokens.
    """

    kind: str
    text: str
    line: int
    pieces: tuple[str | list[Token], ...] = ()


_OPEN = re.compile(r"\{([{%#])")
_VERBATIM = re.compile(r"\{%-?\s*verbatim\s*(-)?%\}")
_END_VERBATIM = re.compile(r"\{%(-)?\s*endverbatim\s*(-)?%\}")
_COMMENT_END = re.compile(r"(-)?#\}")
_CLOSE = {"print": re.compile(r"\s*(-)?\}\}"), "execute": re.compile(r"\s*(-)?%\}")}
_SPACE = re.compile(r"\s+")
_WORD_OPERATOR = re.compile(
    r"(?:(?:is\s+)?not\s+(?:in|isIn)|is\s+not|isIn|isNotIn|is|not|or|and|contains|equals)(?!\w)"
)
_OPERATOR = re.compile(r"\?\?\?|\?\?|\.\.|==|!=|>=|<=|[><+\-*/%|~]")
_NAME = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?L?")
_PUNCTUATION = re.compile(r"[()\[\]{}?:.,=]")
_STRING = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_STRING_PIECE = re.compile(r'(?:[^"\\#]|\\.|#(?!\{))*', re.DOTALL)
_BRACKETS = {")": "(", "]": "[", "}": "{"}


class Lexer:
    """Cuts one template into tokens. Use `tokenize`."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._line = 1
        self._counted = 0

    def tokens(self) -> list[Token]:
        """All tokens, ended by one of kind `end`.

        Raises:
            SyntaxFault: something is not closed or is no part of the language.
        """
        out: list[Token] = []
        trim = False
        while True:
            opening = _OPEN.search(self._source, self._at)
            end = opening.start() if opening else len(self._source)
            text = self._source[self._at : end]
            if trim:
                text = text.lstrip()
            if opening is None:
                self._add_text(out, text)
                out.append(Token("end", "", self._line_at(end)))
                return out
            if self._leads_trim(opening):
                text = text.rstrip()
            self._add_text(out, text)
            trim = self._after(opening, out)

    def _add_text(self, out: list[Token], text: str) -> None:
        if text:
            out.append(Token("text", text, self._line))

    def _line_at(self, position: int) -> int:
        self._line += self._source.count("\n", self._counted, position)
        self._counted = position
        return self._line

    def _leads_trim(self, opening: re.Match[str]) -> bool:
        after = opening.end()
        if not self._source.startswith("-", after):
            return False
        if opening[1] == "{":
            return self._source[after + 1 : after + 2].isspace()
        return True

    def _after(self, opening: re.Match[str], out: list[Token]) -> bool:
        """Read what an opening delimiter starts; whether its closing one trims what follows."""
        line = self._line_at(opening.start())
        if opening[1] == "#":
            closing = _COMMENT_END.search(self._source, opening.end())
            if closing is None:
                raise SyntaxFault("Unclosed comment.", line)
            self._at = closing.end()
            self._line_at(self._at)
            return closing[1] is not None
        verbatim = _VERBATIM.match(self._source, opening.start())
        if verbatim is not None:
            return self._verbatim(verbatim, out, line)
        kind = "print" if opening[1] == "{" else "execute"
        self._at = opening.end() + (1 if self._leads_trim(opening) else 0)
        out.append(Token(kind, opening[0], line))
        return self._expression(kind, out, line)

    def _verbatim(self, opening: re.Match[str], out: list[Token], line: int) -> bool:
        closing = _END_VERBATIM.search(self._source, opening.end())
        if closing is None:
            raise SyntaxFault("Unclosed verbatim tag.", line)
        text = self._source[opening.end() : closing.start()]
        if opening[1]:
            text = text.lstrip()
        if closing[1]:
            text = text.rstrip()
        self._add_text(out, text)
        self._at = closing.end()
        self._line_at(self._at)
        return closing[2] is not None

    def _expression(self, kind: str, out: list[Token], line: int) -> bool:
        """Tokens up to the closing delimiter; whether that one trims."""
        brackets: list[str] = []
        close = _CLOSE[kind]
        while True:
            closing = None if brackets else close.match(self._source, self._at)
            if closing is not None:
                self._at = closing.end()
                out.append(Token(f"{kind}_end", closing[0].strip(), self._line_at(self._at)))
                return closing[1] is not None
            self._one(out, brackets, line)

    def _one(self, out: list[Token], brackets: list[str], opened: int, depth: int = 0) -> None:
        space = _SPACE.match(self._source, self._at)
        if space is not None:
            self._at = space.end()
        if self._at >= len(self._source):
            raise SyntaxFault(
                f'Unclosed "{brackets[-1]}"' if brackets else "Unclosed expression", opened
            )
        line = self._line_at(self._at)
        source, at = self._source, self._at
        after_dot = bool(out) and out[-1] == ("punct", ".", out[-1].line, ())
        found = None if after_dot else _WORD_OPERATOR.match(source, at)
        if found is not None:
            word = " ".join(found[0].split())
            out.append(Token("op", "isNotIn" if word.endswith(("in", "not isIn")) else word, line))
        elif (found := _NAME.match(source, at)) is not None:
            out.append(Token("name", found[0], line))
        elif (found := _NUMBER.match(source, at)) is not None:
            out.append(Token("number", found[0], line))
        elif (found := _OPERATOR.match(source, at)) is not None:
            out.append(Token("op", found[0], line))
        elif (found := _PUNCTUATION.match(source, at)) is not None:
            self._balance(found[0], brackets, line)
            out.append(Token("punct", found[0], line))
        elif (found := _STRING.match(source, at)) is not None:
            out.append(Token("string", found[1].replace("\\'", "'"), line))
        elif source[at] == '"':
            out.append(self._interpolated(line, depth))
            return
        else:
            raise SyntaxFault(f"Unexpected character [{source[at]}]", line)
        self._at = found.end()

    def _balance(self, mark: str, brackets: list[str], line: int) -> None:
        if mark in "([{":
            if len(brackets) >= NESTING_MAX:
                raise SyntaxFault("Expression is nested too deeply", line)
            brackets.append(mark)
        elif mark in _BRACKETS:
            if not brackets:
                raise SyntaxFault(f'Unexpected "{mark}"', line)
            if brackets.pop() != _BRACKETS[mark]:
                raise SyntaxFault(f'Unclosed "{_BRACKETS[mark]}"', line)

    def _interpolated(self, line: int, depth: int) -> Token:
        """A `"..."` string; `#{ }` inside it holds an expression."""
        if depth > NESTING_MAX // 4:
            raise SyntaxFault("Expression is nested too deeply", line)
        self._at += 1
        pieces: list[str | list[Token]] = []
        while True:
            piece = _STRING_PIECE.match(self._source, self._at)
            assert piece is not None, "the pattern matches the empty text"
            if piece[0]:
                pieces.append(piece[0].replace('\\"', '"'))
            self._at = piece.end()
            if self._source.startswith('"', self._at):
                self._at += 1
                break
            if not self._source.startswith("#{", self._at):
                raise SyntaxFault('Unclosed """', line)
            self._at += 2
            pieces.append(self._interpolation(line, depth))
        if all(isinstance(piece, str) for piece in pieces):
            return Token("string", "".join(str(piece) for piece in pieces), line)
        return Token("string", "", line, tuple(pieces))

    def _interpolation(self, line: int, depth: int) -> list[Token]:
        inner: list[Token] = []
        brackets: list[str] = []
        while True:
            space = _SPACE.match(self._source, self._at)
            if space is not None:
                self._at = space.end()
            if not brackets and self._source.startswith("}", self._at):
                self._at += 1
                inner.append(Token("end", "", self._line_at(self._at)))
                return inner
            self._one(inner, brackets, line, depth + 1)


def tokenize(source: str) -> list[Token]:
    """Tokens of a template, the last one of kind `end`.

    Raises:
        SyntaxFault: it does not lex; carries the line.
    """
    return Lexer(source).tokens()
