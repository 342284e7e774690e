"""JSON Schema (draft 7) of flows and of all that they are made of, from the models that read them.

A place where a flow may have any task (or trigger, input, condition) refers to one definition of
that kind. It lists the known type names and, by `if` and `then`, hands over to the definition of
the type that is written there. So an editor offers the types and then the properties of the chosen
one, a fault is told of this type alone, and checking is linear in the size of the flow, where a
list of alternatives would be exponential in the depth of its tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from pydantic import AliasChoices, BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from tiercel_engine.flow.base import UNION, Part
from tiercel_engine.flow.defaults import TypeDefault
from tiercel_engine.flow.input_base import Input
from tiercel_engine.flow.input_types import INPUT_TYPES
from tiercel_engine.flow.model import Flow, PluginDefault
from tiercel_engine.flow.task import Task
from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.plugin.condition_types import CONDITIONS
from tiercel_engine.plugin.defaulted import REF, refs, with_defaulted
from tiercel_engine.plugin.documentation import documentation_of
from tiercel_engine.plugin.registry import BROKEN

log = structlog.get_logger(__name__)

Schema = dict[str, Any]
Model = type[BaseModel]

DRAFT = "http://json-schema.org/draft-07/schema#"
FLOW = Flow.PEER_NAME
TEMPLATE = "io.kestra.core.models.templates.Template"
#: What there is a whole schema of -> the definition at its root.
ROOTS = {
    "flow": FLOW,
    "plugindefault": PluginDefault.PEER_NAME,
    "task": "task",
    "template": TEMPLATE,
    "trigger": "trigger",
}
#: What a template has of what a flow has.
_TEMPLATE_PROPERTIES = ("id", "namespace", "description", "tasks", "errors", "finally")
#: The model that stands for any type of a kind.
KINDS: dict[type[Part], str] = {
    Task: "task",
    Trigger: "trigger",
    Input: "input",
}
#: Definitions that hold a template at whatever depth.
_WITH_TEMPLATE: Schema = {
    "description": "A template such as {{ inputs.name }}, at whatever depth.",
    "anyOf": [
        {"type": "string", "pattern": r"\{\{|\{%"},
        {"type": "array", "contains": {"$ref": REF + "template"}},
        {"type": "object", "not": {"additionalProperties": {"not": {"$ref": REF + "template"}}}},
    ],
}


class Definitions:
    """The definitions of a set of types, made once.

    Attributes:
        whole: by name: kinds (`task`), types (`com.acme.Send`), the parts of both, and the flow.
    """

    def __init__(self, types: Iterable[Model], defaults: Iterable[TypeDefault] = ()) -> None:
        """`defaults`: the server's plugin defaults: what they give, no author need write."""
        self._types = tuple(types)
        self._defaults = tuple(defaults)
        broken: tuple[Model, ...] = ()
        try:
            self._make(self._types)
        except BROKEN:
            # A type of somebody else must not take the others' schemas along.
            broken = tuple(model for model in self._types if not _is_sound(model))
            self._make(tuple(model for model in self._types if model not in broken))
        for model in broken:
            self.whole[_name(model)] = {"type": "object", "properties": {}}
        self.whole[TEMPLATE] = _template_of(self.whole[FLOW])
        names = [_name(model) for model in self._types]
        self.whole |= with_defaulted(self.whole, FLOW, ("task", "trigger"), names)

    def _make(self, types: Sequence[Model]) -> None:
        """The definitions of these types and of all others that there are."""
        inputs = tuple(dict.fromkeys(INPUT_TYPES.values()))
        models: tuple[Model, ...] = (Flow, PluginDefault, *inputs, *CONDITIONS, *types)
        made, definitions = _generate(models)
        renamed = {made[model]: _name(model) for model in models if made[model] != _name(model)}
        renamed |= {name: known[UNION] for name, known in definitions.items() if UNION in known}
        self.whole: dict[str, Schema] = _rewritten(definitions, renamed)
        for model in models:
            self._complete(model)
        self.whole |= self._kinds(inputs)

    def _complete(self, model: Model) -> None:
        """What pydantic does not say of a type: its names, what it is for, what is given to it."""
        schema = self.whole[_name(model)]
        told = documentation_of(model)
        schema["description"] = told.text
        for base in reversed(model.__mro__):
            describe(schema, base)
        names = type_names(model)
        if not names:
            return
        schema["title"] = names[0]
        schema["properties"]["type"] = {**_one_of(names), "description": told.text}
        if getattr(model, "DEPRECATED", False):
            schema["deprecated"] = True
        given = {name for d in self._defaults if d.covers(names) for name in d.values}
        if given & set(schema.get("required", ())):
            schema["required"] = [name for name in schema["required"] if name not in given]

    def _kinds(self, inputs: Iterable[Model]) -> dict[str, Schema]:
        tasks = [model for model in self._types if issubclass(model, Task)]
        triggers = [model for model in self._types if issubclass(model, Trigger)]
        return {
            "task": _any_of("A task.", tasks),
            "trigger": _any_of("A trigger.", triggers),
            "input": _any_of("An input.", inputs, ("type",)),
            "condition": _any_of("A condition of a trigger.", CONDITIONS, ("type",)),
            "template": _WITH_TEMPLATE,
        }

    def reached_from(self, schema: Schema, is_shallow: bool) -> dict[str, Schema]:
        """The definitions that a schema refers to, at whatever depth.

        Args:
            is_shallow: a kind is cut off after its list of types.
        """
        found: dict[str, Schema] = {}
        waiting = list(refs(schema))
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            known = self.whole[name]
            if is_shallow and "allOf" in known:
                known = {key: value for key, value in known.items() if key != "allOf"}
            found[name] = known
            waiting += refs(known)
        return dict(sorted(found.items()))

    def document(self, name: str, is_array: bool = False) -> Schema:
        """The whole JSON schema of one of `ROOTS`, or of a list of it."""
        root: Schema = {"$ref": REF + ROOTS[name]}
        root = {"type": "array", "items": root} if is_array else root
        return {"$schema": DRAFT, **root, "definitions": self.reached_from(root, is_shallow=False)}


