"""An execution as it runs: a tree of its task runs on a terminal, lines elsewhere.

Turns the API's documents into renderables. Does no I/O but printing.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.text import Text
from rich.tree import Tree

from tiercel_cli.output import state_text
from tiercel_engine.clock import Clock
from tiercel_schemas.state import is_terminated

#: Task runs shown in the tree; of a larger execution the newest.
TREE_ROWS_MAX = 40
#: Log lines shown under each task run while it runs.
LINES_PER_TASK_RUN = 4

JsonObject = Mapping[str, Any]
LEVEL_STYLES = {"ERROR": "red", "WARN": "yellow", "DEBUG": "dim", "TRACE": "dim"}


def duration_text(seconds: float) -> str:
    """Seconds for people: 12 ms, 1.2 s, 2 min 05 s."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def elapsed_s(state: JsonObject, clock: Clock) -> float:
    """Seconds from a state's start to its end, or to now."""
    histories = state.get("histories") or []
    if not histories:
        return 0.0
    start = datetime.fromisoformat(histories[0]["date"]).timestamp()
    if is_terminated(str(state["current"])):
        return datetime.fromisoformat(histories[-1]["date"]).timestamp() - start
    return clock.now_us() / 1_000_000 - start


def log_line(entry: JsonObject) -> Text:
    """One log line: level, task, message."""
    level = str(entry.get("level", "INFO"))
    return Text.assemble(
        (f"{level:<5} ", LEVEL_STYLES.get(level, "")),
        (f"{entry.get('taskId') or entry.get('triggerId') or ''}  ", "bold"),
        str(entry.get("message", "")),
    )


def counters_of(run: JsonObject) -> str:
    """How many of the executions that a task run started are in which state: "3 RUNNING …"."""
    outputs = run.get("outputs") or {}
    counters = dict(outputs.get("iterations") or outputs.get("terminatedIterations") or {})
    if outputs.get("runningIterations"):
        counters["RUNNING"] = outputs["runningIterations"]
    return "  ".join(f"{count:,} {state}" for state, count in counters.items() if count)


class ExecutionTree:
    """The live tree. `update` and `add_log` may be called while `__rich__` draws."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._execution: JsonObject | None = None
        self._lines: dict[str, deque[JsonObject]] = defaultdict(
            lambda: deque(maxlen=LINES_PER_TASK_RUN)
        )

    def update(self, execution: JsonObject) -> None:
        self._execution = execution

    def add_log(self, entry: JsonObject) -> None:
        self._lines[str(entry.get("taskRunId"))].append(entry)

    def __rich__(self) -> Tree | Text | Group:
        if self._execution is None:
            return Text("waiting for the execution …", style="dim")
        runs = list(self._execution.get("taskRunList") or [])
        root = Tree(self._title(self._execution, runs))
        if len(runs) > TREE_ROWS_MAX:
            root.add(Text(f"… {len(runs) - TREE_ROWS_MAX} earlier task runs", style="dim"))
        nodes = {None: root}
        for run in runs[-TREE_ROWS_MAX:]:
            parent = nodes.get(run.get("parentTaskRunId"), root)
            node = nodes[run["id"]] = parent.add(self._row(run))
            for entry in list(self._lines.get(run["id"], ())):
                node.add(Text.assemble((str(entry.get("message", "")), "dim")))
        return root

    def _title(self, execution: JsonObject, runs: list[JsonObject]) -> Text:
        ended = sum(is_terminated(run["state"]["current"]) for run in runs)
        return Text.assemble(
            (f"{execution['namespace']}.{execution['flowId']} ", "bold"),
            (f"{execution['id']} ", "dim"),
            state_text(execution["state"]["current"]),
            f"  {duration_text(elapsed_s(execution['state'], self._clock))}",
            (f"  {ended} of {len(runs)} task runs ended", "dim"),
        )

    def _row(self, run: JsonObject) -> Text:
        attempts = len(run.get("attempts") or [])
        return Text.assemble(
            state_text(run["state"]["current"]),
            f"  {run['taskId']}",
            f" [{run['value']}]" if run.get("value") is not None else "",
            (f"  {duration_text(elapsed_s(run['state'], self._clock))}", "dim"),
            (f"  attempt {attempts}", "yellow") if attempts > 1 else "",
            (f"  {counters}", "cyan") if (counters := counters_of(run)) else "",
        )


class ExecutionLines:
    """The same as lines, one per change, for a file or a pipe."""

    def __init__(self, clock: Clock, console: Console) -> None:
        self._clock = clock
        self._console = console
        self._seen: dict[str, str] = {}
        self._counters: dict[str, str] = {}

    def update(self, execution: JsonObject) -> None:
        for run in execution.get("taskRunList") or []:
            self._report(run["id"], f"{run['taskId']}{_value_of(run)}", run["state"])
            self._count(run)
        name = f"{execution['namespace']}.{execution['flowId']} {execution['id']}"
        self._report(execution["id"], name, execution["state"])

    def _count(self, run: JsonObject) -> None:
        counters = counters_of(run)
        if counters and self._counters.get(run["id"]) != counters:
            self._counters[run["id"]] = counters
            self._console.print(Text.assemble(f"{'':<9} {run['taskId']}  ", (counters, "cyan")))

    def add_log(self, entry: JsonObject) -> None:
        self._console.print(Text.assemble("  ", log_line(entry)))

    def _report(self, key: str, name: str, state: JsonObject) -> None:
        current = str(state["current"])
        if self._seen.get(key) == current:
            return
        self._seen[key] = current
        duration = duration_text(elapsed_s(state, self._clock)) if is_terminated(current) else ""
        self._console.print(Text.assemble(f"{current:<9} {name}  ", (duration, "dim")))


def _value_of(run: JsonObject) -> str:
    return f" [{run['value']}]" if run.get("value") is not None else ""
