"""Checks of a flow: conditions on the inputs of an execution that is to start.

Their `behavior` says what becomes of one for which the condition is false. The doors ask here to
show it beforehand, the executor to act on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import AliasChoices, Field

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.flow.base import Part, Text

#: Renders a template with some variables. Raises InvalidExpression.
Render = Callable[[str, Mapping[str, Any]], str]
Behavior = Literal["BLOCK_EXECUTION", "FAIL_EXECUTION", "CREATE_EXECUTION"]


class Check(Part):
    """One condition, and what becomes of an execution for which it is false."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.check.Check"

    when: Text = Field(validation_alias=AliasChoices("when", "condition"))
    message: Text = ""
    style: Literal["ERROR", "SUCCESS", "WARNING", "INFO"] = "INFO"
    behavior: Behavior = "BLOCK_EXECUTION"


class FailedCheck(NamedTuple):
    """A check whose condition is false, or cannot be rendered."""

    message: str
    style: str
    behavior: Behavior


def failed(
    checks: Sequence[Check],
    text: Render,
    truthy: Callable[[str, Mapping[str, Any]], bool],
    variables: Mapping[str, Any],
) -> Iterator[FailedCheck]:
    """The checks that do not hold, in their order; raises nothing."""
    for check in checks:
        try:
            if truthy(check.when, variables):
                continue
            message = text(check.message, variables)
        except InvalidExpression as error:
            message = f"{check.message or 'A check'} ({error})"
        yield FailedCheck(message, check.style, check.behavior)
