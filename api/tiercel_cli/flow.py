"""`tiercel flow`: validate, create, update, list, get."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tiercel_cli.client import Client, ServerRefused
from tiercel_cli.options import SERVER_DEFAULT, Json, Server, connect, examples
from tiercel_cli.output import ExitCode, print_error, print_json, print_line, print_table
from tiercel_cli.sources import Sources, content_of, files_of, read_source

app = typer.Typer(help="Flows: validate, create, update, list, get.", no_args_is_help=True)

Namespace = Annotated[str, typer.Argument(metavar="NAMESPACE", help="Namespace of the flow.")]
FlowId = Annotated[str, typer.Argument(metavar="FLOW", help="Id of the flow.")]


@app.command(epilog=examples("tiercel flow validate hello.yaml", "tiercel flow validate flows/"))
def validate(sources: Sources, server: Server = SERVER_DEFAULT, as_json: Json = False) -> None:
    """Say whether flows hold, without storing them. Exit code 1 when one does not."""
    client = connect(server)
    verdicts = []
    for path in files_of(sources):
        for verdict in client.validate_flow(read_source(path)):
            verdicts.append({"file": str(path), **verdict})
    if as_json:
        print_json(verdicts)
    else:
        for verdict in verdicts:
            _print_verdict(verdict)
    if any(verdict.get("constraints") for verdict in verdicts):
        raise typer.Exit(ExitCode.FAILED)


@app.command(
    epilog=examples("tiercel flow create hello.yaml", "cat hello.yaml | tiercel flow create -")
)
def create(sources: Sources, server: Server = SERVER_DEFAULT, as_json: Json = False) -> None:
    """Store new flows. Refused when one of that name exists."""
    client = connect(server)
    _store(sources, as_json, lambda path: client.create_flow(read_source(path)))


@app.command(epilog=examples("tiercel flow update hello.yaml", "tiercel flow update flows/ --json"))
def update(sources: Sources, server: Server = SERVER_DEFAULT, as_json: Json = False) -> None:
    """Store flows, new ones and new revisions of old ones."""
    client = connect(server)
    _store(sources, as_json, lambda path: _upsert(client, path))


@app.command("list", epilog=examples("tiercel flow list", "tiercel flow list --namespace shop"))
def list_flows(
    namespace: Annotated[str | None, typer.Option(help="Only of this namespace.")] = None,
    q: Annotated[str | None, typer.Option("--query", "-q", help="Words to look for.")] = None,
    page: Annotated[int, typer.Option(min=1, help="Page, from 1.")] = 1,
    size: Annotated[int, typer.Option(min=1, max=1000, help="Rows per page.")] = 50,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """List flows."""
    found = connect(server).flows(namespace, q, page, size)
    if as_json:
        print_json(found)
        return
    rows = [
        (f["namespace"], f["id"], str(f.get("revision", "")), _first_line(f.get("description")))
        for f in found["results"]
    ]
    print_table(("NAMESPACE", "FLOW", "REVISION", "DESCRIPTION"), rows)


@app.command(
    epilog=examples("tiercel flow get shop greeting", "tiercel flow get shop greeting --revision 2")
)
def get(
    namespace: Namespace,
    flow_id: FlowId,
    revision: Annotated[int | None, typer.Option(help="Revision; the newest if none.")] = None,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Print a flow's source."""
    flow = connect(server).flow(namespace, flow_id, revision)
    if as_json:
        print_json(flow)
    else:
        sys.stdout.write(str(flow.get("source", "")).rstrip("\n") + "\n")


def _upsert(client: Client, path: Path) -> dict[str, Any]:
    source = read_source(path)
    namespace, flow_id = _name_of(source)
    if namespace is None or flow_id is None:
        # The server says what is wrong with it, with line and column.
        return client.create_flow(source)
    try:
        return client.update_flow(namespace, flow_id, source)
    except ServerRefused as refusal:
        if refusal.status != 404:
            raise
        return client.create_flow(source)


def _name_of(source: str) -> tuple[str | None, str | None]:
    content = content_of(source)
    namespace, flow_id = content.get("namespace"), content.get("id")
    if not isinstance(namespace, str) or not isinstance(flow_id, str):
        return None, None
    return namespace, flow_id


def _store(sources: list[Path], as_json: bool, store: Callable[[Path], dict[str, Any]]) -> None:
    """Store each file's flow; go on after one that is refused, and tell at the end."""
    stored, refused = [], False
    for path in files_of(sources):
        try:
            flow = store(path)
        except ServerRefused as refusal:
            print_error(f"{path}: {refusal}")
            refused = True
            continue
        stored.append(flow)
        if not as_json:
            print_line(f"{flow['namespace']}.{flow['id']} revision {flow.get('revision')}")
    if as_json:
        print_json(stored)
    if refused:
        raise typer.Exit(ExitCode.REFUSED)


def _print_verdict(verdict: dict[str, Any]) -> None:
    name = f"{verdict['file']}"
    if verdict.get("flow"):
        name += f" ({verdict.get('namespace')}.{verdict['flow']})"
    if verdict.get("constraints"):
        print_error(f"{name}: {verdict['constraints']}")
        return
    print_line(f"{name}: holds")
    for remark in (verdict.get("warnings") or []) + (verdict.get("infos") or []):
        print_line(f"  {remark}")


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n", 1)[0]