def _template_of(flow: Schema) -> Schema:
    properties = {name: flow["properties"][name] for name in _TEMPLATE_PROPERTIES}
    return {**flow, "description": "A template: tasks for several flows.", "properties": properties}


def type_names(model: Model) -> tuple[str, ...]:
    """What may stand in `type` for this model, today's name first; none where it has no type."""
    if issubclass(model, Input):
        return model.TYPES
    name = getattr(model, "TYPE", "")
    return (name, *getattr(model, "ALIASES", ())) if name else ()


def written_names(model: Model) -> dict[str, list[str]]:
    """How authors write each field of a model, the name of today first."""
    names = {}
    for field, info in model.model_fields.items():
        choices = info.validation_alias
        others = choices.choices if isinstance(choices, AliasChoices) else [choices or field]
        names[field] = [str(name) for name in others]
    return names


def describe(schema: Schema, model: type) -> None:
    """Put what a class's docstring says of its fields at their properties."""
    told = documentation_of(model).properties
    if not told or not issubclass(model, BaseModel):
        return
    for field, (name, *_) in written_names(model).items():
        words, place = told.get(field) or told.get(name), schema["properties"].get(name)
        if words and place is not None and words != place.get("default"):
            place["description"] = words


def output_schema(model: Model) -> Schema:
    """The JSON schema of a task's outputs, its definitions inside; any when it has none."""
    try:
        return model.model_json_schema(
            mode="serialization", ref_template=REF + "{model}", schema_generator=_Outputs
        )
    except BROKEN as error:
        _log_broken(model, error)
        return {"type": "object"}


def _is_sound(model: Model) -> bool:
    """Whether a type has a schema with properties; tells of one that has not."""
    try:
        made, definitions = _generate([model])
        definitions[made[model]]["properties"].keys()
    except BROKEN as error:
        _log_broken(model, error)
        return False
    return True


def _log_broken(model: Model, error: Exception) -> None:
    log.error("plugin_without_schema", type=model.__qualname__, reason=str(error))


def _any_of(
    words: str, models: Iterable[Model], required: Iterable[str] = ("id", "type")
) -> Schema:
    """Any of some types: the list of their names, and for each what else it has."""
    models = tuple(models)
    names = {model: type_names(model) for model in models}
    if models and issubclass(models[0], Input):
        today = [name for model in models for name in names[model]]
        older: list[str] = []
    else:
        today = [names[model][0] for model in models]
        older = [alias for model in models for alias in names[model][1:]]
    types: list[Schema] = [{"enum": today}]
    if older:
        types.append({**_one_of(older), "deprecated": True})
    named: Schema = {"type": "string", **({"anyOf": types} if older else types[0])}
    return {
        "description": words,
        "type": "object",
        "required": list(required),
        "properties": {"type": named},
        "allOf": [
            {
                "if": {"required": ["type"], "properties": {"type": _one_of(names[model])}},
                "then": {"$ref": REF + _name(model)},
            }
            for model in models
        ],
    }


