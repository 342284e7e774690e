"""What the command line prints: JSON for programs, tables for people, and exit codes.

Standard output carries the answer and nothing else; everything else goes to standard error.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tiercel_schemas.state import State

#: The widest table in a pipe.
PIPE_COLUMNS = 1_000
STATE_STYLES: dict[str, str] = {
    State.SUCCESS: "green",
    State.WARNING: "yellow",
    State.FAILED: "bold red",
    State.KILLED: "magenta",
    State.CANCELLED: "magenta",
    State.KILLING: "magenta",
    State.RUNNING: "cyan",
    State.RETRYING: "yellow",
    State.PAUSED: "blue",
    State.BREAKPOINT: "blue",
    State.QUEUED: "blue",
}


class ExitCode(IntEnum):
    """How `tiercel` ends."""

    OK = 0
    #: The execution ended FAILED, a flow does not hold, or a server stopped on an error.
    FAILED = 1
    #: The command line, a local file or a setting does not hold.
    USAGE = 2
    #: The execution ended KILLED or CANCELLED.
    KILLED = 3
    #: No server answers.
    UNREACHABLE = 4
    #: The server refused: no such flow, a conflict, invalid inputs.
    REFUSED = 5
    #: Ctrl-C.
    INTERRUPTED = 130


def exit_code_of(state: str) -> ExitCode:
    """The exit code that stands for an execution's final state."""
    if state in (State.KILLED, State.CANCELLED):
        return ExitCode.KILLED
    return ExitCode.FAILED if state == State.FAILED else ExitCode.OK


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print one JSON document; with `indent` None on one line."""
    sys.stdout.write(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_line(text: str | Text) -> None:
    """Print one line for people, never wrapped or cut."""
    Console(soft_wrap=True, highlight=False).print(text, markup=False)


def print_error(message: str) -> None:
    """Print why it did not work, on standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text.assemble(("Error: ", "bold red"), message))


def print_note(message: str) -> None:
    """Print a remark on standard error."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(message, style="dim", markup=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print a table; on a terminal it is as wide as that, in a pipe as wide as it needs."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        # The first column names the row: a name in two pieces cannot be copied.
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    lines = io.StringIO()
    Console(file=lines, highlight=False, width=PIPE_COLUMNS).print(table)
    for line in lines.getvalue().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def state_text(state: str) -> Text:
    """A state in its colour."""
    return Text(state, style=STATE_STYLES.get(state, ""))
