"""Random commands at random times: what they may do is legal, and every execution still ends."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine_harness import EXECUTION, Engine
from tests.property.test_execution import STEPS_MAX, check, flows, start_in_turn, work

from tiercel_engine.errors import Rejected
from tiercel_schemas import commands as c
from tiercel_schemas.common import Label
from tiercel_schemas.state import State, is_terminated

FINAL = [State.SUCCESS, State.WARNING, State.FAILED, State.KILLED, State.CANCELLED]
COMMANDS = ("state", "status", "labels", "force", "unqueue", "restart", "pause", "delete")
COMMANDS_MAX = 12


def command(engine: Engine, draw: Any) -> None:
    """One command of a user; what does not fit is refused and changes nothing."""
    x = engine.execution
    kind = draw(st.sampled_from(COMMANDS))
    state = draw(st.sampled_from(FINAL))
    before = engine.execution
    try:
        match kind:
            case "state" if x.task_runs:
                run_id = draw(st.sampled_from(sorted(x.task_runs)))
                engine.do(c.ChangeTaskRunState("c", EXECUTION, run_id, state))
            case "status":
                engine.do(c.ChangeExecutionState("c", EXECUTION, state))
                assert engine.execution.state == state
            case "labels":
                engine.do(c.SetLabels("c", EXECUTION, (Label("a", "b"),)))
                assert before.is_ended
            case "force":
                engine.do(c.ForceRunExecution("c", EXECUTION))
                assert not before.is_ended
            case "unqueue":
                engine.do(c.UnqueueExecution("c", EXECUTION))
            case "restart":
                engine.restart()
            case "pause":
                engine.pause()
            case "delete":
                # What has ended is deleted at the very end.
                if not before.is_ended:
                    engine.do(c.DeleteExecution("c", EXECUTION))
                    raise AssertionError("Expected a running execution not to be deleted.")
    except Rejected:
        assert engine.execution == before


def live(engine: Engine, draw: Any) -> None:
    """Let it run to its end, with commands in between; then no job is out."""
    commands = 0
    for _ in range(STEPS_MAX):
        check(engine)
        if commands < COMMANDS_MAX and draw(st.integers(0, 5)) == 0:
            command(engine, draw)
            commands += 1
        elif engine.execution.is_over:
            break
        elif engine.execution.state in (State.CREATED, State.QUEUED):
            start_in_turn(engine, draw)
        else:
            work(engine, draw)
    assert engine.execution.is_over, "Expected the execution to end, but it hangs."


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=flows(), data=st.data())
def test_an_execution_ends_whatever_it_is_told_and_so_does_its_copy(
    source: str, data: st.DataObject
) -> None:
    engine = Engine(source)
    engine.create()
    live(engine, data.draw)
    runs = sorted(engine.execution.task_runs)
    run_id = data.draw(st.sampled_from([None, *runs]))
    changes: dict[str, Any] = {"task_run_id": run_id}
    if data.draw(st.booleans()):
        changes = {"from_failed": True, "flow_revision": engine.execution.flow_revision}
    try:
        step = engine.do(c.CopyExecution("copy", EXECUTION, EXECUTION, 1, **changes))
    except Rejected:
        return
    engine.copies = [command for _, command in step.commands]

    engine.events, engine.jobs, engine.follow_ups = [], [], []
    for one in engine.become_copy():
        assert one.stale is None or engine.execution.is_ended, one.stale

    live(engine, data.draw)
    for run in engine.execution.task_runs.values():
        assert is_terminated(run.state)
    engine.do(c.DeleteExecution("delete", EXECUTION))
    assert engine.execution.is_deleted
