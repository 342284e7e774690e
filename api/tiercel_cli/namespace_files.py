"""`tiercel files`: list, get, put, delete."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from tiercel_cli.namespace_client import NamespaceClient
from tiercel_cli.options import SERVER_DEFAULT, Json, Server, connect_as, examples
from tiercel_cli.output import print_json, print_line

app = typer.Typer(help="Files of a namespace: list, get, put, delete.", no_args_is_help=True)

Namespace = Annotated[str, typer.Argument(metavar="NAMESPACE", help="Whose files.")]
FilePath = Annotated[str, typer.Argument(metavar="PATH", help="Of the file in the namespace.")]


@app.command(
    "list", epilog=examples("tiercel files list shop", "tiercel files list shop --query .sql")
)
def list_files(
    namespace: Namespace,
    q: Annotated[str, typer.Option("--query", "-q", help="Text in the path.")] = "",
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """List the paths of all files, or of those with a text in them."""
    found = connect_as(NamespaceClient, server).files(namespace, q)
    if as_json:
        print_json(found)
        return
    for path in found:
        print_line(path)


@app.command(
    epilog=examples(
        "tiercel files get shop scripts/load.py", "tiercel files get shop data.csv -o data.csv"
    )
)
def get(
    namespace: Namespace,
    path: FilePath,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it here.", dir_okay=False)
    ] = None,
    revision: Annotated[int | None, typer.Option(help="An earlier one.")] = None,
    server: Server = SERVER_DEFAULT,
) -> None:
    """Print a file's content, or write it to a local file."""
    client = connect_as(NamespaceClient, server)
    if output is None:
        client.file(namespace, _absolute(path), revision, sys.stdout.buffer)
        sys.stdout.flush()
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as target:
            client.file(namespace, _absolute(path), revision, target)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


@app.command(
    epilog=examples(
        "tiercel files put shop scripts/", "tiercel files put shop load.py --to scripts/load.py"
    )
)
def put(
    namespace: Namespace,
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE|FOLDER", help="A folder: all below it.", exists=True),
    ],
    to: Annotated[
        str | None, typer.Option(help="Path in the namespace; else its own name.")
    ] = None,
    server: Server = SERVER_DEFAULT,
) -> None:
    """Put a local file into the namespace, or a folder with all below it."""
    client = connect_as(NamespaceClient, server)
    for file, path in _sources(source, _absolute(to if to is not None else source.resolve().name)):
        client.put_file(namespace, path, file)
        print_line(path)


@app.command(epilog=examples("tiercel files delete shop scripts/load.py"))
def delete(namespace: Namespace, path: FilePath, server: Server = SERVER_DEFAULT) -> None:
    """Delete a file, or a folder with all below it."""
    connect_as(NamespaceClient, server).delete_file(namespace, _absolute(path))
    print_line(f"{_absolute(path)} is deleted")


def _sources(source: Path, to: str) -> Iterator[tuple[Path, str]]:
    """(local file, path in the namespace). Links to folders are not followed."""
    if source.is_file():
        yield source, to
        return
    for file in sorted(source.rglob("*")):
        if file.is_file():
            yield file, str(PurePosixPath(to) / file.relative_to(source).as_posix())


def _absolute(path: str) -> str:
    return "/" + path.strip("/")
