"""Tasks about the execution that they run in; the executor runs them itself.

Properties, messages and effects follow Kestra's tasks of these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from pydantic import Field

from tiercel_engine.errors import InvalidExpression, TaskError
from tiercel_engine.expression.operators import loosely_true
from tiercel_engine.flow.base import Text
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.base import Effects, EngineTask, TaskResult
from tiercel_engine.plugin.context import TaskContext
from tiercel_schemas.state import State

_NEW = "io.kestra.plugin.core.execution."

SYSTEM_PREFIX = "system."
#: What may be written for the state of an Exit -> the state.
EXIT_STATES = {
    "SUCCESS": State.SUCCESS,
    "WARNING": State.WARNING,
    "FAILED": State.FAILED,
    "KILLED": State.KILLED,
    "CANCELED": State.CANCELLED,
    "CANCELLED": State.CANCELLED,
}


class Fail(EngineTask):
    """Fail on purpose: always, or when a condition holds.

    Properties: `condition` is a template, the task fails unless it renders to nothing, 0 or
    false; without one it always fails. `errorMessage` is the line in the log. Outputs: none.

    Example:
        ```yaml
        id: guard
        namespace: docs.tasks
        inputs:
          - id: pieces
            type: INT
            defaults: 3
        tasks:
          - id: enough
            type: io.kestra.plugin.core.execution.Fail
            condition: "{{ inputs.pieces < 1 }}"
            errorMessage: "There are only {{ inputs.pieces }} pieces"
        ```
    """

    TYPE: ClassVar[str] = _NEW + "Fail"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.executions.Fail",)

    condition: Text | None = None
    error_message: Text = Field("Task failure", alias="errorMessage")

    def run(self, context: TaskContext) -> None:
        if self.condition is None:
            raise TaskError(context.render(self.error_message))
        if loosely_true(context.render(self.condition)):
            context.logger.log("ERROR", context.render(self.error_message))
            raise TaskError("Fail on a condition")


class Assert(EngineTask):
    """Fail unless all conditions hold; says each that does not.

    Properties: `conditions` is a list of templates; one that renders to nothing, 0 or false does
    not hold, nor does one that cannot be rendered. `errorMessage` is added to the failure.
    Outputs: none. Metrics: `success` and `failed`, how many conditions held and did not.

    Example:
        ```yaml
        id: checked
        namespace: docs.tasks
        inputs:
          - id: pieces
            type: INT
            defaults: 3
        tasks:
          - id: sane
            type: io.kestra.plugin.core.execution.Assert
            conditions:
              - "{{ inputs.pieces > 0 }}"
              - "{{ inputs.pieces < 100 }}"
            errorMessage: "{{ inputs.pieces }} pieces cannot be"
        ```
    """

    TYPE: ClassVar[str] = _NEW + "Assert"

    conditions: list[Text]
    error_message: Text | None = Field(None, alias="errorMessage")

    def run(self, context: TaskContext) -> None:
        failed = sum(not self._holds(context, condition) for condition in self.conditions)
        context.metric("success", len(self.conditions) - failed)
        context.metric("failed", failed)
        if failed:
            message = f"{failed} assertion{'s' if failed > 1 else ''} failed!"
            if self.error_message is not None:
                message += f"\n{context.render(self.error_message)}"
            raise TaskError(message)

    @staticmethod
    def _holds(context: TaskContext, condition: str) -> bool:
        try:
            holds = loosely_true(context.render(condition))
        except InvalidExpression as error:
            line = f"Assertion `{condition}` failed, failed to render `{error}`"
            context.logger.log("ERROR", line)
            return False
        if not holds:
            context.logger.log("ERROR", f"Assertion `{condition}` failed!")
        return holds


class Labels(EngineTask):
    """Add labels to the execution, or give those that it has new values.

    Properties: `labels` is a map, a list of `key` and `value`, or a template that gives a map as
    JSON. Labels that begin with `system.` are refused. Outputs: none.

    Example:
        ```yaml
        id: labelled
        namespace: docs.tasks
        inputs:
          - id: customer
            type: STRING
            defaults: acme
        tasks:
          - id: label
            type: io.kestra.plugin.core.execution.Labels
            labels:
              customer: "{{ inputs.customer }}"
        ```
    """

    TYPE: ClassVar[str] = _NEW + "Labels"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.executions.Labels",)
    UPDATES_EXECUTION: ClassVar[bool] = True

    labels: dict[str, Any] | list[dict[str, Any]] | Text

    def run(self, context: TaskContext) -> TaskResult:
        labels = {context.render(k): _label_text(context, v) for k, v in self._pairs(context)}
        for key, value in labels.items():
            if key.startswith(SYSTEM_PREFIX):
                raise TaskError(
                    "System labels can only be set by Kestra itself, offending label: "
                    f"{key}={value}"
                )
        return TaskResult(effects=Effects(labels=labels))

    def _pairs(self, context: TaskContext) -> list[tuple[Any, Any]]:
        if isinstance(self.labels, dict):
            return list(self.labels.items())
        if isinstance(self.labels, str):
            return list(_map(context.render(self.labels), "labels").items())
        wrong = [label for label in self.labels if not {"key", "value"} <= label.keys()]
        if wrong:
            raise TaskError(f"Expected each label to have a key and a value, but it was {wrong[0]}")
        return [(label["key"], label["value"]) for label in self.labels]


class SetVariables(EngineTask):
    """Set variables of the execution, which later tasks read as `{{ vars.name }}`.

    Properties: `variables` is a map, or a template that gives one; texts in it are templates. Maps
    are merged deeply into what is there. With `overwrite: false` it is an error when one of them
    exists. Outputs: none.

    Example:
        ```yaml
        id: remembering
        namespace: docs.tasks
        variables:
          place:
            city: Oslo
        tasks:
          - id: set
            type: io.kestra.plugin.core.execution.SetVariables
            variables:
              place:
                country: Norway
          - id: say
            type: io.kestra.plugin.core.log.Log
            message: "{{ vars.place.city }} in {{ vars.place.country }}"
        ```
    """

    TYPE: ClassVar[str] = _NEW + "SetVariables"
    UPDATES_EXECUTION: ClassVar[bool] = True

    variables: dict[str, Any] | Text
    overwrite: bool | Text = True

    def run(self, context: TaskContext) -> TaskResult:
        if isinstance(self.variables, str):
            variables = _map(context.render_value(self.variables), "variables")
        else:
            variables = context.render_deep(self.variables)
        overwrite = _yes(context, self.overwrite)
        return TaskResult(effects=Effects(variables=dict(variables), overwrite=overwrite))


class UnsetVariables(EngineTask):
    """Take variables out of the execution's `vars`.

    Properties: `variables` is a list of names, with dots for one inside a map; a missing one is an
    error unless `ignoreMissing` says otherwise. Outputs: none.

    Example:
        ```yaml
        id: forgetting
        namespace: docs.tasks
        variables:
          token: abc
        tasks:
          - id: forget
            type: io.kestra.plugin.core.execution.UnsetVariables
            variables: [token]
          - id: say
            type: io.kestra.plugin.core.log.Log
            message: "{{ vars.token ?? 'gone' }}"
        ```
    """

    TYPE: ClassVar[str] = _NEW + "UnsetVariables"
    UPDATES_EXECUTION: ClassVar[bool] = True

    variables: list[Text] | Text
    ignore_missing: bool | Text = Field(False, alias="ignoreMissing")

    def run(self, context: TaskContext) -> TaskResult:
        given: Any = self.variables
        if isinstance(given, str):
            given = context.render_value(given)
            given = _json(given, "variables") if isinstance(given, str) else given
        if not isinstance(given, list):
            raise TaskError(f"Expected variables to be a list of names, but it was {given!r:.200}.")
        paths = tuple(context.render(path) for path in given)
        ignore = _yes(context, self.ignore_missing)
        return TaskResult(effects=Effects(unset=paths, ignore_missing=ignore))


class Exit(EngineTask):
    """End the execution now, in a state of choice.

    Nothing more of it starts. What runs may end, unless the state is KILLED: then it is killed.

    Properties: `state` is SUCCESS (when nothing is said), WARNING, FAILED, KILLED or CANCELLED
    (also written CANCELED). Outputs: none.

    Example:
        ```yaml
        id: leaving
        namespace: docs.tasks
        inputs:
          - id: pieces
            type: INT
            defaults: 0
        tasks:
          - id: leave
            type: io.kestra.plugin.core.execution.Exit
            runIf: "{{ inputs.pieces == 0 }}"
            state: WARNING
          - id: work
            type: io.kestra.plugin.core.log.Log
            message: "{{ inputs.pieces }} pieces"
        ```
    """

    TYPE: ClassVar[str] = _NEW + "Exit"
    UPDATES_EXECUTION: ClassVar[bool] = True

    state: Text = "SUCCESS"

    def run(self, context: TaskContext) -> TaskResult:
        name = context.render(self.state).strip().upper()
        state = EXIT_STATES.get(name)
        if state is None:
            allowed = ", ".join(EXIT_STATES)
            raise TaskError(f"Expected the state of an Exit to be one of {allowed}, but was {name}")
        return TaskResult(state=state, effects=Effects(exit=state))


def _label_text(context: TaskContext, value: Any) -> str:
    if value is None:
        raise TaskError("Expected each label to have a value, but one was null.")
    return context.render(value)


def _yes(context: TaskContext, written: bool | str) -> bool:
    return written if isinstance(written, bool) else context.render(written).strip() == "true"


def _map(given: Any, name: str) -> Mapping[str, Any]:
    value = _json(given, name) if isinstance(given, str) else given
    if not isinstance(value, Mapping):
        raise TaskError(f"Expected {name} to be a map, but it was {value!r:.200}.")
    return value


def _json(text: str, name: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise TaskError(f"Expected {name} as JSON, but {error}: {text[:200]!r}") from error


PLUGINS: tuple[type[Task], ...] = (Assert, Exit, Fail, Labels, SetVariables, UnsetVariables)
