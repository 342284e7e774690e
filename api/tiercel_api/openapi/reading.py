"""What handlers read of the query: their code tells it.

A document that somebody keeps by hand says what was true once. This looks into the code of a
handler and of the functions of the API that it calls, for the ways in which a query is read here:
`query.get("name")`, `is_set(query, "name")` and the like, and functions that are given the name.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from types import FunctionType
from typing import Any

from tiercel_api.errors import Handler

#: Functions that read the query, by name -> what they take from it.
READERS: dict[str, tuple[str, ...]] = {
    "page_of": ("page", "size"),
    "page_in_memory": ("page", "size", "sort"),
    "sort_of": ("sort",),
    "trigger_filter": ("dateFilter",),
    "what_goes": ("deleteLogs", "deleteMetrics", "deleteStorage"),
}
#: Functions that read filters.
FILTER_READERS = (
    "blueprint_filter",
    "execution_filter",
    "flow_filter",
    "log_filter",
    "metric_filter",
    "service_filter",
    "trigger_filter",
    "deletion_of",
    "namespace_filter",
    "tenant_filter",
    "pair_filter",
)
#: Functions of one handler that are looked into.
FUNCTIONS_MAX = 300

_KINDS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@cache
def query_of(handler: Handler) -> frozenset[str]:
    """The query parameters that a handler reads, itself or in functions of the API it calls."""
    found: set[str] = set()
    for function in _reached(handler):
        for tree in _trees(function):
            for node in ast.walk(tree):
                if isinstance(node, ast.Call):
                    found.update(_read_by(node, function))
                elif isinstance(node, ast.Subscript) and _is_query(node.value):
                    found.update(_texts([node.slice]))
    return frozenset(name for name in found if not name.startswith("filters["))


@cache
def reads_filters(handler: Handler) -> bool:
    """Whether a handler reads filters."""
    names = {
        node.func.id
        for function in _reached(handler)
        for tree in _trees(function)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return not names.isdisjoint(FILTER_READERS)


def _read_by(call: ast.Call, function: FunctionType) -> Iterator[str]:
    called = call.func
    if isinstance(called, ast.Attribute) and _is_query(called.value):
        if called.attr in ("get", "getall"):
            yield from _texts(call.args[:1])
    elif isinstance(called, ast.Name):
        yield from READERS.get(called.id, ())
        given = getattr(_home(function), called.id, None)
        if call.args and (_is_query(call.args[0]) or _is_given_names(given)):
            yield from _texts(call.args[1:2])


def _is_given_names(function: Any) -> bool:
    """Whether a function reads the parameter whose name it is given."""
    if not inspect.isfunction(function) or not function.__module__.startswith("tiercel_api.routes"):
        return False
    for tree in _trees(function):
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and _is_query(node.func.value)
                and any(isinstance(argument, ast.Name) for argument in node.args[:1])
            ):
                return True
    return False


def _is_query(node: ast.AST) -> bool:
    """Whether an expression is the request's query: `request.query`, or a variable of that name."""
    if isinstance(node, ast.Attribute):
        return node.attr == "query"
    return isinstance(node, ast.Name) and node.id == "query"


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def _reached(handler: Handler) -> tuple[FunctionType, ...]:
    """A handler and the API's functions that it calls, each once."""
    waiting: list[Any] = [handler]
    seen: dict[FunctionType, None] = {}
    while waiting and len(seen) < FUNCTIONS_MAX:
        function = waiting.pop()
        if not inspect.isfunction(function) or not _is_ours(function) or function in seen:
            continue
        seen[function] = None
        home = _home(function)
        for tree in _trees(function):
            for node in ast.walk(tree):
                if isinstance(node, ast.Name):
                    waiting.append(getattr(home, node.id, None))
                elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    waiting.append(getattr(getattr(home, node.value.id, None), node.attr, None))
        for value in inspect.getclosurevars(function).nonlocals.values():
            waiting += [value, *_members(value)]
    return tuple(seen)


def _is_ours(function: FunctionType) -> bool:
    """Whether to look into it: code of the API that is no reader of queries itself."""
    module = function.__module__
    return module.startswith("tiercel_api.") and not module.endswith((".paging", ".filters"))


def _members(value: Any) -> list[Any]:
    """What a made handler holds: the functions in the record that it was made from."""
    if not is_dataclass(value):
        return []
    return [getattr(value, field.name) for field in fields(value)]


def _home(function: FunctionType) -> Any:
    return sys.modules[function.__module__]


@cache
def _trees(function: FunctionType) -> tuple[ast.AST, ...]:
    """The code of a function: what is written at its place in its module."""
    return tuple(_at_lines(function.__module__).get(function.__code__.co_firstlineno, ()))


@cache
def _at_lines(module: str) -> dict[int, list[ast.AST]]:
    lines: dict[int, list[ast.AST]] = {}
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(node, _KINDS):
            decorators = getattr(node, "decorator_list", [])
            first = decorators[0].lineno if decorators else node.lineno
            lines.setdefault(first, []).append(node)
    return lines
