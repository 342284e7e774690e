"""`tiercel service`: which services of a server live, how they stand, what they own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tiercel_cli.options import SERVER_DEFAULT, Json, Server, connect, examples
from tiercel_cli.output import print_json, print_table

app = typer.Typer(
    help="The services of an installation: executors, workers, schedulers, indexers, APIs.",
    no_args_is_help=True,
)

_ENDED = ("TERMINATED_GRACEFULLY", "ERROR")


@app.command(
    "list",
    epilog=examples(
        "tiercel service list",
        "tiercel service list --type worker",
        "tiercel service list --all --json",
    ),
)
def list_services(
    kind: Annotated[
        str | None,
        typer.Option("--type", help="Only executor, worker, scheduler, indexer or webserver."),
    ] = None,
    shows_all: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """List the services: their state, machine, version, partitions and slots.

    DISCONNECTED is who has said nothing for 15 seconds. Who has ended is forgotten after a day.
    """
    found = connect(server).services(kind)
    rows = [one for one in found["results"] if shows_all or one["state"] not in _ENDED]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("TYPE", "STATE", "ID", "HOST", "VERSION", "PARTITIONS", "FREE SLOTS", "SEEN"),
        [_row(one) for one in rows],
    )


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    server, worker = one["server"], one.get("worker")
    slots = "" if worker is None else f"{worker['freeSlots']} of {worker['slots']}"
    numbers = ", ".join(map(str, one["partitions"]))
    facts = (server["hostname"], server["version"], numbers, slots, one["updatedAt"])
    return one["type"], one["state"], one["id"], *facts