def _one_of(names: Iterable[str]) -> Schema:
    """Any of some texts, as a pattern: editors take them, but offer only what is an enum."""
    return {"type": "string", "pattern": f"^(?:{'|'.join(re.escape(name) for name in names)})$"}


def _name(model: Model) -> str:
    names = type_names(model)
    peer_name: str = getattr(model, "PEER_NAME", "")
    if issubclass(model, Input):
        return peer_name
    return names[0] if names else peer_name or model.__name__


class _Outputs(GenerateJsonSchema):
    """Schemas of outputs: what JSON Schema cannot say is anything."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        # Made from the name, it says nothing that the name does not.
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        return {k: v for k, v in made.items() if k != "default" or v not in (None, [], {})}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if "type" in inner and not {"enum", "const"} & inner.keys():
            # Faults then name their place, as they do not among alternatives.
            names = inner["type"] if isinstance(inner["type"], list) else [inner["type"]]
            return {**inner, "type": [*names, "null"]}
        return super().nullable_schema(schema)

    def union_schema(self, schema: core_schema.UnionSchema) -> JsonSchemaValue:
        return _joined(super().union_schema(schema))

    def handle_invalid_for_json_schema(
        self, schema: core_schema.CoreSchema, error_info: str
    ) -> JsonSchemaValue:
        return {}


class _Parts(_Outputs):
    """Schemas of what authors write."""

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        # A number stands for its text, as in `Part`.
        return {**super().str_schema(schema), "type": ["string", "number"]}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        model = schema["cls"]
        if model in KINDS:
            return {UNION: KINDS[model]}
        made = super().model_schema(schema)
        for names in written_names(model).values():
            if len(names) > 1:
                _add_names(made, names)
        return made


def _joined(schema: Schema) -> Schema:
    """Alternatives that are nothing but types, as one list of types."""
    types: dict[str, None] = {}
    others: list[Schema] = []
    for each in schema.get("anyOf", ()):
        if set(each) == {"type"}:
            names = each["type"] if isinstance(each["type"], list) else [each["type"]]
            types |= dict.fromkeys(names)
        else:
            others.append(each)
    if not types:
        return schema
    plain: Schema = {"type": list(types) if len(types) > 1 else next(iter(types))}
    return {"anyOf": [*others, plain]} if others else plain


def _add_names(schema: Schema, names: list[str]) -> None:
    """Take a property by its other names, too."""
    first, *others = names
    own = schema["properties"][first]
    for other in others:
        schema["properties"][other] = {**own, "deprecated": True}
    if first in schema.get("required", ()):
        schema["required"].remove(first)
        schema["anyOf"] = [{"required": [name]} for name in names]


def _generate(models: Iterable[Model]) -> tuple[dict[Model, str], dict[str, Schema]]:
    """Each model's definition by name, and all definitions."""
    generator = _Parts(ref_template=REF + "{model}")
    inputs: Any = [(model, "validation", model.__pydantic_core_schema__) for model in models]
    made, definitions = generator.generate_definitions(inputs)
    places = {model: made[(model, "validation")]["$ref"].removeprefix(REF) for model in models}
    return places, {str(name): definition for name, definition in definitions.items()}


def _rewritten(definitions: Mapping[str, Schema], renamed: Mapping[str, str]) -> dict[str, Schema]:
    def each(value: Any) -> Any:
        if isinstance(value, list):
            return [each(item) for item in value]
        if not isinstance(value, dict):
            return value
        if isinstance(value.get(UNION), str):
            rest = {key: part for key, part in value.items() if key != UNION}
            return {**rest, "$ref": REF + value[UNION]}
        if isinstance(value.get("$ref"), str):
            name = value["$ref"].removeprefix(REF)
            return {**value, "$ref": REF + renamed.get(name, name)}
        return {key: each(part) for key, part in value.items()}

    return {
        renamed.get(name, name): each(definition)
        for name, definition in definitions.items()
        if UNION not in definition
    }
