"""The parser of expressions: precedence climbing over the operators' table.

Precedences are Pebble's. `parse_template`, in `statements`, is the door; this module knows nothing
of tags.
"""

from __future__ import annotations

from tiercel_engine.expression import nodes
from tiercel_engine.expression.faults import SyntaxFault
from tiercel_engine.expression.limits import NESTING_MAX
from tiercel_engine.expression.nodes import Arguments, Node
from tiercel_engine.expression.tokens import Token
from tiercel_engine.expression.values import LONG_MAX, Long

#: Operator -> precedence; all associate to the left.
BINARY: dict[str, int] = {
    "or": 10,
    "and": 15,
    "is": 20,
    "is not": 20,
    "contains": 20,
    "isIn": 20,
    "isNotIn": 20,
    "==": 30,
    "equals": 30,
    "!=": 30,
    ">": 30,
    "<": 30,
    ">=": 30,
    "<=": 30,
    "+": 40,
    "-": 40,
    "*": 60,
    "/": 60,
    "%": 60,
    "|": 100,
    "~": 110,
    "..": 120,
    "??": 120,
    "???": 120,
}
UNARY: dict[str, int] = {"not": 500, "+": 500, "-": 500}
_CONSTANTS: dict[str, bool | None] = {
    "true": True,
    "TRUE": True,
    "false": False,
    "FALSE": False,
    "null": None,
    "NULL": None,
    "none": None,
    "NONE": None,
}


