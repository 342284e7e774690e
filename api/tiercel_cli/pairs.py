"""`tiercel kv`: list, get, set, delete."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from tiercel_cli.namespace_client import NamespaceClient
from tiercel_cli.options import SERVER_DEFAULT, Json, Server, connect_as, examples
from tiercel_cli.output import print_json, print_line, print_table

app = typer.Typer(
    help="Key-value pairs of a namespace: list, get, set, delete.", no_args_is_help=True
)

Namespace = Annotated[str, typer.Argument(metavar="NAMESPACE", help="Whose pairs.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="Of the pair.")]


@app.command("list", epilog=examples("tiercel kv list shop"))
def list_pairs(
    namespace: Namespace, server: Server = SERVER_DEFAULT, as_json: Json = False
) -> None:
    """List the pairs without their values."""
    found = connect_as(NamespaceClient, server).pairs(namespace)
    if as_json:
        print_json(found)
        return
    columns = ("key", "updateDate", "expirationDate", "description")
    rows = [tuple(str(pair.get(name) or "") for name in columns) for pair in found]
    print_table(("KEY", "UPDATED", "EXPIRES", "DESCRIPTION"), rows)


@app.command(epilog=examples("tiercel kv get shop rate", "tiercel kv get shop rate --json"))
def get(
    namespace: Namespace,
    key: Key,
    revision: Annotated[int | None, typer.Option(help="An earlier one.")] = None,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Print a value: a text as it is, anything else as JSON; with --json its type, too."""
    pair = connect_as(NamespaceClient, server).pair(namespace, key, revision)
    if as_json:
        print_json(pair)
    else:
        value = pair["value"]
        print_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


@app.command(
    "set",
    epilog=examples(
        "tiercel kv set shop rate 1.25",
        """tiercel kv set shop limits '{"orders": 10}' --ttl P1D""",
        "tiercel kv set shop code 007 --text",
    ),
)
def set_pair(
    namespace: Namespace,
    key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="JSON, or else a text.")],
    as_text: Annotated[bool, typer.Option("--text", help="A text even if it is JSON.")] = False,
    ttl: Annotated[
        str | None, typer.Option(help="After which it is gone, such as PT1H; without it, never.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="Words for readers.")] = None,
    server: Server = SERVER_DEFAULT,
) -> None:
    """Set a pair."""
    given = value if as_text else _value(value)
    connect_as(NamespaceClient, server).set_pair(namespace, key, given, ttl, description)
    print_line(f"{namespace} {key} is set")


@app.command(epilog=examples("tiercel kv delete shop rate"))
def delete(namespace: Namespace, key: Key, server: Server = SERVER_DEFAULT) -> None:
    """Delete a pair; that there was none is told, and no error."""
    was_there = connect_as(NamespaceClient, server).delete_pair(namespace, key)
    print_line(f"{namespace} {key} {'is deleted' if was_there else 'was not there'}")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
