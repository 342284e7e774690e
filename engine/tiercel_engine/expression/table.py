"""The table of registered names: every function, filter and test, with what tools need to know.

One table drives binding of arguments, static analysis, completion and `docs/expressions.md`.
Implementations register with the decorators; their docstrings are the documentation. An
implementation is called as `impl(frame, [input,] *arguments)`, one argument per parameter in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["function", "filter", "test"]
Implementation = Callable[..., Any]


class _Required:
    """The default of a parameter that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()


@dataclass(frozen=True, slots=True)
class Parameter:
    """`default` is what is passed when the argument is absent; `REQUIRED` when it must not be."""

    name: str
    default: Any = REQUIRED
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Registered:
    """One name of the language.

    Attributes:
        since: the version of the peer that brought it.
        until: the version that removed it; empty while it exists. Ours accepts it for ever.
        needs_io: it reads the world, so whoever must not block sends its template elsewhere.
        dynamic: what it reads of the variables cannot be told from its arguments.
        reads: root variables that it reads by itself.
        variadic: takes any number of positional arguments.
        forgiving: a missing variable in its input counts as null.
    """

    name: str
    kind: Kind
    parameters: tuple[Parameter, ...]
    implementation: Implementation
    doc: str
    since: str = "0.13"
    until: str = ""
    needs_io: bool = False
    dynamic: bool = False
    reads: tuple[str, ...] = ()
    variadic: bool = False
    forgiving: bool = False
    alias_of: str = ""


#: (kind, name) -> what is registered. Filled while the package is imported, then only read.
TABLE: dict[tuple[Kind, str], Registered] = {}


def parameter(name: str, default: Any = REQUIRED, *aliases: str) -> Parameter:
    """A parameter; without default it is required."""
    return Parameter(name, default, aliases)


def _register(
    kind: Kind, name: str, parameters: tuple[Parameter, ...], also: tuple[str, ...], facts: Any
) -> Callable[[Implementation], Implementation]:
    def add(implementation: Implementation) -> Implementation:
        doc = " ".join((implementation.__doc__ or "").split())
        assert doc, f"{kind} {name} says nothing about itself"
        for each in (name, *also):
            assert (kind, each) not in TABLE, f"{kind} {each} is registered twice"
            TABLE[kind, each] = Registered(
                each,
                kind,
                parameters,
                implementation,
                doc,
                alias_of="" if each == name else name,
                **facts,
            )
        return implementation

    return add


def function(
    name: str, *parameters: Parameter, also: tuple[str, ...] = (), **facts: Any
) -> Callable[[Implementation], Implementation]:
    """Register a function. `also`: its aliases; `facts`: attributes of `Registered`."""
    return _register("function", name, parameters, also, facts)


def filter_(
    name: str, *parameters: Parameter, also: tuple[str, ...] = (), **facts: Any
) -> Callable[[Implementation], Implementation]:
    """Register a filter; its implementation takes the input before the arguments."""
    return _register("filter", name, parameters, also, facts)


def predicate(
    name: str, *parameters: Parameter, also: tuple[str, ...] = (), **facts: Any
) -> Callable[[Implementation], Implementation]:
    """Register a test; its implementation takes the input and gives a boolean."""
    return _register("test", name, parameters, also, facts)
