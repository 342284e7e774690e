"""What a task asks of its execution: labels, variables, an early end.

Follows Kestra's Labels, SetVariables, UnsetVariables and Exit. Events carry the values that came
of it, so that applying them needs neither the flow nor a merge.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tiercel_engine.errors import TaskError
from tiercel_engine.execution.exit import request_exit
from tiercel_engine.execution.outcome import record_end
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.rendering import json_payload
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.variables import decoded_vars
from tiercel_engine.execution.world import World
from tiercel_engine.plugin.base import NO_EFFECTS, Effects
from tiercel_schemas import events as e
from tiercel_schemas.common import Label

#: The variables that one task sets, as JSON text. Above it the task fails loudly.
VARIABLES_BYTES_MAX = 64 * 1024


def read_effects(text: str | None) -> Effects:
    """The effects that a worker has sent. Raises TaskError: it is of another version."""
    if text is None:
        return NO_EFFECTS
    try:
        return msgspec.json.decode(text, type=Effects)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise TaskError(f"Expected what the task asks of its execution, but {error}") from error


def apply_effects(step: Step, plan: Plan, effects: Effects) -> None:
    """Change labels and variables; an exit comes last, by `record_with`.

    Raises:
        TaskError: a variable exists, is missing, or is too large. Nothing has changed.
        InvalidExpression: one is nested too deeply. The same.
    """
    changed = _changed_variables(step, plan, effects)
    if changed is not None:
        step.emit(changed)
    if effects.labels:
        step.emit(e.LabelsSet(_merged(step.execution.labels, effects.labels)))


def record_with(
    step: Step, plan: Plan | None, world: World, end: e.AttemptEnded, effects: Effects
) -> None:
    """Record the end of an attempt, and end its execution if it asked for that."""
    if not effects.exit:
        record_end(step, plan, world, end)
        return
    # The state of an exit is its author's word: no retry, and no `allowFailure`, changes it.
    step.emit(end)
    request_exit(step, effects.exit)


def _merged(labels: tuple[Label, ...], added: dict[str, str]) -> tuple[Label, ...]:
    """Every label once, where it stood first; new ones at the end."""
    values = {label.key: label.value for label in reversed(labels)}
    ordered = {label.key: values[label.key] for label in labels}
    return tuple(Label(key, value) for key, value in (ordered | added).items())


def _changed_variables(step: Step, plan: Plan, effects: Effects) -> e.VariablesSet | None:
    if not (effects.variables or effects.unset):
        return None
    names = {*effects.variables, *(path.partition(".")[0] for path in effects.unset)}
    before = decoded_vars(step.execution, plan, names | set(effects.unset))
    if not effects.overwrite:
        known = [name for name in effects.variables if name in before]
        if known:
            raise TaskError(
                "`overwrite` is set to false and the following variables already exist: "
                + ",".join(known)
            )
    after: dict[str, Any] = _deep(before, effects.variables)
    for path in effects.unset:
        if not _take_out(after, path) and not effects.ignore_missing:
            raise TaskError(
                f"Expected the variable {path} to exist, but it does not."
                " Set ignoreMissing to go on without it."
            )
    values = {name: json_payload(after[name]).json or "" for name in after if name in names}
    size_bytes = sum(len(text) for text in values.values())
    if size_bytes > VARIABLES_BYTES_MAX:
        raise TaskError(
            f"Expected variables of at most {VARIABLES_BYTES_MAX} bytes, but they take "
            f"{size_bytes}. Pass large values as files of internal storage."
        )
    removed = tuple(name for name in before if name not in after)
    return e.VariablesSet(values, removed) if values or removed else None


def _deep(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` merged into `base`; maps are merged, all else is replaced."""
    merged = dict(base)
    for name, value in over.items():
        known = merged.get(name)
        both = isinstance(known, dict) and isinstance(value, dict)
        merged[name] = _deep(known, value) if both and known is not None else value
    return merged


def _take_out(variables: dict[str, Any], path: str) -> bool:
    """Remove what a path names, without changing maps that others share; False: not there."""
    if path in variables:
        del variables[path]
        return True
    name, dot, rest = path.partition(".")
    inner = variables.get(name)
    if not dot or not isinstance(inner, dict):
        return False
    copy = dict(inner)
    variables[name] = copy
    return _take_out(copy, rest)
