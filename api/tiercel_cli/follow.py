"""Follows one execution until it ends: one stream of its changes, one of its log lines."""

from __future__ import annotations

import queue
import sys
from collections import Counter
from collections.abc import Iterator
from threading import Thread
from typing import Any

from rich.console import Console
from rich.live import Live

from tiercel_cli.client import Client, ServerRefused, ServerUnreachable
from tiercel_cli.output import ExitCode, exit_code_of, print_json, print_line, print_note
from tiercel_cli.view import ExecutionLines, ExecutionTree
from tiercel_engine.clock import SystemClock
from tiercel_schemas.state import is_terminated

#: Frames per second of the live tree.
FRAMES_PER_S = 8
#: Log lines below are left out: stack traces are TRACE.
SHOWN_LEVEL = "DEBUG"
#: Changes that were read and not yet drawn; a full queue holds the streams back.
CHANGES_MAX = 10_000
#: After the end: log lines are awaited until none came for this long …
LOGS_QUIET_S = 0.25
#: … and this many at the most.
LOGS_AFTER_END_MAX = 10_000

JsonObject = dict[str, Any]
Change = tuple[str, Any]
LineKey = tuple[str, str, str]


def follow_execution(client: Client, execution_id: str, as_json: bool = False) -> ExitCode:
    """Show it until it ends; return the exit code of its final state.

    Args:
        as_json: print the execution as one line of JSON at each change, without logs.
    """
    try:
        if as_json:
            return _follow_json(client, execution_id)
        console = Console(highlight=False, soft_wrap=True)
        if console.is_terminal:
            last = _follow_tree(client, execution_id)
        else:
            last = _show(client, execution_id, ExecutionLines(SystemClock(), console))
    except KeyboardInterrupt:
        print_note(f"{execution_id} goes on. See it again: tiercel execution follow {execution_id}")
        return ExitCode.INTERRUPTED
    for name, value in (last.get("outputs") or {}).items():
        print_line(f"{name} = {value}")
    return exit_code_of(last["state"]["current"])


def _follow_json(client: Client, execution_id: str) -> ExitCode:
    state = ""
    for execution in client.follow(execution_id):
        print_json(execution, indent=None)
        state = execution["state"]["current"]
    return exit_code_of(state)


def _follow_tree(client: Client, execution_id: str) -> JsonObject:
    tree = ExecutionTree(SystemClock())
    with Live(tree, refresh_per_second=FRAMES_PER_S, vertical_overflow="visible"):
        return _show(client, execution_id, tree)


def _show(client: Client, execution_id: str, view: ExecutionTree | ExecutionLines) -> JsonObject:
    last: JsonObject = {}
    for kind, document in _changes(client, execution_id):
        if kind == "log":
            view.add_log(document)
        else:
            view.update(document)
            last = document
    return last


def _changes(client: Client, execution_id: str) -> Iterator[Change]:
    """Changes and log lines in the order in which they came, the log's last lines included."""
    changes: queue.Queue[Change] = queue.Queue(CHANGES_MAX)
    Thread(target=_pump_execution, args=(client, execution_id, changes), daemon=True).start()
    Thread(target=_pump_logs, args=(client, execution_id, changes), daemon=True).start()
    seen: Counter[LineKey] = Counter()
    while True:
        kind, document = changes.get()
        if kind == "end":
            break
        if kind == "error":
            raise document
        if kind == "log":
            seen[_key(document)] += 1
        yield kind, document
    for document in _last_lines(client, execution_id, changes, seen):
        yield "log", document


def _last_lines(
    client: Client, execution_id: str, changes: queue.Queue[Change], seen: Counter[LineKey]
) -> Iterator[JsonObject]:
    """Lines that the stream brings after the end, then those that it did not bring in time."""
    for _ in range(LOGS_AFTER_END_MAX):
        try:
            kind, document = changes.get(timeout=LOGS_QUIET_S)
        except queue.Empty:
            break
        if kind == "log":
            seen[_key(document)] += 1
            yield document
    for entry in client.logs(execution_id, SHOWN_LEVEL):
        if seen[_key(entry)] > 0:
            seen[_key(entry)] -= 1
        else:
            yield entry


def _key(entry: JsonObject) -> LineKey:
    return str(entry.get("timestamp")), str(entry.get("taskRunId")), str(entry.get("message"))


def _pump_execution(client: Client, execution_id: str, changes: queue.Queue[Change]) -> None:
    ended = False
    try:
        for execution in client.follow(execution_id):
            changes.put(("execution", execution))
            ended = is_terminated(execution["state"]["current"])
    except (ServerUnreachable, ServerRefused) as error:
        changes.put(("error", error))
    else:
        lost = ServerUnreachable(f"{client.server} closed the stream of {execution_id}.")
        changes.put(("end", None) if ended else ("error", lost))


def _pump_logs(client: Client, execution_id: str, changes: queue.Queue[Change]) -> None:
    try:
        for entry in client.follow_logs(execution_id, SHOWN_LEVEL):
            changes.put(("log", entry))
    except (ServerUnreachable, ServerRefused) as error:
        # The execution's own stream decides; without its log it is shown all the same.
        sys.stderr.write(f"The log cannot be followed: {error}\n")
