"""Rendered values to the typed outputs of an execution, as its flow declares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.flow.model import Output
from tiercel_engine.flow.values import BadValue, convert, text_of

RECEIVED_CHARS_MAX = 1_000
SECRET = "SECRET"


def typed_outputs(
    outputs: Sequence[Output],
    values: Mapping[str, Any],
    seal: Callable[[str], Any] | None,
) -> dict[str, Any]:
    """The outputs, each in its type; one that rendered to nothing stays nothing.

    Args:
        values: JSON-able, by the outputs' ids.
        seal: encrypts SECRET outputs; without it such an output is refused.

    Raises:
        InvalidExpression: a value is none of its type.
    """
    return {output.id: _typed(output, values.get(output.id), seal) for output in outputs}


def _typed(output: Output, value: Any, seal: Callable[[str], Any] | None) -> Any:
    if value is None:
        return None
    try:
        converted = convert(output.type, value, output.item_type)
        if output.type != SECRET:
            return converted
        if seal is None:
            raise BadValue("SECRET outputs need an encryption key in the server's settings")
        return seal(converted)
    except BadValue as error:
        shown = "********" if output.type == SECRET else text_of(value)[:RECEIVED_CHARS_MAX]
        raise InvalidExpression(
            f"Invalid output for `{output.id}`, {error}, but received `{shown}`"
        ) from None
