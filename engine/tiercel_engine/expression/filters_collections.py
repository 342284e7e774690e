"""Filters over lists, maps and numbers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from tiercel_engine.expression import operators
from tiercel_engine.expression.arguments import as_text, bounded_text, text, whole
from tiercel_engine.expression.faults import Fault, LimitFault
from tiercel_engine.expression.frame import Frame
from tiercel_engine.expression.limits import EXPONENT_MAX, STEPS_MAX
from tiercel_engine.expression.numbers import format_decimal
from tiercel_engine.expression.table import filter_, parameter
from tiercel_engine.expression.text import double_text
from tiercel_engine.expression.values import (
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    LONG_MIN,
    BigInteger,
    Long,
    MapEntry,
    as_list,
    class_name,
    entries,
    is_map,
    is_number,
    is_sequence,
    narrow,
)


def _sequence(value: Any, message: str) -> list[Any]:
    if not is_sequence(value):
        raise Fault(message)
    return as_list(value)


def is_blank(value: Any) -> bool:
    """Null, a blank text, an empty list or an empty map."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip()
    return (is_map(value) or is_sequence(value)) and len(value) == 0


@filter_("default", parameter("default"), forgiving=True)
def default(frame: Frame, value: Any, other: Any) -> Any:
    """`default` when the value is null, empty or missing."""
    return other if is_blank(value) else value


@filter_("first")
def first(frame: Frame, value: Any) -> Any:
    """The first item of a list, or the first character of a text."""
    return _end(value, "first", 0)


@filter_("last")
def last(frame: Frame, value: Any) -> Any:
    """The last item of a list, or the last character of a text."""
    return _end(value, "last", -1)


def _end(value: Any, name: str, index: int) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        return value[index] if value else ""
    items = _sequence(value, f"The '{name}' filter expects that the input is a list or a string.")
    return items[index] if items else None


@filter_("length")
def length(frame: Frame, value: Any) -> Any:
    """How many items, entries or characters; 0 for everything else."""
    if isinstance(value, str) or is_map(value) or is_sequence(value):
        return Long(len(value))
    return Long(0)


@filter_("join", parameter("separator", ""))
def join(frame: Frame, value: Any, separator: Any) -> Any:
    """The items as one text, with `separator` between them."""
    if value is None:
        return None
    items = _sequence(
        value, "The 'join' filter expects that the input is either a collection or an array."
    )
    between = "" if separator is None else as_text(separator)
    texts: list[str] = []
    total = 0
    for item in items:
        texts.append(as_text(item))
        total += len(texts[-1]) + len(between)
        if total > 2 * STEPS_MAX * 10:
            raise LimitFault("A joined text is too long")
    return bounded_text(between.join(texts))


@filter_("slice", parameter("fromIndex", 0), parameter("toIndex", None))
def slice_(frame: Frame, value: Any, start: Any, end: Any) -> Any:
    """The items (or characters) from `fromIndex` up to, but without, `toIndex`."""
    if value is None:
        return None
    if not isinstance(value, str):
        value = _sequence(value, "The 'slice' filter expects a list or a string.")
    begin = 0 if start is None else whole(start, "fromIndex")
    stop = len(value) if end is None else whole(end, "toIndex")
    if begin < 0:
        raise Fault("fromIndex must be greater than 0")
    if stop < begin:
        raise Fault("toIndex must be greater than fromIndex")
    if stop > len(value):
        raise Fault(f"toIndex must be smaller than input size: {len(value)}")
    return value[begin:stop]


def _ordered(value: Any, name: str, *, down: bool) -> Any:
    if value is None:
        return None
    items = _sequence(value, f"Unsupported input type for {name} filter")
    if any(is_map(item) or is_sequence(item) or isinstance(item, MapEntry) for item in items):
        raise Fault(f"The items given to the '{name}' filter cannot be compared")
    try:
        return sorted(items, reverse=down)
    except (TypeError, InvalidOperation) as e:
        raise Fault(f"The items given to the '{name}' filter cannot be compared") from e


@filter_("sort")
def sort(frame: Frame, value: Any) -> Any:
    """The items in ascending order."""
    return _ordered(value, "sort", down=False)


@filter_("rsort")
def rsort(frame: Frame, value: Any) -> Any:
    """The items in descending order."""
    return _ordered(value, "rsort", down=True)


@filter_("reverse")
def reverse(frame: Frame, value: Any) -> Any:
    """The items in reverse order."""
    if value is None:
        return None
    return _sequence(value, "The 'reverse' filter can only be applied to lists.")[::-1]


@filter_("merge", parameter("items"))
def merge(frame: Frame, value: Any, items: Any) -> Any:
    """A list with more items, or a map with more entries; later keys win."""
    if value is None:
        return items
    if items is None:
        return value
    if is_map(value):
        if is_map(items):
            return {**value, **items}
        more = _sequence(items, "Currently, only Maps and Lists can be merged with a Map.")
        return {**value, **{item: item for item in more if not isinstance(item, (dict, list))}}
    if not is_sequence(value):
        raise Fault("The object being filtered is not a Map/List/Array")
    if is_map(items):
        items = entries(items)
    if not is_sequence(items):
        raise Fault(
            f"Currently, only Maps and Lists can be merged with a List. Arg2: {class_name(items)}"
        )
    return operators.add(as_list(value), as_list(items))


