"""`tiercel dead-letters`: list, show, replay."""

from __future__ import annotations

from typing import Annotated

import typer

from tiercel_cli.options import SERVER_DEFAULT, Json, Server, connect, examples
from tiercel_cli.output import print_json, print_line, print_table

app = typer.Typer(
    help="Records that could not be read or accepted: list, show, replay.", no_args_is_help=True
)

Offset = Annotated[int, typer.Argument(metavar="OFFSET", min=0, help="As `list` shows it.")]


@app.command(
    "list",
    epilog=examples(
        "tiercel dead-letters list", "tiercel dead-letters list --topic trigger-messages"
    ),
)
def list_letters(
    topic: Annotated[str | None, typer.Option(help="Only from this topic.")] = None,
    size: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """List them, the newest first: where each came from, and why it was refused."""
    found = connect(server).dead_letters(topic, size)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            str(x["offset"]),
            x["date"],
            f"{x['topic']}[{x['partition']}]@{x['sourceOffset']}",
            x["reason"],
        )
        for x in found["results"]
    ]
    print_table(("OFFSET", "WHEN", "FROM", "REASON"), rows)


@app.command(epilog=examples("tiercel dead-letters show 17"))
def show(offset: Offset, server: Server = SERVER_DEFAULT, as_json: Json = False) -> None:
    """Show one with its key, headers and whole value."""
    letter = connect(server).dead_letter(offset)
    if as_json:
        print_json(letter)
        return
    for name in ("date", "topic", "partition", "sourceOffset", "key", "reason", "headers"):
        print_line(f"{name}: {letter[name]}")
    print_line(str(letter["value"]))


@app.command(epilog=examples("tiercel dead-letters replay 17"))
def replay(offset: Offset, server: Server = SERVER_DEFAULT, as_json: Json = False) -> None:
    """Append one once more to the topic that it came from, when its cause is mended."""
    letter = connect(server).replay_dead_letter(offset)
    if as_json:
        print_json(letter)
    else:
        print_line(f"appended to {letter['topic']} once more")
