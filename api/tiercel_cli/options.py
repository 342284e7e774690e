"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from tiercel_cli.client import DEFAULT_SERVER, Client

Server = Annotated[
    str,
    typer.Option(
        "--server", envvar="TIERCEL_SERVER", help="Address of the server.", show_default=True
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="TIERCEL_CONFIG",
        help="YAML file of settings; options and environment variables win over it.",
        dir_okay=False,
    ),
]
SERVER_DEFAULT = DEFAULT_SERVER


C = TypeVar("C", bound=Client)


def connect(server: str) -> Client:
    """A client for `--server`. Raises a usage error when it is no address."""
    return connect_as(Client, server)


def connect_as(kind: type[C], server: str) -> C:
    """The same, of some kind."""
    try:
        return kind(server)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None


def examples(*lines: str) -> str:
    """The epilog of a command's help: one example per line."""
    return "Examples:\n\n" + "\n\n".join(f"  $ {line}" for line in lines)
