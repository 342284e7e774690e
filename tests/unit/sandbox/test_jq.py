"""The sandbox of jq programs, with real child processes."""

from __future__ import annotations

import time

import pytest

from tiercel_engine.errors import UserError
from tiercel_engine.sandbox import jq
from tiercel_engine.sandbox.jq import JqSandbox


def test_a_program_gives_its_results() -> None:
    assert JqSandbox()("range(3), .a", '{"a": 1.5}') == [0, 1, 2, 1.5]


@pytest.mark.parametrize("program", ["last(range(1000000000))", "def f: f; f"])
def test_a_program_that_runs_long_is_killed(program: str) -> None:
    started_s = time.monotonic()

    with pytest.raises(UserError, match=r"end within 0\.3 s"):
        JqSandbox(deadline_s=0.3)(program, "1")

    assert time.monotonic() - started_s < 5


def test_a_program_is_killed_once_nobody_waits_for_it() -> None:
    with pytest.raises(UserError, match="time to render"):
        JqSandbox(lambda: True)("last(range(1000000000))", "1")


def test_a_program_that_takes_much_memory_dies_alone() -> None:
    with pytest.raises(UserError, match="too much memory"):
        JqSandbox(memory_bytes=200 << 20)(".[50000000] = 1 | length", "[]")


@pytest.mark.parametrize("program", ["range(100001)", '("x" * 6000000), ("y" * 6000000)'])
def test_a_program_that_gives_too_much_is_refused(program: str) -> None:
    with pytest.raises(UserError, match="Expected at most"):
        JqSandbox()(program, "1")


def test_what_jq_refuses_is_told() -> None:
    with pytest.raises(UserError, match="Cannot index number"):
        JqSandbox()(".a", "1")
    with pytest.raises(UserError, match="nowhere/0 is not defined"):
        JqSandbox()("nowhere", "1")


def test_a_child_sees_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hidden")

    (seen,) = JqSandbox()("env", "null")

    assert "DATABASE_PASSWORD" not in seen


def test_a_large_input_reaches_a_slow_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jq, "CHECK_S", 0.01)
    text = "[" + ",".join(["1"] * 500_000) + "]"

    assert JqSandbox()("[limit(3; .[])] | length", text) == [3]