@filter_("keys")
def keys(frame: Frame, value: Any) -> Any:
    """The keys of a map, or the indices of a list."""
    if value is None:
        return None
    if is_map(value):
        return list(value)
    if is_sequence(value):
        return list(range(len(value)))
    raise Fault(
        "'keys' filter can only be applied to List, Map, Array. "
        f"Actual type was: {class_name(value)}"
    )


@filter_("values")
def values(frame: Frame, value: Any) -> Any:
    """The values of a map."""
    if value is None:
        return None
    if not is_map(value):
        raise Fault(
            f"'values' filter can only be applied to Map. Actual type was: {class_name(value)}"
        )
    return list(value.values())


@filter_("flatten")
def flatten(frame: Frame, value: Any) -> Any:
    """The items of the lists inside a list, one level deep."""
    if value is None:
        return None
    flat: list[Any] = []
    for item in _sequence(value, "The 'flatten' filter can only be applied to lists."):
        flat.extend(as_list(item) if is_sequence(item) else [item])
        if len(flat) > STEPS_MAX:
            raise LimitFault(f"Expected a list of at most {STEPS_MAX} items")
    return flat


@filter_("chunk", parameter("size"))
def chunk(frame: Frame, value: Any, size: Any) -> Any:
    """The list cut into lists of `size` items."""
    if value is None:
        return None
    items = _sequence(
        value, f"'chunk' filter can only be applied to List. Actual type was: {class_name(value)}"
    )
    each = whole(size, "size")
    if each < 1:
        raise Fault("The size of a chunk must be at least 1")
    return [items[at : at + each] for at in range(0, len(items), each)]


@filter_("distinct", since="0.20")
def distinct(frame: Frame, value: Any) -> Any:
    """The items without repeats, each at its first place."""
    if value is None:
        return None
    items = _sequence(value, f"Input must be a list, but received : {class_name(value)}")
    seen: set[Any] = set()
    kept: list[Any] = []
    for item in items:
        key = _identity(item)
        if key not in seen:
            seen.add(key)
            kept.append(item)
    return kept


def _identity(value: Any) -> Any:
    """Equal for equal values; containers by their text."""
    if is_map(value) or is_sequence(value) or isinstance(value, MapEntry):
        return ("container", as_text(value))
    return (class_name(value), value)


@filter_("abs")
def abs_(frame: Frame, value: Any) -> Any:
    """The number without its sign."""
    if value is None:
        raise Fault('Can not pass null value to "abs" filter.')
    if not is_number(value):
        raise Fault("The 'abs' filter does require as input a number.")
    return type(value)(abs(value))


@filter_("numberFormat", parameter("format", None), also=("numberformat",))
def number_format(frame: Frame, value: Any, pattern: Any) -> Any:
    """The number formatted by a Java `DecimalFormat` pattern, such as `#,##0.00`."""
    if value is None:
        return None
    if not is_number(value):
        raise Fault("The input for the 'NumberFormat' filter has to be a number.")
    chosen = None if pattern is None else text(pattern, "The 'numberFormat' filter")
    return format_decimal(value, chosen, frame.context.locale)


def _float32(string: str) -> Any:
    value = narrow(float(string))
    if value is None:
        raise ValueError(string)
    return value


_NUMBERS: dict[str, Callable[[str], Any]] = {
    "INT": lambda s: _within(int(s), INT_MIN, INT_MAX),
    "LONG": lambda s: Long(_within(int(s), LONG_MIN, LONG_MAX)),
    "FLOAT": _float32,
    "DOUBLE": float,
    "BIGDECIMAL": Decimal,
    "BIGINTEGER": lambda s: BigInteger(s),
}


def _within(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ValueError(value)
    return value


@filter_("number", parameter("type", None))
def number(frame: Frame, value: Any, kind: Any) -> Any:
    """The number that a text stands for: INT, LONG, FLOAT, DOUBLE, BIGDECIMAL, BIGINTEGER.

    Without a type the smallest that holds it.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise Fault(
            f"'number' filter can only be applied to String. Actual type was: {class_name(value)}"
        )
    if len(value) > 1_000 or not value.isascii() or "_" in value or value != value.strip():
        raise Fault(f"{value[:100]} is not a valid number.")
    convert = _NUMBERS.get(kind) if isinstance(kind, str) else None
    try:
        return operators.bounded(convert(value) if convert is not None else _smallest(value))
    except (ValueError, InvalidOperation, OverflowError) as e:
        shown = f'For input string: "{value}"' if convert else f"{value} is not a valid number."
        raise Fault(shown) from e


def _smallest(string: str) -> Any:
    digits = string.lstrip("+-")
    if digits[:2].lower() == "0x":
        return _integer(int(string, 16))
    if digits.isdigit():
        return _integer(int(string))
    if digits[:-1].isdigit() and digits[-1] in "lL":
        return Long(_within(int(string[:-1]), LONG_MIN, LONG_MAX))
    exact = Decimal(string.rstrip("fFdD"))
    if not exact.is_finite() or abs(exact.adjusted()) > EXPONENT_MAX:
        raise ValueError(string)
    double = float(exact) if abs(exact) < Decimal("1.8e308") else 0.0
    if double or not exact:
        short = narrow(double)
        if (
            short is not None
            and string[-1] not in "dD"
            and double_text(short) == double_text(double)
        ):
            return short
        if Decimal(double_text(double)) == exact:
            return double
    return exact


def _integer(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    return Long(value) if LONG_MIN <= value <= LONG_MAX else BigInteger(value)


@filter_("className")
def class_name_(frame: Frame, value: Any) -> Any:
    """The peer's class of the value, such as `java.lang.String`."""
    return None if value is None else class_name(value)
