"""The page of one type: its properties and outputs as JSON Schema, and all of it as Markdown."""

from __future__ import annotations

from typing import Any

from tiercel_engine.flow.input_base import Input
from tiercel_engine.flow.task import Task
from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.plugin.defaulted import REF
from tiercel_engine.plugin.documentation import Documentation, documentation_of
from tiercel_engine.plugin.inventory import Entry, Inventory
from tiercel_engine.plugin.schema import (
    Definitions,
    Schema,
    describe,
    output_schema,
    written_names,
)

#: Properties that types have from their base.
_BASES = (Task, Trigger, Input)


def page_of_type(inventory: Inventory, entry: Entry, shows_all: bool = False) -> dict[str, Any]:
    """`{markdown, schema: {properties, outputs, definitions}}` of a task, trigger, condition …

    Args:
        shows_all: the properties that all tasks (or triggers) have, too.
    """
    definitions = inventory.definitions
    told = entry.documentation
    whole = definitions.whole.get(entry.name) or entry.model.model_json_schema()
    properties = _properties(entry.model, whole, told, shows_all)
    schema: Schema = {"properties": properties}
    outputs: Schema = {} if entry.outputs is None else output_schema(entry.outputs)
    parts = outputs.pop("$defs", {})
    if entry.outputs is not None:
        describe(outputs, entry.outputs)
        schema["outputs"] = outputs
    schema["definitions"] = {**definitions.reached_from(properties, is_shallow=True), **parts}
    markdown = _markdown(entry.name, told, properties, outputs, entry.aliases)
    return {"markdown": markdown, "schema": schema}


def page_of_input(definitions: Definitions, name: str, model: type[Input]) -> dict[str, Any]:
    """The same of a type of inputs."""
    told = documentation_of(model)
    properties = _properties(model, definitions.whole[model.PEER_NAME], told, shows_all=True)
    reached = definitions.reached_from(properties, is_shallow=True)
    return {
        "markdown": _markdown(name, told, properties, {}, ()),
        "schema": {"properties": properties, "definitions": reached},
    }


def _properties(model: Any, whole: Schema, told: Documentation, shows_all: bool) -> Schema:
    base = next((base for base in _BASES if issubclass(model, base)), None)
    names = [] if base is None else written_names(base).values()
    common = {"type", *(name for several in names for name in several)}
    left_out: set[str] = set() if shows_all else common
    properties = {k: v for k, v in whole["properties"].items() if k not in left_out}
    required = [name for name in whole.get("required", ()) if name in properties]
    examples = [{"title": e.title, "code": e.code, "lang": e.language} for e in told.examples]
    return {
        "type": "object",
        "title": told.summary,
        "description": told.text,
        "properties": properties,
        "required": required,
        **({"$examples": examples} if examples else {}),
        **({"$deprecated": True} if whole.get("deprecated") else {}),
    }


# -- Markdown --------------------------------------------------------------------------------------


def _markdown(
    name: str,
    told: Documentation,
    properties: Schema,
    outputs: Schema,
    aliases: tuple[str, ...],
) -> str:
    parts = [f"# {name.rpartition('.')[2]}", told.text, f'```yaml\ntype: "{name}"\n```']
    if aliases:
        parts.append("Once called " + ", ".join(f"`{alias}`" for alias in aliases) + ".")
    if told.examples:
        parts.append("## Examples")
    for example in told.examples:
        words = [f"> {example.title}"] if example.title else []
        parts += [*words, f"```{example.language}\n{example.code}\n```"]
    for title, schema in (("Properties", properties), ("Outputs", outputs)):
        if schema.get("properties"):
            parts += [f"## {title}", _table(schema, with_default=title == "Properties")]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(schema: Schema, with_default: bool) -> str:
    required = schema.get("required", ())
    names = ["property", "type", "default"] if with_default else ["output", "type"]
    names.append("meaning")
    rows = [names, ["---"] * len(names)]
    for name, each in schema["properties"].items():
        row = [f"`{name}`", words_of_type(each)]
        if with_default:
            default = "required" if name in required else str(each.get("default", ""))
            row.append(default)
        rows.append([*row, each.get("description", "")])
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def words_of_type(schema: Any) -> str:
    """What a JSON schema takes, in words, such as `text or list of task`."""
    if not isinstance(schema, dict):
        return "anything"
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(REF).rpartition(".")[2]
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    if "anyOf" in schema:
        words = [words_of_type(each) for each in schema["anyOf"]]
        # A template is a text, too.
        unsaid = {NOTHING, "template"} if "text" in words else {NOTHING}
        return " or ".join(dict.fromkeys(word for word in words if word not in unsaid))
    named = schema.get("type")
    words = [_WORDS.get(n, n) for n in ([named] if isinstance(named, str) else named or ())]
    if "array" in words:
        words[words.index("array")] = f"list of {words_of_type(schema.get('items'))}"
    if "text" in words:  # Where texts are taken, numbers and flags are, as texts.
        end = words.index("text")
        words = words[: end + 1] + [w for w in words[end:] if w not in ("number", "flag")]
    words = [word for word in dict.fromkeys(words) if word != NOTHING] or words[:1]
    return " or ".join(words) or "anything"


NOTHING = "nothing"
_WORDS = {
    "string": "text",
    "integer": "number",
    "boolean": "flag",
    "object": "map",
    "null": NOTHING,
}
