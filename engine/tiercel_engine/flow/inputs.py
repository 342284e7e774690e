"""Given values to the inputs of an execution.

Used by everything that starts executions: the API, triggers, subflows; and for what somebody
gives when a paused execution is resumed. Inputs are taken in the order of their dependencies,
because defaults, offered values and conditions may read the inputs before them. All problems are
found at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError
from typing import Any

from tiercel_engine.errors import InvalidExpression, InvalidInput, TaskError, UserError, Violation
from tiercel_engine.flow.input_base import Input
from tiercel_engine.flow.input_types import ChoiceInput, MultiChoiceInput, SecretInput, choice_text
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.order import dependencies_first
from tiercel_engine.flow.values import BadValue, json_value, text_of

#: Renders a value's templates, types kept. Arguments: the value; the variables known so far
#: (`{"inputs": {...}}`). Raises InvalidExpression.
Render = Callable[[Any, Mapping[str, Any]], Any]
#: A secret's text to what the execution keeps of it.
Encrypt = Callable[[str], Any]

RECEIVED_CHARS_MAX = 1_000
_MISSING = object()
_FALSY = ("", "false", "0", "-0", "null")


@dataclass(frozen=True, slots=True)
class InputOutcome:
    """What became of one input.

    Attributes:
        input: its definition.
        value: the value of the execution; None when there is none.
        enabled: whether it is asked for at all (see `dependsOn`).
        problem: why the given value is refused, None when it is not.
    """

    input: Input
    value: Any = None
    enabled: bool = True
    problem: str | None = None


def resolve_inputs(
    flow: Flow,
    given: Mapping[str, Any],
    *,
    render: Render | None = None,
    encrypt: Encrypt | None = None,
) -> dict[str, Any]:
    """The inputs of an execution of `flow` (see `resolve`)."""
    return resolve(flow.inputs, given, render=render, encrypt=encrypt)


def resolve(
    inputs: Sequence[Input],
    given: Mapping[str, Any],
    *,
    render: Render | None = None,
    encrypt: Encrypt | None = None,
) -> dict[str, Any]:
    """The inputs of an execution as a JSON object; dotted ids become nested objects.

    Args:
        inputs: their definitions.
        given: by id, dotted or nested; text or already typed. Unknown ones are ignored. A FILE
            is given as the address of the stored file.
        render: renders defaults, offered values and conditions; without it defaults stay as they
            are written, offered values are not checked, and conditions hold.
        encrypt: for SECRET; without it such an input is refused.

    Raises:
        InvalidInput: one violation per input that does not hold.
    """
    outcomes = examine(inputs, given, render=render, encrypt=encrypt)
    violations = tuple(
        Violation(outcome.input.id, outcome.problem) for outcome in outcomes if outcome.problem
    )
    if violations:
        raise InvalidInput(violations)
    resolved: dict[str, Any] = {}
    for outcome in outcomes:
        put(resolved, outcome)
    return resolved


def examine(
    inputs: Sequence[Input],
    given: Mapping[str, Any],
    *,
    render: Render | None = None,
    encrypt: Encrypt | None = None,
) -> list[InputOutcome]:
    """What becomes of each input, in the order in which they are written. Raises nothing."""
    by_id = {definition.id: definition for definition in inputs}
    needs = {definition.id: definition.needs for definition in inputs}
    try:
        order = dependencies_first(needs)
    except CycleError:  # refused when a flow is saved; a stored one is taken as it is written
        order = list(needs)
    done: dict[str, InputOutcome] = {}
    known: dict[str, Any] = {}
    for input_id in order:
        definition = by_id[input_id]
        variables = {"inputs": known}
        try:
            if _is_enabled(definition, done, variables, render):
                outcome = _one(definition, given, variables, render, encrypt)
            else:
                outcome = InputOutcome(definition, enabled=False)
        except (UserError, TaskError) as error:
            outcome = InputOutcome(definition, problem=_problem(definition, error, None))
        done[input_id] = outcome
        put(known, outcome)
    return [done[definition.id] for definition in inputs]


def _is_enabled(
    definition: Input,
    done: Mapping[str, InputOutcome],
    variables: Mapping[str, Any],
    render: Render | None,
) -> bool:
    if any(name in done and not done[name].enabled for name in definition.needs):
        return False
    if render is None:
        return True
    for condition in definition.conditions:
        result = render(condition, variables)
        if result is None or text_of(result).strip().lower() in _FALSY:
            return False
    return True


def _one(
    definition: Input,
    given: Mapping[str, Any],
    variables: Mapping[str, Any],
    render: Render | None,
    encrypt: Encrypt | None,
) -> InputOutcome:
    received = _find(given, definition.id)
    if isinstance(received, str) and not received and not definition.takes_blank_text:
        received = None
    value = received
    if value is None and definition.defaults is not None:
        value = definition.defaults
        if render is not None and definition.renders_defaults:
            value = render(value, variables)
    choices = _choices(definition, variables, render)
    if value is None and choices and isinstance(definition, ChoiceInput):
        value = definition.first_of(choices) if definition.auto_select_first else None
    if value is None:
        problem = "missing required input" if definition.required else None
        return InputOutcome(definition, problem=problem and _problem(definition, problem, None))
    try:
        converted = definition.convert(value)
        _check_choice(definition, converted, choices)
        if isinstance(definition, SecretInput):
            if encrypt is None:
                raise BadValue("SECRET inputs need an encryption key in the server's settings")
            converted = encrypt(converted)
    except BadValue as error:
        return InputOutcome(definition, problem=_problem(definition, error, value))
    return InputOutcome(definition, converted)


def _choices(
    definition: Input, variables: Mapping[str, Any], render: Render | None
) -> list[str] | None:
    """The offered values; None when any value will do or they are not known."""
    if not isinstance(definition, ChoiceInput):
        return None
    if definition.expression is None or render is None:
        return definition.choices()
    offered = render(definition.expression, variables)
    try:
        offered = json_value(offered)
    except BadValue:
        offered = None
    if not isinstance(offered, list):
        raise InvalidExpression(
            "Expected the expression of the offered values to give a list, but it does not",
            definition.expression,
        )
    return [choice_text(value) for value in offered]


def _check_choice(definition: Input, value: Any, choices: list[str] | None) -> None:
    if choices is None or not isinstance(definition, ChoiceInput) or definition.allow_custom_value:
        return
    chosen = value if isinstance(definition, MultiChoiceInput) else [value]
    if any(text_of(one) not in choices for one in chosen):
        raise BadValue(f"it must match the values `[{', '.join(choices)}]`")


def _problem(definition: Input, reason: object, received: Any) -> str:
    if isinstance(definition, SecretInput) and received is not None:
        shown = "********"
    else:
        shown = text_of(received)[:RECEIVED_CHARS_MAX]
    return f"Invalid input for `{definition.id}`, {reason}, but received `{shown}`"


def without_missing(inputs: Sequence[Input], given: Mapping[str, Any]) -> list[Input]:
    """The inputs without those that are required and not given: what the flow of a trigger gets."""
    return [
        each
        for each in inputs
        if is_given(given, each.id) or each.defaults is not None or not each.required
    ]


def is_given(given: Mapping[str, Any], input_id: str) -> bool:
    """Whether there is a value for an input, under its dotted id or nested."""
    return _find(given, input_id, missing=_MISSING) is not _MISSING


def _find(given: Mapping[str, Any], input_id: str, missing: Any = None) -> Any:
    """The given value of an input, under its dotted id or nested."""
    if input_id in given:
        return given[input_id]
    value: Any = given
    for part in input_id.split("."):
        if not isinstance(value, Mapping):
            return missing
        value = value.get(part, missing)
    return value


def put(nested: dict[str, Any], outcome: InputOutcome) -> None:
    """Add a value under its id, dotted ids as nested objects; none that is not asked for."""
    if not outcome.enabled:
        return
    *path, name = outcome.input.id.split(".")
    for part in path:
        inner = nested.setdefault(part, {})
        if not isinstance(inner, dict):
            return
        nested = inner
    nested[name] = outcome.value
