"""What the operators do, and the kinds of truth. Precedence is `parser`'s business."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Context, Decimal, DecimalException
from enum import Enum
from typing import Any

from tiercel_engine.expression.faults import Fault, LimitFault
from tiercel_engine.expression.limits import (
    COMPARED_NODES_MAX,
    INTEGER_BITS_MAX,
    OUTPUT_CHARS_MAX,
    STEPS_MAX,
    VALUE_DEPTH_MAX,
)
from tiercel_engine.expression.moments import parse_zoned
from tiercel_engine.expression.text import java_text, scalar_text
from tiercel_engine.expression.values import (
    LONG_MAX,
    LONG_MIN,
    BigInteger,
    Float32,
    Long,
    MapEntry,
    as_list,
    is_number,
    is_sequence,
    narrow,
    whole_number,
)

_DECIMAL = Context(prec=34, Emax=6_000, Emin=-6_000)


def condition(value: Any, construct: str) -> bool:
    """Truth in `if`, `and`, `or`, `not`: booleans, numbers (not 0) and texts (not empty).

    Raises:
        Fault: null, or another type.
    """
    if value is True or value is False:
        return bool(value)
    if isinstance(value, str):
        return bool(value)
    if is_number(value):
        return bool(value != 0)
    if value is None:
        raise Fault(f"null value given to {construct} and strict variables is set to true")
    raise Fault(
        f'Unsupported value type {_kind(value)}. Expected Boolean, String, Number in "{construct}"'
        " statement"
    )


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "Map"
    return "List" if is_sequence(value) else "Object"


def equal(left: Any, right: Any) -> bool:
    """`==`: numbers as doubles, enums by name, dates by instant, the rest by value and type."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    return _same(left, right, 0, [COMPARED_NODES_MAX])


def _same(left: Any, right: Any, depth: int, left_steps: list[int]) -> bool:
    left_steps[0] -= 1
    if depth > VALUE_DEPTH_MAX or left_steps[0] < 0:
        raise LimitFault("Values to compare are too large")
    if left is right:
        return True
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    if isinstance(left, Enum):
        left = left.name
    if isinstance(right, Enum):
        right = right.name
    if is_number(left) and is_number(right):
        whole = isinstance(left, int) == isinstance(right, int)
        return whole and bool(left == right)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        if len(left) != len(right):
            return False
        return all(
            key in right and _same(item, right[key], depth + 1, left_steps)
            for key, item in left.items()
        )
    if is_sequence(left) and is_sequence(right):
        if len(left) != len(right):
            return False
        if isinstance(left, (set, frozenset)) and isinstance(right, (set, frozenset)):
            return bool(left == right)
        pairs = zip(left, right, strict=True)
        return all(_same(a, b, depth + 1, left_steps) for a, b in pairs)
    if isinstance(left, MapEntry) and isinstance(right, MapEntry):
        return _same(list(left), list(right), depth + 1, left_steps)
    if isinstance(left, datetime) != isinstance(right, datetime):
        return False
    return (type(left) is type(right) and bool(left == right)) or _same_text(left, right)


def _same_text(left: Any, right: Any) -> bool:
    return isinstance(left, str) and isinstance(right, str) and str(left) == str(right)


def compare(operator: str, left: Any, right: Any, *, texts: bool) -> bool:
    """`<` and its kin. A null side is false.

    Args:
        operator: one of `<`, `<=`, `>`, `>=`.
        left, right: numbers; dates; with `texts` also two texts, compared as instants when both
            are date-times and as text otherwise.
        texts: whether the dialect compares texts.

    Raises:
        Fault: the two cannot be ordered.
    """
    if left is None or right is None:
        return False
    pair: tuple[Any, Any] | None = None
    if is_number(left) and is_number(right):
        pair = (left, right)
    elif isinstance(left, datetime) and isinstance(right, datetime):
        pair = (_instant(left), _instant(right))
    elif isinstance(left, str) and isinstance(right, str) and texts:
        pair = _instants(left, right) or (left, right)
    elif type(left) is type(right) and isinstance(left, date):
        pair = (left, right)
    if pair is None:
        raise Fault(f"Could not perform {_COMPARISONS[operator]} comparison")
    one, other = pair
    if one != one or other != other:
        # Not a number: neither smaller nor larger than anything.
        return False
    if operator == "<":
        return bool(one < other)
    if operator == "<=":
        return bool(one <= other)
    return bool(one > other) if operator == ">" else bool(one >= other)


