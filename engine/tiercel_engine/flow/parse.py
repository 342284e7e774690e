"""YAML text to `Flow`, with every violation at once, each with line and column.

Three steps: read the text (`source`), build the models top down (`base`, pydantic), check what
concerns several parts (`validate`). Text that cannot be read stops at the first; models report
all they find; only a flow whose parts hold is checked as a whole.

The error texts and paths are those that clients of the peer know (samples err-*.json).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from tiercel_engine.errors import InvalidFlow, Violation
from tiercel_engine.flow.base import Part
from tiercel_engine.flow.defaults import TypeDefault, apply_defaults
from tiercel_engine.flow.dialect import DEFAULT, decide, dialect_of
from tiercel_engine.flow.input_types import FORM
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.report import invalid_flow
from tiercel_engine.flow.source import Document, failure_at, read
from tiercel_engine.flow.task import Task, UnknownTask
from tiercel_engine.flow.trigger import Trigger, UnknownTrigger
from tiercel_engine.flow.validate import check

#: Only the names that authors write count, not those of our attributes.
_AS_WRITTEN: Any = {"by_alias": True, "by_name": False}


class TypeLookup(Protocol):
    """Which classes the type names of tasks and triggers mean; aliases included."""

    def task_type(self, name: str) -> type[Task] | None: ...

    def trigger_type(self, name: str) -> type[Trigger] | None: ...


def load_flow(
    source: str,
    types: TypeLookup,
    *,
    revision: int = 1,
    tenant: str = "main",
    defaults: Sequence[TypeDefault] = (),
    lenient: bool = False,
    dialect: str | None = None,
    default_dialect: str = DEFAULT,
    deleted: bool = False,
) -> Flow:
    """Read a flow.

    Args:
        source: YAML text, at most 1 MiB.
        types: the known task and trigger types.
        revision, tenant, deleted: win over those in the text.
        defaults: the server's plugin defaults; those of the flow come on top.
        lenient: for stored flows: a task or trigger of an unknown type, or with properties that
            its type does not have, becomes an `UnknownTask` or `UnknownTrigger` that keeps all
            of its properties; rules that concern several parts are not checked again.
        dialect: of a stored flow, which is never decided again (see `flow.dialect`).
        default_dialect: of a new one, when neither its author nor its constructs say.

    Raises:
        InvalidFlow: with one violation per thing that is wrong.
    """
    document = read(source)
    if not isinstance(data := document.data, dict):
        raise failure_at("Expected a flow, but it was no map of properties", 1, 1)
    context = _Context(types, (*defaults, *_own_defaults(data)), lenient)
    written = {**data, "tenantId": tenant, "revision": revision, "deleted": deleted}
    context.classes[id(data)] = Flow
    try:
        flow = Flow.model_validate(written, context=context, **_AS_WRITTEN)
    except ValidationError as error:
        raise invalid_flow(error, document, context.classes) from None
    name = dialect or decide(source, data, default_dialect)
    try:
        flow._dialect = dialect_of(name)
    except ValueError as problem:
        raise failure_at(str(problem), 1, 1) from None
    for each in flow.inputs:
        each._renders_defaults = flow.dialect.renders_input_defaults
    if not lenient:
        _check(flow, document, context)
    flow._properties = _as_answered(flow, data)
    return flow


class _Context:
    """Finds the class of each task and trigger, merges defaults, remembers who read what."""

    def __init__(self, types: TypeLookup, defaults: Sequence[TypeDefault], lenient: bool) -> None:
        self._types = types
        self._defaults = defaults
        self.is_lenient = lenient
        self.classes: dict[int, type[Part]] = {}
        #: By id() of a task or trigger: the mapping of the source that it was built from.
        self.origins: dict[int, Any] = {}
        # Merged properties are kept alive as long as the ids above are used.
        self._kept: list[Any] = []

    def task(self, properties: dict[str, Any]) -> Task:
        task: Task = self._build(properties, self._types.task_type, UnknownTask)
        return task

    def trigger(self, properties: dict[str, Any]) -> Trigger:
        trigger: Trigger = self._build(properties, self._types.trigger_type, UnknownTrigger)
        return trigger

    def remember(self, part: Any, properties: dict[str, Any]) -> None:
        self.origins[id(part)] = properties
        if "id" in properties:  # written as a number, it is text all the same
            properties["id"] = part.id

    def _build(self, properties: Any, lookup: Any, unknown: Any) -> Any:
        name = properties.get("type")
        cls = lookup(name) if isinstance(name, str) else None
        if cls is None:
            if self.is_lenient and isinstance(name, str):
                return self._unknown(unknown, properties, f"Invalid type: {name}")
            raise PydanticCustomError(
                "unknown_type",
                "Invalid type: {name}",
                {"name": "null" if name is None else str(name)},
            )
        merged = apply_defaults(properties, (cls.TYPE, name, *cls.ALIASES), self._defaults)
        self.classes[id(properties)] = cls
        self._kept.append(merged)
        try:
            part = cls.model_validate(merged, context=self, **_AS_WRITTEN)
        except ValidationError as error:
            if not self.is_lenient:
                raise
            return self._unknown(unknown, merged, error.errors()[0]["msg"])
        self.remember(part, properties)
        part._properties = {**merged, "id": part.id} if merged is not properties else merged
        return part

    def _unknown(self, cls: Any, properties: Any, problem: str) -> Any:
        """Keep everything; read the common fields when they hold, else only id and type."""
        try:
            part = cls.model_validate(properties, context=self, **_AS_WRITTEN)
        except ValidationError:
            identity = {key: properties.get(key) for key in ("id", "type")}
            part = cls.model_validate(identity, context=self, **_AS_WRITTEN)
        part._properties = dict(properties)
        part._problem = problem
        return part


def _own_defaults(data: dict[str, Any]) -> list[TypeDefault]:
    """The flow's own plugin defaults; what is not in shape is left to the model to refuse."""
    written = data.get("pluginDefaults", data.get("taskDefaults"))
    return [
        TypeDefault(entry["type"], entry["values"], entry.get("forced") is True)
        for entry in (written if isinstance(written, list) else [])
        if isinstance(entry, dict)
        and isinstance(entry.get("type"), str)
        and isinstance(entry.get("values"), dict)
    ]


