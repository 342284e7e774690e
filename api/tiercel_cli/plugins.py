"""`tiercel plugins`: the task and trigger types that are installed here, and their docs."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from tiercel_cli.options import examples
from tiercel_cli.output import print_json, print_line, print_table
from tiercel_engine.errors import NotFound
from tiercel_engine.flow.task import Task
from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.plugin.registry import PluginRegistry, PluginType

app = typer.Typer(help="Task and trigger types that are installed here.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
#: How much of a type hint a table shows.
HINT_CHARS_MAX = 60


@app.command(
    "list",
    epilog=examples(
        "tiercel plugins list", "tiercel plugins list kv", "tiercel plugins list --json"
    ),
)
def list_types(
    word: Annotated[str, typer.Argument(help="Only types with this text in their name.")] = "",
    as_json: Json = False,
) -> None:
    """List the types with the first line of their documentation."""
    registry = PluginRegistry.load()
    found = [p for p in registry.all() if word.lower() in p.TYPE.lower()]
    rows = [(p.TYPE, _kind(p), registry.package(p), _summary(p)) for p in found]
    if as_json:
        names = ("type", "kind", "package", "summary")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table(("TYPE", "KIND", "PACKAGE", "SUMMARY"), rows)


@app.command(
    "doc",
    epilog=examples(
        "tiercel plugins doc io.kestra.plugin.core.kv.Set", "tiercel plugins doc kv.Set"
    ),
)
def show_type(
    name: Annotated[str, typer.Argument(help="Name of the type, or the end of it.")],
    as_json: Json = False,
) -> None:
    """Show what a type does, its properties and its outputs."""
    plugin = _find(PluginRegistry.load(), name)
    properties = _properties(plugin)
    outputs: type[Any] | None = getattr(plugin, "OUTPUTS", None)
    results = [] if outputs is None else _fields(outputs, set())
    if as_json:
        facts = {"type": plugin.TYPE, "aliases": list(plugin.ALIASES), "kind": _kind(plugin)}
        print_json({**facts, "doc": _doc(plugin), "properties": properties, "outputs": results})
        return
    print_line(f"{plugin.TYPE} ({_kind(plugin)})")
    for alias in plugin.ALIASES:
        print_line(f"  once {alias}")
    print_line(f"\n{_doc(plugin)}\n")
    if properties:
        names = ("name", "type", "default")
        table = [tuple(str(row[column]) for column in names) for row in properties]
        print_table(("PROPERTY", "TYPE", "DEFAULT"), table)
    if results:
        print_line("")
        print_table(("OUTPUT", "TYPE"), [(row["name"], row["type"]) for row in results])


def _find(registry: PluginRegistry, name: str) -> PluginType:
    exact = registry.find(name)
    if exact is not None:
        return exact
    found = [p for p in registry.all() if p.TYPE.lower().endswith("." + name.lower())]
    if len(found) != 1:
        known = ", ".join(p.TYPE for p in found) or "none; `tiercel plugins list` shows all"
        raise NotFound(f"Expected the name of one type, but {name!r} means: {known}.")
    return found[0]


def _kind(plugin: PluginType) -> str:
    return "trigger" if issubclass(plugin, Trigger) else "task"


def _doc(plugin: PluginType) -> str:
    return inspect.cleandoc(plugin.__doc__ or "") or "No documentation."


def _summary(plugin: PluginType) -> str:
    return _doc(plugin).splitlines()[0]


def _properties(plugin: PluginType) -> list[dict[str, Any]]:
    base = Trigger if issubclass(plugin, Trigger) else Task
    return _fields(plugin, set(base.model_fields))


def _fields(model: type[Any], left_out: set[str]) -> list[dict[str, Any]]:
    rows = []
    for name, field in model.model_fields.items():
        if name in left_out:
            continue
        hint = inspect.formatannotation(field.annotation).replace("typing.", "")
        default = "" if field.is_required() else field.get_default(call_default_factory=True)
        rows.append(
            {
                "name": field.alias or _first(field.validation_alias) or name,
                "type": hint[:HINT_CHARS_MAX],
                "required": field.is_required(),
                "default": "required" if field.is_required() else default,
            }
        )
    return rows


def _first(alias: Any) -> str | None:
    return alias if alias is None or isinstance(alias, str) else str(alias.choices[0])