_COMPARISONS = {
    ">": "greater than",
    "<": "less than",
    ">=": "greater than or equals",
    "<=": "less than or equals",
}


def _instant(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _instants(left: str, right: str) -> tuple[datetime, datetime] | None:
    one, other = parse_zoned(left), parse_zoned(right)
    return None if one is None or other is None else (one, other)


def contains(left: Any, right: Any) -> bool:
    """`left contains right`: item (or all of them), key, or part of a text."""
    if left is None:
        return False
    if isinstance(left, str):
        return right is not None and java_text(right) in left
    if isinstance(left, Mapping):
        return _is_key(left, right)
    if is_sequence(left):
        steps = [2 * COMPARED_NODES_MAX]
        if is_sequence(right):
            return all(has(left, item, steps) for item in right)
        return has(left, right, steps)
    raise Fault(
        "Contains operator can only be used on Collections, Maps and arrays. "
        f"Actual type was: {_kind(left)}"
    )


def _is_key(mapping: Mapping[Any, Any], key: Any) -> bool:
    try:
        return key in mapping
    except TypeError:
        return False


def has(items: Any, wanted: Any, steps: list[int]) -> bool:
    """Whether an item equals `wanted`. `steps[0]`: nodes that may still be compared."""
    return any(_same(item, wanted, 0, steps) for item in items)


def is_in(left: Any, right: Any) -> bool:
    """`left isIn right`, compared as text: an item of a list, a key or value of a map."""
    if left is None or right is None:
        return False
    text = java_text(left)
    if isinstance(right, Mapping):
        candidates = [*right.keys(), *right.values()]
    elif is_sequence(right):
        candidates = as_list(right)
    else:
        return False
    return any(java_text(item) == text for item in candidates)


def bounded(value: Any) -> Any:
    """An integer as 64-bit arithmetic leaves it; big ones stay big, within the limit."""
    if isinstance(value, int) and value.bit_length() > INTEGER_BITS_MAX:
        raise LimitFault("A number has too many digits")
    return value


def _wrap(value: int) -> Long:
    return Long((value - LONG_MIN) % 2**64 + LONG_MIN)


def add(left: Any, right: Any) -> Any:
    """`+`: text when a side is one, a longer list when the left is one, else a sum."""
    if isinstance(left, str) or isinstance(right, str):
        return joined(java_text(left), java_text(right))
    if is_sequence(left):
        items = as_list(left)
        more = as_list(right) if is_sequence(right) else [right]
        if len(items) + len(more) > STEPS_MAX:
            raise LimitFault(f"Expected a list of at most {STEPS_MAX} items")
        return [*items, *more]
    return arithmetic("+", left, right)


def joined(left: str, right: str) -> str:
    """Both texts in one, within the limit."""
    if len(left) + len(right) > OUTPUT_CHARS_MAX:
        raise LimitFault(f"Expected a text of at most {OUTPUT_CHARS_MAX} characters")
    return left + right


def subtract(left: Any, right: Any) -> Any:
    """`-`: a list without the right side's items, else a difference."""
    if is_sequence(left):
        gone = as_list(right) if is_sequence(right) else [right]
        if is_sequence(right):
            steps = [2 * COMPARED_NODES_MAX]
            return [item for item in left if not has(gone, item, steps)]
        items = as_list(left)
        for index, item in enumerate(items):
            if equal(item, right):
                return items[:index] + items[index + 1 :]
        return list(items)
    return arithmetic("-", left, right)


_VERBS = {
    "+": "addition",
    "-": "subtraction",
    "*": "multiplication",
    "/": "division",
    "%": "greater modulus",
}


def arithmetic(operator: str, left: Any, right: Any) -> Any:
    """A number of the wider kind of the two.

    Raises:
        Fault: a side is no number, or the divisor is 0.
    """
    if not (is_number(left) and is_number(right)):
        raise Fault(f"Could not perform {_VERBS[operator]}")
    try:
        if isinstance(left, Decimal) or isinstance(right, Decimal):
            return _decimals(operator, left, right)
        if isinstance(left, float) or isinstance(right, float):
            result = _floats(operator, float(left), float(right))
            wide = any(type(side) is float for side in (left, right))
            return result if wide else narrow(result) or Float32(result)
        return _integers(operator, left, right)
    except (ZeroDivisionError, DecimalException, OverflowError, ValueError) as e:
        raise Fault(f"Could not perform {_VERBS[operator]}") from e


def _integers(operator: str, left: int, right: int) -> int:
    one, other = int(left), int(right)
    if operator == "+":
        result = one + other
    elif operator == "-":
        result = one - other
    elif operator == "*":
        result = one * other
    else:
        # Java truncates towards zero, and the remainder takes the dividend's sign.
        quotient = abs(one) // abs(other) * (1 if (one < 0) == (other < 0) else -1)
        result = quotient if operator == "/" else one - quotient * other
    big = isinstance(left, BigInteger) or isinstance(right, BigInteger)
    if big or not (LONG_MIN <= one <= LONG_MAX and LONG_MIN <= other <= LONG_MAX):
        return BigInteger(bounded(result))
    return _wrap(result)


def _floats(operator: str, left: float, right: float) -> float:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if right == 0:
        if operator == "%" or left == 0 or left != left:
            return float("nan")
        negative = (left < 0) != (str(right)[0] == "-")
        return float("-inf") if negative else float("inf")
    if operator == "/":
        return left / right
    from_zero = abs(left) % abs(right)
    return -from_zero if left < 0 else from_zero


def _decimals(operator: str, left: Any, right: Any) -> Decimal:
    one, other = _decimal(left), _decimal(right)
    operation: Callable[[Decimal, Decimal], Decimal] = {
        "+": _DECIMAL.add,
        "-": _DECIMAL.subtract,
        "*": _DECIMAL.multiply,
        "/": _DECIMAL.divide,
        "%": _DECIMAL.remainder,
    }[operator]
    return operation(one, other)


def _decimal(value: Any) -> Decimal:
    return Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)