def _check(flow: Flow, document: Document, context: _Context) -> None:
    """Raise InvalidFlow when a rule over several parts does not hold."""
    problems = check(flow)
    if not problems:
        return
    message = "Invalid Flow: " + ", ".join(problem.message for problem in problems)
    line, column = document.position(())
    for problem in problems:
        origin = context.origins.get(id(problem.part))
        if origin is not None:
            line, column = document.start_of(origin)
            break
    raise InvalidFlow(f": {message}\n", (Violation("", message, line, column),))


def _as_answered(flow: Flow, data: dict[str, Any]) -> dict[str, Any]:
    """The flow as a JSON object in the form that the API answers."""
    answer: dict[str, Any] = {
        "id": flow.id,
        "namespace": flow.namespace,
        "revision": flow.revision,
    }
    if data.get("inputs"):
        answer["inputs"] = [_input_as_answered(written) for written in data["inputs"]]
    answer["disabled"] = flow.disabled
    answer["deleted"] = flow.deleted
    for key, value in data.items():
        if key == "labels":
            answer[key] = [{"key": name, "value": text} for name, text in flow.labels]
        elif key == "outputs":
            answer[key] = [{"type": "STRING", **output} for output in value or []]
        elif key not in answer and key != "tenantId" and value is not None:
            answer[key] = value
    return answer


def _input_as_answered(written: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in written.items() if value is not None}
    if rest["type"] == FORM:
        rest["inputs"] = [_input_as_answered(each) for each in rest["inputs"]]
    input_id = str(rest.get("id", rest.get("name")))
    identity = {"id": input_id, "type": rest["type"], "required": rest.get("required", True)}
    return {**identity, **{k: v for k, v in rest.items() if k not in (*identity, "name")}}
