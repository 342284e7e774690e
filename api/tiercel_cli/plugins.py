"""`tiercel plugins`: the types that are installed here, their docs, and schemas for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tiercel_cli.options import Config, Json, examples
from tiercel_cli.output import print_json, print_line, print_table
from tiercel_engine.config import load_settings
from tiercel_engine.errors import NotFound
from tiercel_engine.flow.defaults import TypeDefault
from tiercel_engine.later import later
from tiercel_engine.plugin.inventory import Entry, Inventory
from tiercel_engine.plugin.page import page_of_type, words_of_type
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_engine.plugin.schema import ROOTS

#: Loads the database's library, which no other command needs.
_dashboards = later("tiercel_api.dashboards.schema")

app = typer.Typer(help="The types that are installed here.", no_args_is_help=True)

DASHBOARD = "dashboard"


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
    """List the types with the first sentence of their documentation."""
    found = [e for e in _inventory().entries if word.lower() in e.name.lower()]
    rows = [(e.name, e.kind, e.package, e.documentation.summary) for e in found]
    if as_json:
        names = ("type", "kind", "package", "summary")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table(("TYPE", "KIND", "PACKAGE", "SUMMARY"), rows)


@app.command(
    "doc",
    epilog=examples(
        "tiercel plugins doc io.kestra.plugin.core.kv.Set",
        "tiercel plugins doc kv.Set",
        "tiercel plugins doc kv.Set --markdown > set.md",
    ),
)
def show_type(
    name: Annotated[str, typer.Argument(help="Name of the type, or the end of it.")],
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print it as a page.")] = False,
) -> None:
    """Show what a type does, its properties and its outputs."""
    inventory = _inventory()
    entry = _find(inventory, name)
    page = page_of_type(inventory, entry)
    if as_markdown:
        print_line(page["markdown"])
        return
    properties = _rows(page["schema"]["properties"])
    outputs = _rows(page["schema"].get("outputs", {}))
    text = entry.documentation.text or "No documentation."
    if as_json:
        facts = {"type": entry.name, "aliases": list(entry.aliases), "kind": entry.kind}
        print_json({**facts, "doc": text, "properties": properties, "outputs": outputs})
        return
    print_line(f"{entry.name} ({entry.kind})")
    for alias in entry.aliases:
        print_line(f"  once {alias}")
    print_line(f"\n{text}\n")
    if properties:
        names = ("name", "type", "default")
        table = [tuple(str(row[column]) for column in names) for row in properties]
        print_table(("PROPERTY", "TYPE", "DEFAULT"), table)
    if outputs:
        print_line("")
        print_table(("OUTPUT", "TYPE"), [(row["name"], row["type"]) for row in outputs])


@app.command(
    "schema",
    epilog=examples(
        "tiercel plugins schema > flow-schema.json",
        "tiercel plugins schema flow --output .vscode/flow-schema.json",
    ),
)
def show_schema(
    name: Annotated[str, typer.Argument(help="Of a flow, task, trigger, dashboard …")] = "flow",
    output: Annotated[Path | None, typer.Option(help="File to write it to.")] = None,
    config: Config = None,
) -> None:
    """Print the JSON schema by which an editor checks and completes flows as they are written.

    It knows the types that are installed here. Properties that the settings' plugin defaults give
    need not be written.
    """
    settings = load_settings(file=config)
    defaults = [TypeDefault(d.type, d.values, d.forced) for d in settings.plugin_defaults]
    if name == DASHBOARD:
        schema = _dashboards().schema()
    elif name in ROOTS:
        schema = _inventory(defaults).definitions.document(name)
    else:
        raise NotFound(f"Expected one of {', '.join((*ROOTS, DASHBOARD))}, but it was {name!r}.")
    if output is None:
        print_json(schema)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")


def _inventory(defaults: list[TypeDefault] | None = None) -> Inventory:
    return Inventory(PluginRegistry.load(), defaults or ())


def _find(inventory: Inventory, name: str) -> Entry:
    exact = inventory.find(name)
    if exact is not None:
        return exact
    found = [e for e in inventory.entries if e.name.lower().endswith("." + name.lower())]
    if len(found) != 1:
        known = ", ".join(e.name for e in found) or "none; `tiercel plugins list` shows all"
        raise NotFound(f"Expected the name of one type, but {name!r} means: {known}.")
    return found[0]


def _rows(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "type": words_of_type(each),
            "required": name in required,
            "default": "required" if name in required else each.get("default", ""),
        }
        for name, each in schema.get("properties", {}).items()
    ]
