"""Reading the arguments of functions and filters: what each kind accepts, said the same way."""

from __future__ import annotations

from typing import Any

from tiercel_engine.expression.faults import Fault, LimitFault
from tiercel_engine.expression.limits import OUTPUT_CHARS_MAX
from tiercel_engine.expression.text import java_text
from tiercel_engine.expression.values import class_name, whole_number


def text(value: Any, what: str) -> str:
    """`value`, which must be text.

    Raises:
        Fault: it is not.
    """
    if not isinstance(value, str):
        raise Fault(f"{what} expects a string, but was {class_name(value)}")
    return str(value)


def as_text(value: Any) -> str:
    """Anything as text: text as it is, maps and lists as the peer's `toString`."""
    return value if isinstance(value, str) else java_text(value)


def whole(value: Any, what: str) -> int:
    """`value`, which must be a whole number.

    Raises:
        Fault: it is not.
    """
    number = whole_number(value)
    if number is None:
        raise Fault(f"{what} expects a whole number, but was {class_name(value)}")
    return number


def bounded_text(value: str) -> str:
    """A text that was built, within the limit.

    Raises:
        LimitFault: it is longer.
    """
    if len(value) > OUTPUT_CHARS_MAX:
        raise LimitFault(f"Expected a text of at most {OUTPUT_CHARS_MAX} characters")
    return value


def room_for(characters: int) -> None:
    """Raise `LimitFault` when a text of so many characters must not be built."""
    if characters > OUTPUT_CHARS_MAX:
        raise LimitFault(f"Expected a text of at most {OUTPUT_CHARS_MAX} characters")
