"""`tiercel trigger`: list, next, enable, disable, unlock, restart, backfill."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import typer

from tiercel_cli.client import Client
from tiercel_cli.options import SERVER_DEFAULT, Json, Server, connect, examples
from tiercel_cli.output import print_json, print_line, print_table

app = typer.Typer(
    help="Triggers: list, next, enable, disable, unlock, restart, backfill.", no_args_is_help=True
)
backfill_app = typer.Typer(help="Backfills: start, pause, resume, delete.", no_args_is_help=True)
app.add_typer(backfill_app, name="backfill")

Namespace = Annotated[str, typer.Argument(metavar="NAMESPACE", help="Namespace of the flow.")]
FlowId = Annotated[str, typer.Argument(metavar="FLOW", help="Id of the flow.")]
TriggerId = Annotated[str, typer.Argument(metavar="TRIGGER", help="Id of the trigger.")]


@app.command(
    "list", epilog=examples("tiercel trigger list", "tiercel trigger list --namespace shop")
)
def list_triggers(
    namespace: Annotated[str | None, typer.Option(help="Of this namespace and below.")] = None,
    flow_id: Annotated[str | None, typer.Option("--flow", help="Of this flow.")] = None,
    q: Annotated[str | None, typer.Option("--query", "-q", help="Words to look for.")] = None,
    page: Annotated[int, typer.Option(min=1, help="Page, from 1.")] = 1,
    size: Annotated[int, typer.Option(min=1, max=1000, help="Rows per page.")] = 50,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """List triggers that start by time, by events or by looking: state and next date."""
    found = connect(server).triggers(namespace, flow_id, q, page, size)
    if as_json:
        print_json(found)
        return
    states = [row["state"] for row in found["results"]]
    rows = [
        (
            s["namespace"],
            s["flowId"],
            s["triggerId"],
            _state(s),
            s.get("date", ""),
            s.get("nextExecutionDate", ""),
        )
        for s in states
    ]
    print_table(("NAMESPACE", "FLOW", "TRIGGER", "STATE", "LAST", "NEXT"), rows)


@app.command("next", epilog=examples("tiercel trigger next shop report nightly --count 5"))
def next_dates(
    namespace: Namespace,
    flow_id: FlowId,
    trigger_id: TriggerId,
    count: Annotated[int, typer.Option(min=1, max=100, help="How many dates.")] = 10,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Show the dates that come next, conditions taken into account."""
    found = connect(server).next_dates(namespace, flow_id, trigger_id, count)
    if as_json:
        print_json(found)
        return
    for date in found["results"]:
        print_line(date)


def _command(what: str, call: Callable[[Client, str, str, str], Any], told: str) -> Any:
    """A command that asks one thing of one trigger."""

    def command(
        namespace: Namespace,
        flow_id: FlowId,
        trigger_id: TriggerId,
        server: Server = SERVER_DEFAULT,
        as_json: Json = False,
    ) -> None:
        _show(call(connect(server), namespace, flow_id, trigger_id), told, as_json)

    command.__doc__ = what
    return command


def _show(state: dict[str, Any], told: str, as_json: bool) -> None:
    if as_json:
        print_json(state)
    else:
        name = f"{state['namespace']}.{state['flowId']}.{state['triggerId']}"
        print_line(f"{name} {told}")


def progress(backfill: dict[str, Any]) -> str:
    """How far a backfill has come through its time, and whether it rests."""
    first, last = (datetime.fromisoformat(backfill[name]) for name in ("start", "end"))
    at = datetime.fromisoformat(backfill.get("currentDate") or backfill["end"])
    share = (at - first) / (last - first) if last > first else 1.0
    rests = ", paused" if backfill["paused"] else ""
    return f"{share:.0%}{rests}"


def _state(state: dict[str, Any]) -> str:
    if state["disabled"]:
        return "disabled"
    if state.get("backfill"):
        return f"backfill {progress(state['backfill'])}"
    return "locked" if state["locked"] else "enabled"


for _name, _what, _call, _told in (
    ("enable", "Let a trigger start executions again.",
     lambda c, *key: c.set_trigger_disabled(*key, False), "enabled"),
    ("disable", "Keep a trigger from starting executions.",
     lambda c, *key: c.set_trigger_disabled(*key, True), "disabled"),
    ("unlock", "Forget the execution that a trigger waits for.",
     lambda c, *key: c.trigger_verb(*key, "unlock"), "unlocked"),
    ("restart", "Forget what is under way and go on from now.",
     lambda c, *key: c.trigger_verb(*key, "restart"), "restarted"),
):  # fmt: skip
    app.command(_name, epilog=examples(f"tiercel trigger {_name} shop report nightly"))(
        _command(_what, _call, _told)
    )

for _name, _what, _call, _told in (
    ("pause", "Pause a backfill.", lambda c, *key: c.backfill_verb(*key, "pause"), "paused"),
    ("resume", "Let a backfill go on.",
     lambda c, *key: c.backfill_verb(*key, "unpause"), "resumed"),
    ("delete", "Drop a backfill; the schedule goes on.",
     lambda c, *key: c.backfill_verb(*key, "delete"), "deleted"),
):  # fmt: skip
    backfill_app.command(
        _name, epilog=examples(f"tiercel trigger backfill {_name} shop report nightly")
    )(_command(_what, _call, _told))


@backfill_app.command(
    "start",
    epilog=examples(
        "tiercel trigger backfill start shop report nightly --from 2026-01-01T00:00:00Z",
        "tiercel trigger backfill start shop report nightly --from 2026-01-01T00:00:00Z "
        "--to 2026-02-01T00:00:00Z --input region=eu --label reason:fix",
    ),
)
def start_backfill(
    namespace: Namespace,
    flow_id: FlowId,
    trigger_id: TriggerId,
    start: Annotated[str, typer.Option("--from", help="First date, ISO 8601.")],
    end: Annotated[str | None, typer.Option("--to", help="Last date; now if none.")] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="An input, key=value.")
    ] = None,
    labels: Annotated[list[str] | None, typer.Option("--label", help="A label, key:value.")] = None,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Start an execution for each date of the past between two dates."""
    backfill = {
        "start": start,
        "end": end,
        "inputs": dict(_pair(text, "=", "--input") for text in inputs or ()),
        "labels": [
            dict(zip(("key", "value"), _pair(text, ":", "--label"), strict=True))
            for text in labels or ()
        ],
    }
    state = connect(server).start_backfill(namespace, flow_id, trigger_id, backfill)
    _show(state, "goes through its dates", as_json)


def _pair(text: str, separator: str, option: str) -> tuple[str, str]:
    key, found, value = text.partition(separator)
    if not found or not key:
        raise typer.BadParameter(
            f"Expected key{separator}value, but it was {text!r}.", param_hint=option
        )
    return key, value
