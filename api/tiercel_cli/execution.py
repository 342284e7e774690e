"""`tiercel execution`: run, follow, get, list, logs, kill, restart. See `execution_verbs`, too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tiercel_cli.follow import follow_execution
from tiercel_cli.options import SERVER_DEFAULT, Json, Server, connect, examples
from tiercel_cli.output import (
    exit_code_of,
    print_json,
    print_line,
    print_note,
    print_table,
    state_text,
)
from tiercel_cli.view import duration_text, elapsed_s, log_line
from tiercel_engine.clock import SystemClock
from tiercel_schemas.state import is_terminated

app = typer.Typer(
    help="Executions: run, follow, look at, replay, kill, restart, change, delete.",
    no_args_is_help=True,
)

ExecutionId = Annotated[str, typer.Argument(metavar="EXECUTION", help="Id of the execution.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show it live until it ends.")]
Revision = Annotated[int | None, typer.Option(help="Revision of the flow; the newest if none.")]
MinLevel = Annotated[
    str | None, typer.Option("--level", help="This level and above: TRACE … ERROR.")
]


Breakpoints = Annotated[
    list[str] | None,
    typer.Option("--breakpoint", help="A task to suspend it before, task or task.value."),
]


@app.command(
    epilog=examples(
        "tiercel execution run shop greeting --input name=Ada --follow",
        "tiercel execution run shop count_lines --file orders=orders.csv --wait",
        "tiercel execution run shop greeting --label team:blue --json",
        "tiercel execution run shop orders --breakpoint charge",
    )
)
def run(
    namespace: Annotated[str, typer.Argument(metavar="NAMESPACE", help="Namespace of the flow.")],
    flow_id: Annotated[str, typer.Argument(metavar="FLOW", help="Id of the flow.")],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="An input, key=value.")
    ] = None,
    files: Annotated[
        list[str] | None, typer.Option("--file", help="A FILE input, key=path.")
    ] = None,
    labels: Annotated[list[str] | None, typer.Option("--label", help="A label, key:value.")] = None,
    revision: Revision = None,
    breakpoints: Breakpoints = None,
    follow: Follow = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait silently until it ends.")] = False,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Start a flow. With --follow or --wait the exit code tells the final state.

    0: SUCCESS or WARNING. 1: FAILED. 3: KILLED or CANCELLED.
    """
    client = connect(server)
    execution = client.create_execution(
        namespace,
        flow_id,
        key_values(inputs or [], "--input"),
        {key: _file(path) for key, path in key_values(files or [], "--file").items()},
        labels or [],
        revision,
        wait=wait and not follow,
        breakpoints=breakpoints or [],
    )
    if follow:
        raise typer.Exit(follow_execution(client, execution["id"], as_json))
    if as_json:
        print_json(execution)
    elif wait:
        _print_execution(execution)
    else:
        print_line(execution["id"])
    if wait:
        raise typer.Exit(exit_code_of(execution["state"]["current"]))


@app.command("follow", epilog=examples("tiercel execution follow 3mSiK5vGbTnOwb6LQ0pWYd"))
def follow_command(
    execution_id: ExecutionId, server: Server = SERVER_DEFAULT, as_json: Json = False
) -> None:
    """Show an execution live until it ends; the exit code tells the final state."""
    raise typer.Exit(follow_execution(connect(server), execution_id, as_json))


@app.command(
    epilog=examples(
        "tiercel execution get 3mSiK5vGbTnOwb6LQ0pWYd",
        "tiercel execution get 3mSiK5vGbTnOwb6LQ0pWYd --json",
    )
)
def get(execution_id: ExecutionId, server: Server = SERVER_DEFAULT, as_json: Json = False) -> None:
    """Print an execution: state, task runs, outputs."""
    execution = connect(server).execution(execution_id)
    if as_json:
        print_json(execution)
    else:
        _print_execution(execution)


