"""The parser of templates: text, prints and tags. Tags are data: name -> how its rest is read."""

from __future__ import annotations

from collections.abc import Callable

from tiercel_engine.expression import nodes
from tiercel_engine.expression.faults import SyntaxFault
from tiercel_engine.expression.limits import TEMPLATE_CHARS_MAX
from tiercel_engine.expression.nodes import Arguments, Node
from tiercel_engine.expression.parser import ExpressionParser
from tiercel_engine.expression.tokens import tokenize

Body = tuple[Node, ...]


class TemplateParser(ExpressionParser):
    """Reads a whole template."""

    def template(self) -> Body:
        """Every node of the template.

        Raises:
            SyntaxFault: it does not parse.
        """
        body = self._body(())
        self.expect("end")
        return body

    def _body(self, ends: tuple[str, ...]) -> Body:
        """Nodes up to a tag named in `ends`; stops behind the `{%` of it, at its name."""
        self.enter(self.token.line)
        body: list[Node] = []
        while not self.at("end"):
            if self.at("text"):
                token = self.next()
                body.append(nodes.Text(token.line, token.text))
            elif self.at("print"):
                line = self.next().line
                body.append(nodes.Print(line, self.expression()))
                self.expect("print_end")
            else:
                self.expect("execute")
                name = self.expect("name")
                if name.text in ends:
                    self._at -= 1
                    self.leave()
                    return tuple(body)
                tag = _TAGS.get(name.text)
                if tag is None:
                    raise SyntaxFault(f'Unexpected tag name "{name.text}"', name.line)
                body.append(tag(self, name.line))
        if ends:
            raise SyntaxFault(
                "Unexpected end of template. Pebble was looking for the "
                + " or ".join(f'"{end}"' for end in ends)
                + " tag",
                self.token.line,
            )
        self.leave()
        return tuple(body)

    def _close(self) -> None:
        self.expect("execute_end")

    def _block_until(self, end: str) -> Body:
        """`%}` body `{% end %}`; the end may be followed by anything that a name is."""
        self._close()
        body = self._body((end,))
        self.expect("name", end)
        if self.at("name") or self.at("string"):
            self.next()
        self._close()
        return body

    def _if(self, line: int) -> Node:
        branches: list[tuple[Node, Body]] = []
        otherwise: Body = ()
        condition = self.expression()
        self._close()
        body = self._body(("elseif", "else", "endif"))
        branches.append((condition, body))
        while self.at("name", "elseif"):
            self.next()
            condition = self.expression()
            self._close()
            branches.append((condition, self._body(("elseif", "else", "endif"))))
        if self.at("name", "else"):
            self.next()
            self._close()
            otherwise = self._body(("endif",))
        self.expect("name", "endif")
        self._close()
        return nodes.If(line, tuple(branches), otherwise)

    def _for(self, line: int) -> Node:
        variable = self.expect("name").text
        self.expect("name", "in")
        iterable = self.expression()
        self._close()
        body = self._body(("else", "endfor"))
        otherwise: Body = ()
        if self.at("name", "else"):
            self.next()
            self._close()
            otherwise = self._body(("endfor",))
        self.expect("name", "endfor")
        self._close()
        return nodes.For(line, variable, iterable, body, otherwise)

    def _set(self, line: int) -> Node:
        name = self.expect("name").text
        self.expect("punct", "=")
        value = self.expression()
        self._close()
        return nodes.Set(line, name, value)

    def _macro(self, line: int) -> Node:
        name = self.expect("name").text
        self.expect("punct", "(")
        parameters: list[tuple[str, Node | None]] = []
        while not self.at("punct", ")"):
            if parameters:
                self.expect("punct", ",")
            parameter = self.expect("name").text
            default: Node | None = None
            if self.at("punct", "="):
                self.next()
                default = self.expression()
            parameters.append((parameter, default))
        self.next()
        return nodes.Macro(line, name, tuple(parameters), self._block_until("endmacro"))

    def _block(self, line: int) -> Node:
        name = self.next() if self.at("string") else self.expect("name")
        return nodes.Block(line, name.text, self._block_until("endblock"))

    def _filter(self, line: int) -> Node:
        filters: list[tuple[str, Arguments]] = [self.filter_call()]
        while self.at("op", "|"):
            self.next()
            filters.append(self.filter_call())
        return nodes.FilterBlock(line, tuple(filters), self._block_until("endfilter"))


_TAGS: dict[str, Callable[[TemplateParser, int], Node]] = {
    "if": TemplateParser._if,
    "for": TemplateParser._for,
    "set": TemplateParser._set,
    "macro": TemplateParser._macro,
    "block": TemplateParser._block,
    "filter": TemplateParser._filter,
}

#: Every tag, `verbatim` and `raw` included, which are settled before parsing.
TAG_NAMES = (*_TAGS, "verbatim", "raw")


def parse_template(source: str) -> Body:
    """The nodes of a template.

    Raises:
        SyntaxFault: it does not parse, or is too long or too deep.
    """
    if len(source) > TEMPLATE_CHARS_MAX:
        raise SyntaxFault(f"Expected a template of at most {TEMPLATE_CHARS_MAX} characters", 1)
    return TemplateParser(tokenize(source)).template()
