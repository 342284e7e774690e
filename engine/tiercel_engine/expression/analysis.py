"""What a template refers to, known without rendering it.

The executor asks this to send a job only the variables that its templates can read, and to send
elsewhere what needs I/O. The answer errs on the side of too much, never of too little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.expression import nodes
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.jq_cost import cost_of
from tiercel_engine.expression.limits import CACHED_TEMPLATES_MAX, VALUE_DEPTH_MAX
from tiercel_engine.expression.regex import is_quick
from tiercel_engine.expression.render import syntax_error
from tiercel_engine.expression.statements import parse_template
from tiercel_engine.expression.table import TABLE, Kind
from tiercel_engine.expression.template import RAW, compiled
from tiercel_engine.expression.values import is_sequence

#: The names and keys that lead from the root to what is read; all below the last one is read too.
Path = tuple[str, ...]

#: Filters that take a program or a pattern -> whether a given one ends soon.
_QUICK: dict[str, Callable[[str], bool]] = {
    "jq": lambda program: cost_of(program) is not None,
    "split": is_quick,
    "regexMatch": is_quick,
    "regexReplace": is_quick,
    "regexExtract": is_quick,
}


#: Root variables that functions read by themselves.
_READ_BY_FUNCTIONS = frozenset(name for row in TABLE.values() for name in row.reads)


@dataclass(frozen=True, slots=True)
class References:
    """What templates read.

    Attributes:
        paths: what they read of the variables; a path stands for all below it.
        dynamic: they may read any variable, `paths` is not the whole of it.
        blocking: names of functions and filters by which they read the world, or may run long.
    """

    paths: frozenset[Path] = frozenset()
    dynamic: bool = False
    blocking: frozenset[str] = frozenset()
    #: The names of the root variables among `paths`.
    roots: frozenset[str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "roots", frozenset(path[0] for path in self.paths))

    def __or__(self, other: References) -> References:
        return References(
            self.paths | other.paths,
            self.dynamic or other.dynamic,
            self.blocking | other.blocking,
        )

    @property
    def needs_io(self) -> bool:
        """Whether they must not be rendered where blocking is ruin."""
        return bool(self.blocking)


NOTHING = References()


def analyse(value: Any) -> References:
    """What a template, or all templates in a map or list, refer to.

    A text that does not parse refers to nothing: rendering it fails whatever it is given.
    """
    found: list[References] = []
    _gather(value, found, 0)
    if not found:
        return NOTHING
    if len(found) == 1:
        return found[0]
    return References(
        frozenset().union(*(each.paths for each in found)),
        any(each.dynamic for each in found),
        frozenset().union(*(each.blocking for each in found)),
    )


def _gather(value: Any, found: list[References], depth: int) -> None:
    if isinstance(value, str):
        if "{" in value:
            found.append(_of_template(value))
    elif depth > VALUE_DEPTH_MAX:
        return
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _gather(key, found, depth + 1)
            _gather(item, found, depth + 1)
    elif is_sequence(value):
        for item in value:
            _gather(item, found, depth + 1)


@lru_cache(maxsize=CACHED_TEMPLATES_MAX)
def _of_template(source: str) -> References:
    try:
        body = parse_template(RAW.sub("", source))
        visitor = _Visitor()
        visitor.statements(body, frozenset())
    except Fault:
        return NOTHING
    except RecursionError:
        return References(dynamic=True)
    return References(frozenset(visitor.paths), visitor.dynamic, frozenset(visitor.blocking))


def check(template: str) -> None:
    """Refuse a template that can never render: bad syntax, unknown filters, tests or arguments.

    Raises:
        InvalidExpression: why, with the line.
    """
    if "{" not in template:
        return
    try:
        compiled(template)
    except Fault as e:
        raise syntax_error(e, template) from e
    except RecursionError:
        raise InvalidExpression("Expression is nested too deeply", template) from None


class _Visitor:
    """Walks a tree. `local` are the names that hide root variables where the walk stands."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self.dynamic = False
        self.blocking: set[str] = set()

    def statements(self, body: tuple[nodes.Node, ...], local: frozenset[str]) -> None:
        for node in body:
            self.visit(node, local)

    def visit(self, node: nodes.Node, local: frozenset[str]) -> None:
        if isinstance(node, (nodes.Name, nodes.Attribute, nodes.Subscript)):
            self._chain(node, local)
        elif isinstance(node, nodes.For):
            self.visit(node.iterable, local)
            self.statements(node.body, local | {node.variable, "loop"})
            self.statements(node.otherwise, local)
        elif isinstance(node, nodes.Macro):
            self._macro(node)
        else:
            self._registered(node)
            for child in _children(node):
                self.visit(child, local)

    def _macro(self, node: nodes.Macro) -> None:
        """A macro sees its arguments only: what it names is no root variable."""
        inner = _Visitor()
        for _, default in node.parameters:
            if default is not None:
                inner.visit(default, frozenset())
        inner.statements(node.body, frozenset())
        self.dynamic = self.dynamic or inner.dynamic
        self.blocking |= inner.blocking
        self.paths |= {path for path in inner.paths if path[0] in _READ_BY_FUNCTIONS}

    def _registered(self, node: nodes.Node) -> None:
        """What a function or filter reads beyond its arguments."""
        kind: Kind
        if isinstance(node, nodes.Call):
            kind = "function"
        elif isinstance(node, nodes.Filter):
            kind = "filter"
            self._programs(node.name, node.args)
        elif isinstance(node, nodes.FilterBlock):
            for name, args in node.filters:
                self._programs(name, args)
            return
        else:
            return
        row = TABLE.get((kind, node.name))
        if row is None:
            return
        self.dynamic = self.dynamic or row.dynamic
        if row.needs_io:
            self.blocking.add(node.name)
        self.paths |= {(name,) for name in row.reads}

    def _programs(self, name: str, args: nodes.Arguments) -> None:
        """A program or pattern that is computed, or may run long, is not for who must not block."""
        given = (*args.positional, *(arg for _, arg in args.named))
        if name in _QUICK:
            program = given[0] if given else None
            known = program.value if isinstance(program, nodes.Literal) else None
            quick = isinstance(known, str) and _QUICK[name](known)
        else:
            quick = name != "replace" or len(given) < 2
        if not quick:
            self.blocking.add(name)

    def _chain(self, node: nodes.Node, local: frozenset[str]) -> None:
        """`a.b['c'][d].e`: the path up to the first computed key, and what the keys read."""
        steps: list[str | None] = []
        while isinstance(node, (nodes.Attribute, nodes.Subscript)):
            if isinstance(node, nodes.Attribute):
                steps.append(node.name)
            elif isinstance(node.key, nodes.Literal) and isinstance(node.key.value, str):
                steps.append(node.key.value)
            else:
                steps.append(None)
                self.visit(node.key, local)
            node = node.target
        if not isinstance(node, nodes.Name):
            self.visit(node, local)
            return
        if node.name in local:
            return
        path = [node.name]
        for step in reversed(steps):
            if step is None:
                break
            path.append(step)
        self.paths.add(tuple(path))


def _children(node: Any) -> Iterator[nodes.Node]:
    """The nodes right below one, wherever its fields keep them."""
    for each in fields(node):
        yield from _nodes_in(getattr(node, each.name))


def _nodes_in(value: Any) -> Iterator[nodes.Node]:
    if isinstance(value, nodes.Node):
        yield value
    elif isinstance(value, nodes.Arguments):
        yield from _nodes_in(value.positional)
        yield from _nodes_in(value.named)
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes_in(item)