@app.command(
    "list",
    epilog=examples(
        "tiercel execution list --state FAILED --state WARNING",
        "tiercel execution list --namespace shop --flow greeting --json",
    ),
)
def list_executions(
    namespace: Annotated[str | None, typer.Option(help="Only of this namespace.")] = None,
    flow_id: Annotated[str | None, typer.Option("--flow", help="Only of this flow.")] = None,
    states: Annotated[list[str] | None, typer.Option("--state", help="Only in this state.")] = None,
    page: Annotated[int, typer.Option(min=1, help="Page, from 1.")] = 1,
    size: Annotated[int, typer.Option(min=1, max=1000, help="Rows per page.")] = 25,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """List executions, newest first."""
    found = connect(server).executions(namespace, flow_id, states or [], page, size)
    if as_json:
        print_json(found)
        return
    clock = SystemClock()
    rows = [
        (
            e["id"],
            e["namespace"],
            e["flowId"],
            state_text(e["state"]["current"]),
            str(e["state"].get("startDate", ""))[:19].replace("T", " "),
            duration_text(elapsed_s(e["state"], clock)),
        )
        for e in found["results"]
    ]
    print_table(("EXECUTION", "NAMESPACE", "FLOW", "STATE", "STARTED (UTC)", "DURATION"), rows)
    if found["total"] > page * size:
        print_note(f"{found['total']} in all; see --page and --size.")


@app.command(
    epilog=examples(
        "tiercel execution logs 3mSiK5vGbTnOwb6LQ0pWYd",
        "tiercel execution logs 3mSiK5vGbTnOwb6LQ0pWYd --level WARN --follow",
    )
)
def logs(
    execution_id: ExecutionId,
    level: MinLevel = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")
    ] = False,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Print the log of an execution's tasks."""
    client = connect(server)
    if follow:
        for entry in client.follow_logs(execution_id, level):
            print_json(entry, indent=None) if as_json else _print_log(entry)
        return
    entries = client.logs(execution_id, level)
    if as_json:
        print_json(entries)
    else:
        for entry in entries:
            _print_log(entry)


@app.command(epilog=examples("tiercel execution kill 3mSiK5vGbTnOwb6LQ0pWYd --follow"))
def kill(
    execution_id: ExecutionId,
    follow: Follow = False,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Stop an execution and every task it runs."""
    client = connect(server)
    client.kill(execution_id)
    if follow:
        raise typer.Exit(follow_execution(client, execution_id, as_json))
    if as_json:
        print_json(client.execution(execution_id))
    else:
        print_line(f"{execution_id} is being killed")


@app.command(epilog=examples("tiercel execution restart 3mSiK5vGbTnOwb6LQ0pWYd --follow"))
def restart(
    execution_id: ExecutionId,
    revision: Revision = None,
    follow: Follow = False,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Run an ended execution again from its failed tasks on."""
    client = connect(server)
    execution = client.restart(execution_id, revision)
    if follow:
        raise typer.Exit(follow_execution(client, execution["id"], as_json))
    if as_json:
        print_json(execution)
    else:
        print_line(execution["id"])


def key_values(texts: list[str], option: str) -> dict[str, str]:
    """`key=value` texts as a map. Raises typer.BadParameter."""
    pairs = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"Expected key=value, but it was {text!r}.", param_hint=option)
        pairs[key] = value
    return pairs


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise typer.BadParameter(f"There is no file {text}.", param_hint="--file")
    return path


def _print_log(entry: dict[str, Any]) -> None:
    print_line(log_line(entry))


def _print_execution(execution: dict[str, Any]) -> None:
    clock = SystemClock()
    state = execution["state"]
    print_line(f"{execution['namespace']}.{execution['flowId']} {execution['id']}")
    ended = " so far" if not is_terminated(state["current"]) else ""
    print_line(f"{state['current']} after {duration_text(elapsed_s(state, clock))}{ended}")
    rows = [
        (
            f"{r['taskId']} [{r['value']}]" if r.get("value") is not None else r["taskId"],
            state_text(r["state"]["current"]),
            str(len(r.get("attempts") or [])),
            duration_text(elapsed_s(r["state"], clock)),
        )
        for r in execution.get("taskRunList") or []
    ]
    if rows:
        print_table(("TASK RUN", "STATE", "ATTEMPTS", "DURATION"), rows)
    for name, value in (execution.get("outputs") or {}).items():
        print_line(f"{name} = {value}")