class ExpressionParser:
    """Reads expressions from tokens; `statements.TemplateParser` adds the tags."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    def next(self) -> Token:
        """The current token, stepping past it."""
        token = self._tokens[self._at]
        if token.kind != "end":
            self._at += 1
        return token

    def at(self, kind: str, text: str | None = None) -> bool:
        token = self._tokens[self._at]
        return token.kind == kind and (text is None or token.text == text)

    def expect(self, kind: str, text: str | None = None) -> Token:
        """The current token, which must be of this kind.

        Raises:
            SyntaxFault: it is not.
        """
        if not self.at(kind, text):
            token = self.token
            wanted = f'"{text}"' if text else kind.upper()
            raise SyntaxFault(
                f'Unexpected token of value "{token.text}" and type {token.kind.upper()}, '
                f"expected token of type {wanted}",
                token.line,
            )
        return self.next()

    def enter(self, line: int) -> None:
        """One level deeper; pair with `leave`."""
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise SyntaxFault("Expression is nested too deeply", line)

    def leave(self) -> None:
        self._depth -= 1

    def expression(self, precedence: int = 0) -> Node:
        """One expression of operators that bind at least as strongly as `precedence`."""
        self.enter(self.token.line)
        node = self._operand()
        grown = 0
        while self.at("op") and BINARY.get(self.token.text, -1) >= precedence:
            # A chain of operators nests to the left, so it counts as depth as well.
            self.enter(self.token.line)
            grown += 1
            node = self._binary(node)
        if precedence == 0 and self.at("punct", "?"):
            line = self.next().line
            then = self.expression()
            self.expect("punct", ":")
            node = nodes.Ternary(line, node, then, self.expression())
        self._depth -= grown + 1
        return node

    def _binary(self, left: Node) -> Node:
        token = self.next()
        operator = token.text
        if operator == "|":
            name, args = self.filter_call()
            return nodes.Filter(token.line, left, name, args)
        if operator in ("is", "is not"):
            name = self.expect("name").text
            args = self.arguments() if self.at("punct", "(") else Arguments()
            return nodes.Test(token.line, left, name, args, operator == "is not")
        right = self.expression(BINARY[operator] + 1)
        return nodes.Binary(token.line, operator, left, right)

    def filter_call(self) -> tuple[str, Arguments]:
        """A filter's name and arguments, as after `|` and in the `filter` tag."""
        name = self.expect("name").text
        return name, self.arguments() if self.at("punct", "(") else Arguments()

    def _operand(self) -> Node:
        token = self.token
        if token.kind == "op" and token.text in UNARY:
            self.next()
            operand = self.expression(UNARY[token.text])
            return nodes.Unary(token.line, token.text, operand)
        if self.at("punct", "("):
            self.next()
            node = self.expression()
            self.expect("punct", ")")
            return self._postfix(node)
        if self.at("punct", "["):
            return self._list()
        if self.at("punct", "{"):
            return self._map()
        return self._postfix(self._atom())

    def _list(self) -> Node:
        line = self.next().line
        items: list[Node] = []
        while not self.at("punct", "]"):
            if items:
                self.expect("punct", ",")
            items.append(self.expression())
        self.next()
        return nodes.ListLiteral(line, tuple(items))

    def _map(self) -> Node:
        line = self.next().line
        items: list[tuple[Node, Node]] = []
        while not self.at("punct", "}"):
            if items:
                self.expect("punct", ",")
            key = self.expression()
            self.expect("punct", ":")
            items.append((key, self.expression()))
        self.next()
        return nodes.MapLiteral(line, tuple(items))

    def _atom(self) -> Node:
        token = self.next()
        if token.kind == "name":
            if token.text in _CONSTANTS:
                return nodes.Literal(token.line, _CONSTANTS[token.text])
            if self.at("punct", "("):
                return nodes.Call(token.line, token.text, self.arguments())
            return nodes.Name(token.line, token.text)
        if token.kind == "number":
            return self._number(token)
        if token.kind == "string":
            return self._string(token)
        raise SyntaxFault(
            f'Unexpected token "{token.kind.upper()}" of value "{token.text}"', token.line
        )

    def _number(self, token: Token) -> Node:
        digits = token.text.rstrip("L")
        if len(digits) > 400:
            raise SyntaxFault("A number has too many digits", token.line)
        value = float(digits) if "." in digits else Long(digits)
        if isinstance(value, Long) and value > LONG_MAX:
            raise SyntaxFault(f'For input string: "{digits}"', token.line)
        return nodes.Literal(token.line, value)

    def _string(self, token: Token) -> Node:
        if not token.pieces:
            return nodes.Literal(token.line, token.text)
        pieces: list[Node] = []
        for piece in token.pieces:
            if isinstance(piece, str):
                pieces.append(nodes.Literal(token.line, piece))
                continue
            inner = ExpressionParser(piece)
            inner._depth = self._depth
            pieces.append(inner.expression())
            inner.expect("end")
        return nodes.Interpolation(token.line, tuple(pieces))

    def _postfix(self, node: Node) -> Node:
        grown = 0
        while True:
            if self.at("punct", "."):
                self.next()
                name = self.expect("name")
                if self.at("punct", "("):
                    node = nodes.MethodCall(name.line, node, name.text, self.arguments())
                else:
                    node = nodes.Attribute(name.line, node, name.text)
            elif self.at("punct", "["):
                line = self.next().line
                key = self.expression()
                self.expect("punct", "]")
                node = nodes.Subscript(line, node, key)
            else:
                self._depth -= grown
                return node
            grown += 1
            self.enter(self.token.line)

    def arguments(self) -> Arguments:
        """`(a, b, name=c)`: positional ones first."""
        self.expect("punct", "(")
        positional: list[Node] = []
        named: list[tuple[str, Node]] = []
        while not self.at("punct", ")"):
            if positional or named:
                self.expect("punct", ",")
            following = self._tokens[min(self._at + 1, len(self._tokens) - 1)]
            if self.at("name") and following[:2] == ("punct", "="):
                name = self.next().text
                self.next()
                named.append((name, self.expression()))
            elif named:
                raise SyntaxFault(
                    "Positional arguments must be declared before any named arguments",
                    self.token.line,
                )
            else:
                positional.append(self.expression())
        self.next()
        return Arguments(tuple(positional), tuple(named))
