"""Runs every *.txt beside this file: commands in, events out.

A transcript opens with a flow (after `---` stand those that it starts executions of), then has
blocks of one command, `----`, and what came of it. Run pytest with --rewrite to write the outcomes
anew, and read the diff. `count` before a command gives the numbers of its events alone.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.engine_harness import Engine
from tests.transcripts.verbs import act

from tiercel_engine.errors import Rejected
from tiercel_schemas import commands as c
from tiercel_schemas import events as e
from tiercel_schemas.jobs import SessionClose

HERE = Path(__file__).parent
HEADER = "flow"


def describe(engine: Engine, event: e.Event) -> str:
    """One event as one line."""
    name = type(event).__name__
    words = [name]
    run_id = getattr(event, "task_run_id", None)
    if run_id is not None:
        run = engine.execution.task_runs.get(run_id)
        words.append(run.task_id if run else run_id or "the flow")
    if isinstance(event, e.TaskRunCreated) and event.branch != "tasks":
        words.append(f"in {event.branch}")
    for field in ("template", "value", "error"):
        shown = getattr(event, field, None)
        if shown is not None and type(event).__name__.startswith("Evaluation"):
            words.append(str(getattr(shown, "json", shown)))
    for field in ("attempt", "first", "last", "index", "count", "chunk", "epoch"):
        if hasattr(event, field):
            words.append(f"{field}={getattr(event, field)}")
    if isinstance(event, e.TaskRunPaused) and event.due_us is not None:
        words.append(f"until {(event.due_us - engine.clock.now_us()) / 1_000_000:g} s later")
        words.append(f"then {event.due_state}")
    if isinstance(event, e.AfterExecutionPlanned):
        words += event.branches
    if isinstance(event, e.SlaDeadlineSet | e.SlaViolated):
        words.append(event.sla_id)
    if isinstance(event, e.SlaDeadlineSet):
        words.append(f"in {(event.due_us - engine.clock.now_us()) / 1_000_000:g} s")
    if isinstance(event, e.IterationScheduled | e.IterationStarted):
        words.append(f"time {event.iteration}")
    if isinstance(event, e.IterationScheduled):
        words.append(f"in {(event.due_us - engine.clock.now_us()) / 1_000_000:g} s")
    if getattr(event, "passed", ""):
        words.append(f"through {event.passed}")
    if getattr(event, "by_request", False):
        words.append("by request")
    if isinstance(event, e.LabelsSet):
        words += [f"{label.key}={label.value}" for label in event.labels]
    if isinstance(event, e.VariablesSet):
        words += [f"{name}={value}" for name, value in event.values.items()]
        words += [f"without {name}" for name in event.removed]
    for field in ("state", "task_run_state", "worker_id"):
        if getattr(event, field, None) is not None:
            words.append(getattr(event, field))
    return " ".join(words)


def told(command: Any) -> str:
    """A command to another execution as one line."""
    words = ["send", type(command).__name__]
    if isinstance(command, c.RestartExecution) and command.reply_to is not None:
        words.append(f"in its place, for {command.reply_to.index}")
    if isinstance(command, c.CreateExecution):
        words += [f"{command.flow_id}/{command.flow_revision}", command.inputs.json or ""]
        words += [f"{label.key}={label.value}" for label in command.labels]
        words.append("and wait" if command.reply_to else "and go on")
        if command.reply_to and command.reply_to.index >= 0:
            words.append(f"for {command.reply_to.index}")
        if command.loop is not None:
            key = "" if command.loop.key is None else f"{command.loop.key}="
            words.append(f"{command.kind} {key}{command.loop.value}")
        if command.copied:
            words.append(f"copying {command.copied} as number {command.attempt_number}")
    if isinstance(command, c.SeedExecution):
        words.append(f"{len(command.runs)} task runs, {len(command.again)} again")
    return " ".join(words)


def told_worker(worker_id: str, record: Any) -> str:
    """What the holder of a folder alone is told, as one line."""
    if isinstance(record, SessionClose):
        return f"to {worker_id}: close"
    return f"to {worker_id}: job {record.task_id} attempt={record.attempt} epoch={record.epoch}"


def outcome(engine: Engine, command: str) -> str:
    """Everything that came of one command."""
    is_counted = command.startswith("count ")
    command = command.removeprefix("count ")
    before = len(engine.events)
    jobs = len(engine.jobs)
    engine.last = None
    try:
        act(engine, command)
    except Rejected as rejection:
        return f"rejected: {rejection}"
    lines = [describe(engine, event) for event in engine.events[before:]]
    if is_counted:
        kinds = Counter(type(event).__name__ for event in engine.events[before:])
        lines = [f"{count} {kind}" for kind, count in sorted(kinds.items())]
    lines += [
        f"job {j.task_id or 'of the flow'} attempt={j.attempt} epoch={j.epoch}"
        for j in engine.jobs[jobs:]
    ]
    if engine.last is not None:
        lines += [f"{line.level}: {line.message}" for line in engine.last.logs]
        if not is_counted:
            lines += [f"metric {m.name}={m.value:g}" for m in engine.last.metrics]
        lines += [told_worker(*each) for each in engine.last.inbox]
        lines += [told(command) for _, command in engine.last.commands]
        lines += [f"follow up {type(t).__name__}" for t in engine.last.follow_ups]
        for r in engine.last.revocations:
            who = f" for {r.worker_id}" if r.worker_id else ""
            lines.append(f"revoke attempt={r.attempt} epoch={r.epoch} {r.reason}{who}")
        if engine.last.stale:
            lines.append(f"stale: {engine.last.stale}")
    return "\n".join(lines) or "nothing"


def replay(text: str) -> str:
    """The transcript as it should be."""
    head, _, rest = text.partition("\n====\n")
    engine = Engine(head.partition("flow\n")[2])
    written = [f"{head}\n===="]
    for block in rest.strip().split("\n\n"):
        command = block.split("\n", 1)[0]
        written.append(f"{command}\n----\n{outcome(engine, command)}\n")
    return "\n".join(written).rstrip() + "\n"


@pytest.mark.parametrize("path", sorted(HERE.glob("*.txt")), ids=lambda path: path.stem)
def test_the_transcript_holds(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text()

    replayed = replay(text)

    if request.config.getoption("--rewrite"):
        path.write_text(replayed)
    assert path.read_text() == replayed
