"""The syntax tree. Made by `parser`, read by `compiler` (to run) and `analysis` (to know)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """`line` counts from 1."""

    line: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    value: Any


@dataclass(frozen=True, slots=True)
class Interpolation(Node):
    """A `"a #{b}"` string."""

    pieces: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ListLiteral(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapLiteral(Node):
    items: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Name(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Attribute(Node):
    target: Node
    name: str


@dataclass(frozen=True, slots=True)
class Subscript(Node):
    target: Node
    key: Node


@dataclass(frozen=True, slots=True)
class Arguments:
    positional: tuple[Node, ...] = ()
    named: tuple[tuple[str, Node], ...] = ()


@dataclass(frozen=True, slots=True)
class MethodCall(Node):
    target: Node
    name: str
    args: Arguments


@dataclass(frozen=True, slots=True)
class Call(Node):
    name: str
    args: Arguments


@dataclass(frozen=True, slots=True)
class Filter(Node):
    target: Node
    name: str
    args: Arguments


@dataclass(frozen=True, slots=True)
class Test(Node):
    target: Node
    name: str
    args: Arguments
    negated: bool


@dataclass(frozen=True, slots=True)
class Unary(Node):
    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Ternary(Node):
    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Text(Node):
    text: str


@dataclass(frozen=True, slots=True)
class Print(Node):
    expression: Node


@dataclass(frozen=True, slots=True)
class If(Node):
    """`branches`: (condition, body) of `if` and each `elseif`; `otherwise` of `else`."""

    branches: tuple[tuple[Node, tuple[Node, ...]], ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class For(Node):
    variable: str
    iterable: Node
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Set(Node):
    name: str
    value: Node


@dataclass(frozen=True, slots=True)
class Macro(Node):
    name: str
    parameters: tuple[tuple[str, Node | None], ...]
    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Block(Node):
    name: str
    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class FilterBlock(Node):
    """`filters` are applied in order to what the body gives."""

    filters: tuple[tuple[str, Arguments], ...]
    body: tuple[Node, ...]
