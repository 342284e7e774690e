"""`tiercel server` and one command per role, all with the same options: one per setting.

The options are read off `Settings`, so that a setting has one name, one default and one
description in the file, the environment, the command line and the docs.

The composition root is imported when a server starts and not before: it brings every adapter,
which would make `tiercel flow list` four times as slow.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from tiercel_cli.options import Config, examples
from tiercel_cli.output import print_json, print_line, print_table
from tiercel_engine.config import ENVIRONMENT_PREFIX, Settings, load_settings

#: Options whose name is shorter than their setting's.
SHORT_OPTIONS = {"data_dir": "--data"}

HELP = {
    "server": """Run everything on this machine.

Without --kafka one process over the embedded log; with --kafka each role as its own process.
It stops in order on SIGTERM and Ctrl-C, with exit code 0, or 1 when a role failed.""",
    "executor": "Run an executor over Kafka: it alone decides what happens to executions.",
    "worker": "Run a worker over Kafka: it runs task attempts in its slots.",
    "scheduler": "Run a scheduler over Kafka: it starts executions at their dates and for events.",
    "indexer": "Run an indexer over Kafka: it writes the read model.",
    "api": "Run the HTTP API over Kafka.",
}
EXAMPLES = {
    "server": (
        "tiercel server",
        "tiercel server --port 9000 --data /var/lib/tiercel",
        "tiercel server --kafka localhost:9092 --executors 2 --workers 2",
    ),
    "executor": ("tiercel executor --kafka localhost:9092 --storage s3://bucket/tiercel",),
    "worker": ("tiercel worker --kafka localhost:9092 --worker-slots 64",),
    "scheduler": ("tiercel scheduler --kafka localhost:9092 --timezone Europe/Paris",),
    "indexer": ("tiercel indexer --kafka localhost:9092 --database postgresql://db/tiercel",),
    "api": ("tiercel api --kafka localhost:9092 --host 0.0.0.0 --port 8080",),
}


def option_of(setting: str) -> str:
    """The command-line option of a setting."""
    return SHORT_OPTIONS.get(setting, "--" + setting.replace("_", "-"))


def add_role_commands(app: typer.Typer) -> None:
    """Add `server`, the role commands and `config`."""
    for role in HELP:
        app.command(role, help=HELP[role], epilog=examples(*EXAMPLES[role]))(_command(role))
    app.command("config", epilog=examples("tiercel config", "tiercel config --json"))(show_config)


def rebuild_index(
    data: Annotated[str | None, typer.Option(help="Data folder.")] = None,
    kafka: Annotated[str | None, typer.Option(help="Bootstrap servers.")] = None,
    database: Annotated[str | None, typer.Option(help="URL of the read model.")] = None,
    file: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Drop the read model and write it again from the log. Stop the server or indexer first."""
    options = {"data_dir": data, "kafka": kafka, "database": database}
    settings = load_settings(options, file=file)
    from tiercel_cli.server import rebuild_read_model

    records = rebuild_read_model(settings)
    print_json({"records": records}) if as_json else print_line(f"{records} records read")


def show_config(
    file: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show every setting: its option, variable, value here and meaning."""
    values = load_settings(file=file).model_dump(mode="json")
    if as_json:
        print_json(values)
        return
    rows = [
        (option_of(name), variable_of(name), str(values[name] or ""), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    print_table(("OPTION", "VARIABLE", "VALUE", "MEANING"), rows)


def variable_of(setting: str) -> str:
    """The environment variable of a setting."""
    return ENVIRONMENT_PREFIX + setting.upper()


def _command(role: str) -> Callable[..., None]:
    def command(**options: Any) -> None:
        config, stops_with_stdin = options.pop("config"), options.pop("stops_with_stdin")
        settings = load_settings(options, file=config)
        from tiercel_cli.server import run_role, run_server

        if role == "server":
            raise typer.Exit(run_server(settings, stops_with_stdin))
        raise typer.Exit(run_role(role, settings, stops_with_stdin))

    parameters = [_parameter(name) for name in Settings.model_fields]
    parameters.append(_optional("config", Config))
    stdin_option = typer.Option("--stop-with-stdin", hidden=True)
    parameters.append(_optional("stops_with_stdin", Annotated[bool, stdin_option], False))
    # Typer reads a command's options from its signature.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _parameter(name: str) -> inspect.Parameter:
    field = Settings.model_fields[name]
    kinds = [k for k in get_args(field.annotation) or (field.annotation,) if k is not type(None)]
    kind = kinds[0] if kinds[0] in (bool, int, float, Path) else str
    shown = ("on" if field.default else "off") if kind is bool else field.default
    default = "" if shown is None else f" Default: {shown}."
    metavar = "|".join(str(k) for k in kinds) if isinstance(kinds[0], str) else None
    if kind is bool:
        metavar = ""
    spelling = option_of(name)
    option = typer.Option(
        f"{spelling}/--no-{spelling.removeprefix('--')}" if kind is bool else spelling,
        help=f"{field.description}{default}",
        metavar=metavar,
        show_default=False,
    )
    return _optional(name, Annotated[kind | None, option])


def _optional(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)