def negative(value: Any) -> Any:
    """`-x`."""
    if not is_number(value):
        raise Fault("invalid operands for mathematical operation [MULTIPLICATION]")
    return arithmetic("*", value, Long(-1)) if not isinstance(value, float) else -value


def positive(value: Any) -> Any:
    """`+x`."""
    if not is_number(value):
        raise Fault("invalid operands for mathematical operation [MULTIPLICATION]")
    return value


def concatenate(left: Any, right: Any) -> str:
    """`~`: both as text, null as nothing."""
    return joined(
        "" if left is None else java_text(left), "" if right is None else java_text(right)
    )


def interval(start: Any, end: Any, increment: Any = 1) -> list[Any]:
    """The inclusive list of `..` and `range`: whole numbers or single letters.

    Raises:
        Fault: other kinds, or an increment of 0.
        LimitFault: too many items.
    """
    if isinstance(start, str) and isinstance(end, str) and len(start) == len(end) == 1:
        return [chr(code) for code in interval(ord(start), ord(end), increment)]
    first, last, step = whole_number(start), whole_number(end), whole_number(increment)
    if first is None or last is None:
        raise Fault(
            "Arguments of range function must be of type Number or String with a length of 1"
        )
    if not step:
        raise Fault("The increment of range function must be a number other than 0")
    items = range(first, last + (1 if step > 0 else -1), step)
    if items and (items[-1] - items[0]) // step >= STEPS_MAX:
        raise LimitFault(f"Expected a list of at most {STEPS_MAX} items")
    return [Long(item) for item in items]


def loosely_true(text: Any) -> bool:
    """The engine's own truth of `If.condition` and `runIf`: all but these five is true."""
    if isinstance(text, MapEntry):
        return True
    plain = scalar_text(text) if not isinstance(text, str) else text
    return plain not in ("", "0", "-0", "false")
