"""How an execution is shown."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tiercel_cli.output import ExitCode, exit_code_of
from tiercel_cli.view import ExecutionLines, ExecutionTree, counters_of, duration_text, log_line
from tiercel_engine.clock import FakeClock, iso

START_US = 1_700_000_000_000_000


def state(current: str, end_s: float | None = None) -> dict[str, Any]:
    histories = [{"state": "CREATED", "date": iso(START_US)}]
    if end_s is not None:
        histories.append({"state": current, "date": iso(START_US + round(end_s * 1e6))})
    return {"current": current, "histories": histories}


def task_run(task_id: str, current: str, **more: Any) -> dict[str, Any]:
    return {"id": f"run-{task_id}", "taskId": task_id, "state": state(current, 1.5), **more}


def execution(*runs: dict[str, Any], current: str = "RUNNING") -> dict[str, Any]:
    return {
        "id": "e1",
        "namespace": "bakery",
        "flowId": "oven",
        "state": state(current, None if current == "RUNNING" else 2.0),
        "taskRunList": list(runs),
    }


def drawn(tree: ExecutionTree) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(tree)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_tree_nests_task_runs_and_shows_attempts_values_and_logs() -> None:
    clock = FakeClock(START_US)
    clock.advance(3)
    tree = ExecutionTree(clock)
    parent = task_run("block", "RUNNING")
    child = task_run(
        "light", "SUCCESS", parentTaskRunId="run-block", value="a", attempts=[{}, {}, {}]
    )

    tree.update(execution(parent, child))
    tree.add_log({"taskRunId": "run-light", "level": "INFO", "message": "try [bold]3"})
    text = drawn(tree)

    assert "bakery.oven e1 RUNNING  3.0 s  1 of 2 task runs ended" in text
    assert "SUCCESS  light [a]  1.5 s  attempt 3" in text
    assert "try [bold]3" in text
    assert text.index("block") < text.index("light")


def test_a_large_execution_shows_its_newest_task_runs() -> None:
    tree = ExecutionTree(FakeClock(START_US))

    tree.update(execution(*(task_run(f"t{n:03}", "SUCCESS") for n in range(100))))
    text = drawn(tree)

    assert "… 60 earlier task runs" in text
    assert "t099" in text
    assert "t059" not in text


def test_lines_report_each_change_once() -> None:
    output = io.StringIO()
    lines = ExecutionLines(FakeClock(START_US), Console(file=output, width=120))

    lines.update(execution(task_run("say", "RUNNING")))
    lines.update(execution(task_run("say", "RUNNING")))
    lines.add_log({"taskId": "say", "level": "WARN", "message": "hello"})
    lines.update(execution(task_run("say", "SUCCESS"), current="SUCCESS"))

    assert [line.rstrip() for line in output.getvalue().splitlines()] == [
        "RUNNING   say",
        "RUNNING   bakery.oven e1",
        "  WARN  say  hello",
        "SUCCESS   say  1.5 s",
        "SUCCESS   bakery.oven e1  2.0 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12 ms"), (1.24, "1.2 s"), (125, "2 min 05 s"), (7_500, "2 h 05 min")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_log_line_has_level_task_and_message() -> None:
    entry = {"level": "ERROR", "taskId": "say", "message": "no [such] thing"}

    assert log_line(entry).plain == "ERROR say  no [such] thing"


@pytest.mark.parametrize(
    ("final", "code"),
    [
        ("SUCCESS", ExitCode.OK),
        ("WARNING", ExitCode.OK),
        ("FAILED", ExitCode.FAILED),
        ("KILLED", ExitCode.KILLED),
        ("CANCELLED", ExitCode.KILLED),
    ],
)
def test_the_exit_code_follows_the_final_state(final: str, code: ExitCode) -> None:
    assert exit_code_of(final) == code


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        (None, ""),
        ({"value": "x"}, ""),
        ({"iterations": {"CREATED": 0, "RUNNING": 1200, "FAILED": 1}}, "1,200 RUNNING  1 FAILED"),
        (
            {"runningIterations": 2, "terminatedIterations": {"SUCCESS": 3}},
            "3 SUCCESS  2 RUNNING",
        ),
    ],
)
def test_many_executions_are_shown_as_counters(outputs: Any, text: str) -> None:
    assert counters_of({"outputs": outputs}) == text
