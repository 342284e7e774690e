"""`tiercel execution`: replay, pause, resume, labels, status, state, force-run, unqueue, delete."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tiercel_cli.execution import Breakpoints, ExecutionId, Follow, Revision, app, key_values
from tiercel_cli.follow import follow_execution
from tiercel_cli.options import SERVER_DEFAULT, Json, Server, connect, examples
from tiercel_cli.output import print_json, print_line
from tiercel_schemas.state import State

#: All commands of `tiercel execution`, those of `tiercel_cli.execution` among them.
executions = app
ID = "3mSiK5vGbTnOwb6LQ0pWYd"
FinalState = Annotated[
    str, typer.Argument(metavar="STATE", help="SUCCESS, WARNING, FAILED, KILLED or CANCELLED.")
]


@app.command(
    epilog=examples(
        f"tiercel execution replay {ID} --follow",
        f"tiercel execution replay {ID} --task-run 3mSiK5vGbTnOwb6LQ0pWYe --revision 3",
        f"tiercel execution replay {ID} --input name=Grace --json",
    )
)
def replay(
    execution_id: ExecutionId,
    task_run: Annotated[
        str | None,
        typer.Option("--task-run", help="Go on from this task run."),
    ] = None,
    revision: Revision = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="Another input, key=value.")
    ] = None,
    follow: Follow = False,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Run a copy of an execution, from its start or from one of its task runs."""
    client = connect(server)
    given = key_values(inputs or [], "--input")
    copy = client.replay(execution_id, task_run, revision, given)
    if follow:
        raise typer.Exit(follow_execution(client, copy["id"], as_json))
    _answer(copy, copy["id"], as_json)


@app.command(epilog=examples(f"tiercel execution pause {ID}"))
def pause(
    execution_id: ExecutionId, server: Server = SERVER_DEFAULT, as_json: Json = False
) -> None:
    """Hold a running execution: what runs may end, nothing new starts."""
    paused = connect(server).act(execution_id, "pause")
    _answer(paused, f"{execution_id} is paused", as_json)


@app.command(
    epilog=examples(
        f"tiercel execution resume {ID}",
        f"tiercel execution resume {ID} --input approved=true --follow",
        f"tiercel execution resume {ID} --breakpoint ship",
    )
)
def resume(
    execution_id: ExecutionId,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="What the pause asks for, key=value.")
    ] = None,
    breakpoints: Breakpoints = None,
    follow: Follow = False,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Let an execution go on that is paused, or suspended at a breakpoint.

    --breakpoint: the tasks that it is suspended before from here on, in the place of the others.
    """
    client = connect(server)
    given = key_values(inputs or [], "--input")
    if client.execution(execution_id)["state"]["current"] == State.BREAKPOINT:
        query = {"breakpoints": breakpoints} if breakpoints else None
        resumed = client.act(execution_id, "resume-from-breakpoint", query)
    else:
        resumed = client.act(execution_id, "resume", form=given)
    if follow:
        raise typer.Exit(follow_execution(client, execution_id, as_json))
    _answer(resumed, f"{execution_id} goes on", as_json)


@app.command(epilog=examples(f"tiercel execution labels {ID} team=blue checked=yes"))
def labels(
    execution_id: ExecutionId,
    given: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…", help="Labels to set.")],
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Set labels of an ended execution; its others stay."""
    body = [{"key": k, "value": v} for k, v in key_values(given, "KEY=VALUE").items()]
    labelled = connect(server).act(execution_id, "labels", body=body)
    shown = [f"{label['key']}={label['value']}" for label in labelled.get("labels", ())]
    _answer(labelled, "\n".join(shown), as_json)


@app.command(epilog=examples(f"tiercel execution status {ID} WARNING"))
def status(
    execution_id: ExecutionId,
    state: FinalState,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Give an ended execution another final state; nothing runs."""
    changed = connect(server).act(execution_id, "change-status", query={"status": state.upper()})
    _answer(changed, f"{execution_id} is {changed['state']['current']}", as_json)


@app.command(
    epilog=examples(f"tiercel execution state {ID} 3mSiK5vGbTnOwb6LQ0pWYe SUCCESS --follow")
)
def state(
    execution_id: ExecutionId,
    task_run: Annotated[str, typer.Argument(metavar="TASK_RUN", help="Id of the task run.")],
    to: FinalState,
    follow: Follow = False,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """End a task run in a state, and go on as if it had ended so."""
    client = connect(server)
    body = {"taskRunId": task_run, "state": to.upper()}
    changed = client.act(execution_id, "state", body=body)
    if follow:
        raise typer.Exit(follow_execution(client, execution_id, as_json))
    _answer(changed, f"{execution_id} is {changed['state']['current']}", as_json)


@app.command("force-run", epilog=examples(f"tiercel execution force-run {ID}"))
def force_run(
    execution_id: ExecutionId, server: Server = SERVER_DEFAULT, as_json: Json = False
) -> None:
    """Let an execution run that waits for its date, its turn, or to be resumed."""
    forced = connect(server).act(execution_id, "force-run")
    _answer(forced, f"{execution_id} is {forced['state']['current']}", as_json)


@app.command(
    epilog=examples(
        f"tiercel execution unqueue {ID}", f"tiercel execution unqueue {ID} --state CANCELLED"
    )
)
def unqueue(
    execution_id: ExecutionId,
    to: Annotated[str, typer.Option("--state", help="RUNNING, CANCELLED or FAILED.")] = "RUNNING",
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Take an execution out of its flow's queue."""
    taken = connect(server).act(execution_id, "unqueue", query={"state": to.upper()})
    _answer(taken, f"{execution_id} is {taken['state']['current']}", as_json)


@app.command(
    epilog=examples(
        f"tiercel execution delete {ID}", f"tiercel execution delete {ID} --keep-logs --keep-files"
    )
)
def delete(
    execution_id: ExecutionId,
    keep_logs: Annotated[bool, typer.Option("--keep-logs", help="Leave its log.")] = False,
    keep_metrics: Annotated[
        bool, typer.Option("--keep-metrics", help="Leave its metrics.")
    ] = False,
    keep_files: Annotated[bool, typer.Option("--keep-files", help="Leave its files.")] = False,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Delete an execution; one that runs is stopped."""
    connect(server).delete_execution(execution_id, not keep_logs, not keep_metrics, not keep_files)
    _answer({"id": execution_id, "deleted": True}, f"{execution_id} is deleted", as_json)


def _answer(document: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        print_line(text)
