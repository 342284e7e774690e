"""The compiler: a syntax tree to Python closures, `code(frame) -> value`.

Closures instead of generated source: nothing is ever `exec`uted, no name of a template becomes a
name of Python, and compiling is a tenth of the price. See docs/adr/0004-pebble-on-jinja.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tiercel_engine.expression import nodes, operators
from tiercel_engine.expression.access import attribute, call_method, subscript
from tiercel_engine.expression.faults import Fault, Missing
from tiercel_engine.expression.frame import Frame
from tiercel_engine.expression.nodes import Arguments, Node
from tiercel_engine.expression.table import REQUIRED, TABLE, Kind, Registered

Code = Callable[[Frame], Any]


def expression(node: Node) -> Code:
    """The code of an expression."""
    return _COMPILERS[type(node)](node)


def _literal(node: nodes.Literal) -> Code:
    value = node.value
    return lambda frame: value


def _interpolation(node: nodes.Interpolation) -> Code:
    pieces = [expression(piece) for piece in node.pieces]

    def code(frame: Frame) -> str:
        text = ""
        for piece in pieces:
            text = operators.concatenate(text, piece(frame))
        return text

    return code


def _list(node: nodes.ListLiteral) -> Code:
    items = [expression(item) for item in node.items]
    return lambda frame: [item(frame) for item in items]


def _map(node: nodes.MapLiteral) -> Code:
    items = [(expression(key), expression(value)) for key, value in node.items]

    def code(frame: Frame) -> dict[Any, Any]:
        try:
            return {key(frame): value(frame) for key, value in items}
        except TypeError as e:
            raise Fault("A list or map cannot be the key of a map", node.line) from e

    return code


def _name(node: nodes.Name) -> Code:
    name, line = node.name, node.line

    def code(frame: Frame) -> Any:
        if frame.scopes is None:
            try:
                return frame.variables[name]
            except KeyError:
                pass
        return frame.lookup(name, line)

    return code


def _attribute(node: nodes.Attribute) -> Code:
    target, name, line = expression(node.target), node.name, node.line
    # A null root is told by its own name, as if it were absent.
    root = node.target.name if isinstance(node.target, nodes.Name) else None

    def code(frame: Frame) -> Any:
        value = target(frame)
        if type(value) is dict:
            try:
                return value[name]
            except KeyError:
                raise Missing(name, line) from None
        if value is None:
            raise Missing(root or name, line)
        return attribute(value, name, line)

    return code


def _subscript(node: nodes.Subscript) -> Code:
    target, key, line = expression(node.target), expression(node.key), node.line
    root = node.target.name if isinstance(node.target, nodes.Name) else None

    def code(frame: Frame) -> Any:
        value = target(frame)
        if value is None and root is not None:
            raise Missing(root, line)
        return subscript(value, key(frame), line)

    return code


def _method_call(node: nodes.MethodCall) -> Code:
    target, name, line = expression(node.target), node.name, node.line
    if node.args.named:
        raise Fault(f"{name}() takes no named arguments", line)
    args = [expression(arg) for arg in node.args.positional]
    return lambda frame: call_method(target(frame), name, [arg(frame) for arg in args], line)


def _unary(node: nodes.Unary) -> Code:
    operand = expression(node.operand)
    if node.operator == "not":
        return lambda frame: not operators.condition(operand(frame), "not()")
    operation = operators.negative if node.operator == "-" else operators.positive
    return lambda frame: operation(operand(frame))


def _binary(node: nodes.Binary) -> Code:
    left, right = expression(node.left), expression(node.right)
    operator = node.operator
    if operator in _LAZY:
        return _LAZY[operator](left, right)
    if operator in ("<", "<=", ">", ">="):
        return lambda frame: operators.compare(
            operator, left(frame), right(frame), texts=frame.context.dialect.text_comparison
        )
    if operator == "..":
        return _interval(left, right)
    operation = _EAGER[operator]
    line = node.line

    def code(frame: Frame) -> Any:
        try:
            return operation(left(frame), right(frame))
        except Fault as e:
            e.line = e.line or line
            raise

    return code


def _interval(left: Code, right: Code) -> Code:
    def code(frame: Frame) -> Any:
        items = operators.interval(left(frame), right(frame))
        frame.budget.spend(len(items))
        return items

    return code


def _and(left: Code, right: Code) -> Code:
    def code(frame: Frame) -> bool:
        if not operators.condition(left(frame), "and"):
            return False
        return operators.condition(right(frame), "and")

    return code


def _or(left: Code, right: Code) -> Code:
    def code(frame: Frame) -> bool:
        if operators.condition(left(frame), "or"):
            return True
        return operators.condition(right(frame), "or")

    return code


def _or_else(left: Code, right: Code) -> Code:
    """`??`: the right side for null and for anything that is missing."""

    def code(frame: Frame) -> Any:
        try:
            value = left(frame)
        except Missing:
            return right(frame)
        return right(frame) if value is None else value

    return code


def _if_missing(left: Code, right: Code) -> Code:
    """`???`: the right side for what is missing; null stays."""

    def code(frame: Frame) -> Any:
        try:
            return left(frame)
        except Missing:
            return right(frame)

    return code


_LAZY: dict[str, Callable[[Code, Code], Code]] = {
    "and": _and,
    "or": _or,
    "??": _or_else,
    "???": _if_missing,
}
_EAGER: dict[str, Callable[[Any, Any], Any]] = {
    "==": operators.equal,
    "equals": operators.equal,
    "!=": lambda left, right: not operators.equal(left, right),
    "+": operators.add,
    "-": operators.subtract,
    "*": lambda left, right: operators.arithmetic("*", left, right),
    "/": lambda left, right: operators.arithmetic("/", left, right),
    "%": lambda left, right: operators.arithmetic("%", left, right),
    "~": operators.concatenate,
    "contains": operators.contains,
    "isIn": operators.is_in,
    "isNotIn": lambda left, right: not operators.is_in(left, right),
}


def _ternary(node: nodes.Ternary) -> Code:
    test, then, otherwise = (
        expression(node.condition),
        expression(node.then),
        expression(node.otherwise),
    )

    def code(frame: Frame) -> Any:
        value = test(frame)
        if value is not None and operators.condition(value, "?"):
            return then(frame)
        return otherwise(frame)

    return code


def registered(kind: Kind, name: str, line: int) -> Registered:
    """The row of the table.

    Raises:
        Fault: there is none, said in the peer's words.
    """
    row = TABLE.get((kind, name))
    if row is None:
        what = {"function": "Function or Macro", "filter": "Filter", "test": "Test"}[kind]
        raise Fault(f"{what} [{name}] does not exist.", line)
    return row


def bind(row: Registered, args: Arguments, line: int) -> list[Code]:
    """The code of each argument, in the order of the parameters.

    Raises:
        Fault: one is unknown, missing or too many.
    """
    given = [expression(arg) for arg in args.positional]
    if row.variadic:
        return given
    if len(given) > len(row.parameters):
        raise Fault(
            f"The argument at position {len(row.parameters) + 1} is not allowed. "
            f"Only {len(row.parameters)} argument(s) are allowed.",
            line,
        )
    named = {name: expression(arg) for name, arg in args.named}
    bound: list[Code] = []
    for index, parameter in enumerate(row.parameters):
        code = given[index] if index < len(given) else None
        for name in (parameter.name, *parameter.aliases):
            if name in named:
                code = named.pop(name)
        if code is None:
            if parameter.default is REQUIRED:
                raise Fault(
                    f"The '{row.name}' {row.kind} expects an argument '{parameter.name}'.", line
                )
            code = _literal(nodes.Literal(line, parameter.default))
        bound.append(code)
    if named:
        raise Fault(f"The following named argument does not exist: {next(iter(named))}", line)
    return bound


def _call(node: nodes.Call) -> Code:
    name, line = node.name, node.line
    row = TABLE.get(("function", name))
    macro = _macro_call(node)
    if row is None:
        return macro
    # Not bound before it is called: a macro of that name would come first.
    try:
        args = bind(row, node.args, line)
    except Fault as unbound:
        return _macro_or_fault(name, macro, unbound)
    implementation = row.implementation

    def code(frame: Frame) -> Any:
        if frame.macros and name in frame.macros:
            return macro(frame)
        values = [arg(frame) for arg in args]
        try:
            return implementation(frame, *values)
        except Fault as e:
            e.line = e.line or line
            raise

    return code


def _macro_or_fault(name: str, macro: Code, fault: Fault) -> Code:
    def code(frame: Frame) -> Any:
        if name in frame.macros:
            return macro(frame)
        raise Fault(fault.message, fault.line)

    return code


def _macro_call(node: nodes.Call) -> Code:
    name, line = node.name, node.line
    positional = [expression(arg) for arg in node.args.positional]
    named = [(key, expression(arg)) for key, arg in node.args.named]

    def code(frame: Frame) -> str:
        macro = frame.macros.get(name)
        if macro is None:
            raise Fault(f"Function or Macro [{name}] does not exist.", line)
        args = [arg(frame) for arg in positional]
        return macro(frame, args, {key: arg(frame) for key, arg in named}, line)

    return code


def applied(target: Code, name: str, args: Arguments, line: int) -> Code:
    """The code of a filter over what `target` gives."""
    row = registered("filter", name, line)
    bound = bind(row, args, line)
    implementation, forgiving = row.implementation, row.forgiving

    def code(frame: Frame) -> Any:
        try:
            value = target(frame)
        except Missing:
            if not forgiving:
                raise
            value = None
        values = [arg(frame) for arg in bound]
        try:
            return implementation(frame, value, *values)
        except Fault as e:
            e.line = e.line or line
            raise

    return code


def _filter(node: nodes.Filter) -> Code:
    return applied(expression(node.target), node.name, node.args, node.line)


def _test(node: nodes.Test) -> Code:
    row = registered("test", node.name, node.line)
    bound = bind(row, node.args, node.line)
    target, line, negated = expression(node.target), node.line, node.negated

    def code(frame: Frame) -> bool:
        try:
            value = target(frame)
        except Missing:
            if not row.forgiving:
                raise
            value = None
        try:
            outcome = bool(row.implementation(frame, value, *[arg(frame) for arg in bound]))
        except Fault as e:
            e.line = e.line or line
            raise
        return outcome is not negated

    return code


_COMPILERS: dict[type[Node], Callable[[Any], Code]] = {
    nodes.Literal: _literal,
    nodes.Interpolation: _interpolation,
    nodes.ListLiteral: _list,
    nodes.MapLiteral: _map,
    nodes.Name: _name,
    nodes.Attribute: _attribute,
    nodes.Subscript: _subscript,
    nodes.MethodCall: _method_call,
    nodes.Call: _call,
    nodes.Filter: _filter,
    nodes.Test: _test,
    nodes.Unary: _unary,
    nodes.Binary: _binary,
    nodes.Ternary: _ternary,
}
