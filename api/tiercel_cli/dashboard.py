"""`tiercel dashboard`: validate, update, list, get, chart, delete."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from tiercel_cli.client import ServerRefused
from tiercel_cli.dashboard_client import DashboardClient
from tiercel_cli.options import SERVER_DEFAULT, Json, Server, connect_as, examples
from tiercel_cli.output import ExitCode, print_error, print_json, print_line, print_table
from tiercel_cli.sources import Sources, content_of, files_of, read_source

app = typer.Typer(
    help="Dashboards: validate, update, list, get, chart, delete.", no_args_is_help=True
)

DashboardId = Annotated[str, typer.Argument(metavar="DASHBOARD", help="Id of the dashboard.")]


@app.command(epilog=examples("tiercel dashboard validate kitchen.yaml"))
def validate(sources: Sources, server: Server = SERVER_DEFAULT, as_json: Json = False) -> None:
    """Say whether dashboards hold, without storing them. Exit code 1 when one does not."""
    client = connect_as(DashboardClient, server)
    verdicts = [
        {"file": str(path), **client.validate_dashboard(read_source(path))}
        for path in files_of(sources)
    ]
    if as_json:
        print_json(verdicts)
    for verdict in () if as_json else verdicts:
        if verdict.get("constraints"):
            print_error(f"{verdict['file']}: {verdict['constraints']}")
        else:
            print_line(f"{verdict['file']}: holds")
    if any(verdict.get("constraints") for verdict in verdicts):
        raise typer.Exit(ExitCode.FAILED)


@app.command(
    epilog=examples("tiercel dashboard update kitchen.yaml", "tiercel dashboard update dashboards/")
)
def update(sources: Sources, server: Server = SERVER_DEFAULT, as_json: Json = False) -> None:
    """Store dashboards, new ones and changed ones; goes on after one that is refused."""
    client = connect_as(DashboardClient, server)
    stored, is_refused = [], False
    for path in files_of(sources):
        try:
            dashboard = _upsert(client, read_source(path))
        except ServerRefused as refusal:
            print_error(f"{path}: {refusal}")
            is_refused = True
            continue
        stored.append(dashboard)
        if not as_json:
            print_line(f"{dashboard['id']}: {dashboard['title']}")
    if as_json:
        print_json(stored)
    if is_refused:
        raise typer.Exit(ExitCode.REFUSED)


def _upsert(client: DashboardClient, source: str) -> dict[str, Any]:
    dashboard_id = content_of(source).get("id")
    if not isinstance(dashboard_id, str):
        # The server makes an id, or says what is wrong with the source.
        return client.create_dashboard(source)
    try:
        return client.update_dashboard(dashboard_id, source)
    except ServerRefused as refusal:
        if refusal.status != 404:
            raise
        return client.create_dashboard(source)


@app.command("list", epilog=examples("tiercel dashboard list", "tiercel dashboard list -q sales"))
def list_dashboards(
    q: Annotated[str | None, typer.Option("--query", "-q", help="Words of the title.")] = None,
    page: Annotated[int, typer.Option(min=1, help="Page, from 1.")] = 1,
    size: Annotated[int, typer.Option(min=1, max=1000, help="Rows per page.")] = 50,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """List the dashboards that somebody stored."""
    found = connect_as(DashboardClient, server).dashboards(q, page, size)
    if as_json:
        print_json(found)
        return
    rows = [
        (one["id"], one["title"], str(len(one["charts"])), one.get("updated", ""))
        for one in found["results"]
    ]
    print_table(("DASHBOARD", "TITLE", "CHARTS", "UPDATED"), rows)


@app.command(epilog=examples("tiercel dashboard get kitchen", "tiercel dashboard get default"))
def get(dashboard_id: DashboardId, server: Server = SERVER_DEFAULT, as_json: Json = False) -> None:
    """Print a dashboard's source; `default` comes with the server."""
    dashboard = connect_as(DashboardClient, server).dashboard(dashboard_id)
    if as_json:
        print_json(dashboard)
    else:
        sys.stdout.write(str(dashboard["sourceCode"]).rstrip("\n") + "\n")


@app.command(
    epilog=examples(
        "tiercel dashboard chart default executions_by_namespace",
        "tiercel dashboard chart kitchen per_day --from 2026-11-01T00:00:00Z --namespace bakery",
        "tiercel dashboard chart kitchen per_day --csv > per-day.csv",
    )
)
def chart(
    dashboard_id: DashboardId,
    chart_id: Annotated[str, typer.Argument(metavar="CHART", help="Id of the chart.")],
    start: Annotated[
        str | None, typer.Option("--from", help="Date; the dashboard's window if none.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Date; now if none.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Of this namespace and below.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Print the rows of a chart."""
    client = connect_as(DashboardClient, server)
    given = {"startDate": start, "endDate": end, "namespace": namespace}
    asked = {name: value for name, value in given.items() if value is not None}
    if as_csv:
        client.export_chart(dashboard_id, chart_id, asked, sys.stdout.buffer)
        return
    found = client.chart(dashboard_id, chart_id, asked)
    if as_json:
        print_json(found)
        return
    rows = found["results"]
    names = list(rows[0]) if rows else []
    print_table([name.upper() for name in names], [_cells(row) for row in rows])


def _cells(row: dict[str, Any]) -> list[str]:
    return ["" if value is None else str(value) for value in row.values()]


@app.command(epilog=examples("tiercel dashboard delete kitchen"))
def delete(dashboard_id: DashboardId, server: Server = SERVER_DEFAULT) -> None:
    """Delete a dashboard."""
    connect_as(DashboardClient, server).delete_dashboard(dashboard_id)
    print_line(f"{dashboard_id} is deleted")
