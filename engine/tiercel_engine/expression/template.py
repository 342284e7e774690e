"""Compiled templates: the statements around the expressions, and the cache of both."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from tiercel_engine.expression import nodes, operators
from tiercel_engine.expression.compiler import Code, applied, expression
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.frame import Frame, Output, TextOutput
from tiercel_engine.expression.limits import (
    CACHED_TEMPLATE_CHARS_MAX,
    CACHED_TEMPLATES_MAX,
)
from tiercel_engine.expression.nodes import Node
from tiercel_engine.expression.statements import parse_template
from tiercel_engine.expression.text import output_text
from tiercel_engine.expression.values import MapEntry, entries, is_sequence

Statement = Callable[[Frame, Output], None]

#: `raw` and its text; one line only, as in the peer.
RAW = re.compile(r"\{%-*\s*raw\s*-*%}(.*?)\{%-*\s*endraw\s*-*%}")


class Template:
    """One compiled template. Holds nothing of any render, so all renders share it.

    Attributes:
        only: the code of its expression, when the template is one single print.
        raws: the texts of its `raw` tags; each stands in the source as a placeholder.
    """

    __slots__ = ("_body", "_macros", "has_loops", "only", "raws")

    def __init__(self, source: str) -> None:
        """Compile `source`.

        Raises:
            Fault: it does not parse, or names what does not exist.
        """
        self.raws: dict[str, str] = {}
        if "raw" in source:
            source = RAW.sub(self._hide, source)
        body = parse_template(source)
        self.only: Code | None = None
        self._macros: dict[str, Callable[..., str]] = {}
        blocks: list[nodes.Macro] = []
        _collect_macros(body, blocks)
        for macro in blocks:
            self._macros[macro.name] = _macro(macro)
        self._body = _block(body)
        if len(body) == 1 and isinstance(body[0], nodes.Print):
            self.only = expression(body[0].expression)

    def _hide(self, found: re.Match[str]) -> str:
        mark = f"\ue000raw{len(self.raws)}\ue001"
        self.raws[mark] = found[1]
        return mark

    def restore(self, value: Any, *, tagged: bool) -> Any:
        """A rendered value with the texts of the `raw` tags in place.

        Args:
            tagged: keep the tags around them, because the value will be rendered again.
        """
        if isinstance(value, str):
            for mark, text in self.raws.items():
                value = value.replace(mark, f"{{% raw %}}{text}{{% endraw %}}" if tagged else text)
        return value

    def run(self, frame: Frame, output: Output) -> None:
        """Write what the template gives to `output`."""
        if self._macros:
            frame.macros = self._macros
        self._body(frame, output)


@lru_cache(maxsize=CACHED_TEMPLATES_MAX)
def _cached(source: str) -> Template:
    return Template(source)


def compiled(source: str) -> Template:
    """The compiled template of a text, from the cache when it is not too long.

    Raises:
        Fault: it does not compile.
    """
    if len(source) > CACHED_TEMPLATE_CHARS_MAX:
        return Template(source)
    return _cached(source)


def _collect_macros(body: tuple[Node, ...], found: list[nodes.Macro]) -> None:
    """Macros are known before the first line runs, wherever they stand."""
    for node in body:
        if isinstance(node, nodes.Macro):
            found.append(node)
        for inner in _bodies(node):
            _collect_macros(inner, found)


def _bodies(node: Node) -> list[tuple[Node, ...]]:
    if isinstance(node, nodes.If):
        return [*(body for _, body in node.branches), node.otherwise]
    if isinstance(node, nodes.For):
        return [node.body, node.otherwise]
    if isinstance(node, (nodes.Block, nodes.FilterBlock, nodes.Macro)):
        return [node.body]
    return []


def _block(body: tuple[Node, ...]) -> Statement:
    steps = [_STATEMENTS[type(node)](node) for node in body]

    def run(frame: Frame, output: Output) -> None:
        for step in steps:
            step(frame, output)

    return run


def _text(node: nodes.Text) -> Statement:
    text = node.text
    return lambda frame, output: output.text(text)


def _print(node: nodes.Print) -> Statement:
    code = expression(node.expression)
    return lambda frame, output: output.write(code(frame))


def _if(node: nodes.If) -> Statement:
    branches = [(expression(test), _block(body), test.line) for test, body in node.branches]
    otherwise = _block(node.otherwise)

    def run(frame: Frame, output: Output) -> None:
        for test, body, line in branches:
            try:
                chosen = operators.condition(test(frame), "if")
            except Fault as e:
                e.line = e.line or line
                raise
            if chosen:
                body(frame, output)
                return
        otherwise(frame, output)

    return run


def _for(node: nodes.For) -> Statement:
    iterable, body, otherwise = expression(node.iterable), _block(node.body), _block(node.otherwise)
    variable, line = node.variable, node.line

    def run(frame: Frame, output: Output) -> None:
        value = iterable(frame)
        if value is None:
            return
        items = _items(value, line)
        if not items:
            otherwise(frame, output)
            return
        scope: dict[str, Any] = {}
        frame.scopes = [*(frame.scopes or ()), scope]
        length = len(items)
        try:
            for index, item in enumerate(items):
                frame.budget.spend()
                scope["loop"] = _loop(index, length)
                scope[variable] = item
                body(frame, output)
        finally:
            frame.scopes = frame.scopes[:-1] or None

    return run


def _loop(index: int, length: int) -> dict[str, Any]:
    """The variable `loop`."""
    return {
        "index": index,
        "length": length,
        "first": index == 0,
        "last": index == length - 1,
        "revindex": length - 1 - index,
    }


def _items(value: Any, line: int) -> list[Any]:
    if isinstance(value, Mapping):
        return list(entries(value))
    if is_sequence(value) or isinstance(value, MapEntry):
        return list(value)
    raise Fault(f"Not an iterable object. Value = [{output_text(value)[:200]}]", line)


def _set(node: nodes.Set) -> Statement:
    name, code = node.name, expression(node.value)
    return lambda frame, output: frame.assign(name, code(frame))


def _nothing(node: Node) -> Statement:
    return lambda frame, output: None


def _captured(frame: Frame, body: Statement) -> str:
    inner = TextOutput(frame.context.dialect.json_null_entries)
    body(frame, inner)
    return inner.result()


def _macro(node: nodes.Macro) -> Callable[..., str]:
    body = _block(node.body)
    names = [name for name, _ in node.parameters]
    defaults = {name: expression(code) for name, code in node.parameters if code is not None}

    def call(frame: Frame, args: list[Any], named: dict[str, Any], line: int) -> str:
        if len(args) > len(names):
            raise Fault(f"Macro [{node.name}] takes {len(names)} argument(s)", line)
        unknown = next((name for name in named if name not in names), None)
        if unknown is not None:
            raise Fault(f"The following named argument does not exist: {unknown}", line)
        # A macro sees its arguments and nothing else.
        inner = Frame({}, frame.context, frame.budget, frame.render_inside)
        inner.root = frame.root
        inner.macros = frame.macros
        scope = {name: code(inner) for name, code in defaults.items()}
        scope = dict.fromkeys(names) | scope | dict(zip(names, args, strict=False)) | named
        inner.scopes = [scope]
        frame.budget.enter()
        frame.budget.spend()
        try:
            return _captured(inner, body)
        finally:
            frame.budget.leave()

    return call


def _block_tag(node: nodes.Block) -> Statement:
    body, name = _block(node.body), node.name

    def run(frame: Frame, output: Output) -> None:
        frame.blocks = {**(frame.blocks or {}), name: body}
        frame.budget.enter()
        try:
            body(frame, output)
        finally:
            frame.budget.leave()

    return run


def _filter_block(node: nodes.FilterBlock) -> Statement:
    body = _block(node.body)
    code: Code = _input
    for name, args in node.filters:
        code = applied(code, name, args, node.line)

    def run(frame: Frame, output: Output) -> None:
        text = _captured(frame, body)
        frame.scopes = [*(frame.scopes or ()), {_INPUT: text}]
        try:
            value = code(frame)
        finally:
            frame.scopes = frame.scopes[:-1] or None
        output.write(value)

    return run


#: Where the body of a `filter` tag waits for its filters; no template can name it.
_INPUT = " input"


def _input(frame: Frame) -> Any:
    return frame.lookup(_INPUT, 0)


_STATEMENTS: dict[type[Node], Callable[[Any], Statement]] = {
    nodes.Text: _text,
    nodes.Print: _print,
    nodes.If: _if,
    nodes.For: _for,
    nodes.Set: _set,
    nodes.Macro: _nothing,
    nodes.Block: _block_tag,
    nodes.FilterBlock: _filter_block,
}
