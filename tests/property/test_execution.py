"""Random flows, random results, random trouble: the engine's invariants hold at every event."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine_harness import EXECUTION, Engine

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.apply import fold
from tiercel_engine.execution.index_set import has, size
from tiercel_engine.execution.index_set import members as indices
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.timers import (
    IterationDue,
    LeaseLost,
    PauseDue,
    RetryDue,
    SlaDue,
    StartOverdue,
)
from tiercel_schemas import events as e
from tiercel_schemas.commands import (
    ChildEnded,
    ChildPaused,
    EndAttempt,
    ResumeExecution,
    ResumeFromBreakpoint,
    StartAttempt,
)
from tiercel_schemas.common import Breakpoint, Payload
from tiercel_schemas.concurrency import AnswerSlot, ReleaseSlot
from tiercel_schemas.state import State, is_terminated

#: A run that takes more steps than this hangs.
STEPS_MAX = 1_500
TROUBLES_MAX = 100


FLOW = "io.kestra.plugin.core.flow."
BRANCHES = ("tasks", "then", "else", "errors", "finally", "afterExecution")

TROUBLES = (
    *("late", "lost", "overdue", "retry", "double", "pause", "due", "ghost"),
    *("sla", "no-sla", "granted", "queued"),
)
CHILD = """
---
id: child
namespace: tests
tasks: [{id: inner, type: test.Work}]
"""
KINDS = (
    *("Sequential", "AllowFailure", "Parallel", "If", "ForEach", "Pause", "LoopUntil"),
    "WorkingDirectory",
)
CORE = "io.kestra.plugin.core.execution."
#: Tasks that the executor runs itself, or (those that read) a worker.
ENGINE_TASKS: list[dict[str, Any]] = [
    {"type": CORE + "Assert", "conditions": ["true"]},
    {"type": CORE + "Assert", "conditions": ["true", ""]},
    {"type": CORE + "Fail", "condition": "{{ read('x') }}"},
]
UPDATES: list[dict[str, Any]] = [
    {"type": CORE + "Labels", "labels": {"a": "b"}},
    {"type": CORE + "SetVariables", "variables": {"a": {"b": 1}}, "overwrite": False},
    {"type": CORE + "UnsetVariables", "variables": ["a.b"]},
    *({"type": CORE + "Exit", "state": s} for s in ("SUCCESS", "WARNING", "FAILED", "KILLED")),
]
#: What a pause may end as; `delay` and `timeout` alike fall due when the test says so.
PAUSES: list[dict[str, Any]] = [
    {},
    {"timeout": "PT1S"},
    {"pauseDuration": "nonsense"},
    *({"pauseDuration": "PT1S", "behavior": b} for b in ("RESUME", "WARN", "FAIL", "CANCEL")),
]


@st.composite
def flowables(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    """A flowable with tasks inside."""
    kind = draw(st.sampled_from(KINDS))
    # Only what a worker can run goes into a folder.
    in_folder = kind == "WorkingDirectory"
    inside = draw(task_lists(depth + 1, in_folder))
    task: dict[str, Any] = {"type": FLOW + kind}
    if kind == "If":
        task |= {"condition": draw(st.sampled_from(["true", "", "{{ nowhere }}"])), "then": inside}
        if draw(st.booleans()):
            task["else"] = draw(task_lists(depth + 1))
    else:
        task["tasks"] = inside
    if kind == "Pause":
        task |= draw(st.sampled_from(PAUSES))
    if kind == "LoopUntil":
        task["condition"] = draw(st.sampled_from(["true", "", "{{ nowhere }}"]))
        task["checkFrequency"] = {"maxIterations": draw(st.integers(1, 3)), "interval": "PT1S"}
        task["failOnMaxReached"] = draw(st.booleans())
    if kind == "Parallel":
        task["concurrent"] = draw(st.integers(0, 2))
        if draw(st.booleans()):
            task["onChildFailure"] = draw(st.sampled_from(["CONTINUE", "CANCEL", "FAIL"]))
    if kind == "ForEach":
        task["values"] = draw(st.lists(st.sampled_from("xyz"), max_size=3))
        task["concurrencyLimit"] = draw(st.integers(0, 2))
    if draw(st.booleans()):
        task["errors"] = draw(task_lists(depth + 1))
    return task


@st.composite
def loops(draw: st.DrawFn) -> dict[str, Any]:
    """A Loop over a few values; the test says how each of them ends."""
    return {
        "type": FLOW + "Loop",
        "values": draw(st.lists(st.sampled_from("xyz"), max_size=4)),
        "concurrencyLimit": draw(st.integers(0, 2)),
        "transmitFailed": draw(st.booleans()),
        "fetchType": draw(st.sampled_from(["FETCH", "STORE"])),
        "outputs": [{"id": "v", "type": "STRING", "value": "{{ item.value }}"}],
        "tasks": [{"id": draw(st.uuids()).hex, "type": "test.Work"}],
    }


@st.composite
def task_lists(draw: st.DrawFn, depth: int = 0, in_folder: bool = False) -> list[dict[str, Any]]:
    """One to three tasks; flowables down to depth 2. Ids are numbered afterwards."""
    tasks = []
    for _ in range(draw(st.integers(1, 3 if depth == 0 else 2))):
        if not in_folder and depth < 2 and draw(st.booleans()):
            task = draw(flowables(depth))
        elif draw(st.integers(0, 5)) == 0:
            task = dict(draw(st.sampled_from(ENGINE_TASKS + UPDATES * (not in_folder))))
            if draw(st.booleans()):
                task["retry"] = {"type": "constant", "interval": "PT1S", "maxAttempts": 2}
        elif not in_folder and draw(st.integers(0, 3)) == 0:
            task = {"type": FLOW + "Subflow", "namespace": "tests", "flowId": "child"}
            task["wait"] = draw(st.sampled_from([True, True, False]))
        elif not in_folder and draw(st.integers(0, 3)) == 0:
            task = draw(loops())
        else:
            task = {"type": "test.Work"}
            if draw(st.booleans()):
                task["retry"] = {
                    "type": "constant",
                    "interval": "PT1S",
                    "maxAttempts": draw(st.integers(1, 3)),
                }
        task["allowFailure"] = draw(st.booleans())
        task["disabled"] = draw(st.sampled_from([False, False, False, True]))
        tasks.append(task)
    return tasks


@st.composite
def slas(draw: st.DrawFn) -> dict[str, Any]:
    """A promise, kept or not."""
    kind = draw(st.sampled_from(["MAX_DURATION", "EXECUTION_ASSERTION"]))
    sla = {"id": kind, "type": kind, "behavior": draw(st.sampled_from(["FAIL", "CANCEL", "NONE"]))}
    if kind == "MAX_DURATION":
        return {**sla, "duration": "PT10S", "labels": {"late": "true"}}
    return {**sla, "assert": draw(st.sampled_from(["true", "{{ outputs.t1.value != 7 }}", ""]))}


@st.composite
def flows(draw: st.DrawFn) -> str:
    flow: dict[str, Any] = {"id": "random", "namespace": "tests", "tasks": draw(task_lists())}
    if draw(st.booleans()):
        flow["errors"] = draw(task_lists(1))
    if draw(st.booleans()):
        flow["finally"] = draw(task_lists(1))
    if draw(st.booleans()):
        flow["afterExecution"] = draw(task_lists(1))
    if draw(st.booleans()):
        flow["sla"] = draw(st.lists(slas(), max_size=2, unique_by=lambda sla: str(sla["id"])))
    if draw(st.booleans()):
        flow["concurrency"] = {"limit": 1}
    number(flow)
    return msgspec.json.encode(flow).decode() + CHILD


def number(value: Any, counter: Counter[str] | None = None) -> None:
    """Give every task its own id."""
    counter = Counter() if counter is None else counter
    for branch in BRANCHES:
        for task in value.get(branch, []):
            counter["n"] += 1
            task["id"] = f"t{counter['n']}"
            number(task, counter)


def check(engine: Engine) -> None:
    """What holds after every step."""
    x = engine.execution
    batch = e.EventBatch(
        execution_id=EXECUTION, first_seq=1, at_us=0, cause="", events=tuple(engine.events)
    )
    refolded = fold(Execution(EXECUTION), batch)
    assert {r.id: r.state for r in refolded.task_runs.values()} == {
        r.id: r.state for r in x.task_runs.values()
    }
    assert refolded.blocks == x.blocks
    for (parent, branch), block in x.blocks.items():
        runs = [r for r in x.task_runs.values() if (parent, branch) in r.block_keys()]
        assert block.created == len(runs)
        assert block.live == sum(not is_terminated(r.state) for r in runs)
        assert block.failed == sum(r.state == State.FAILED for r in runs)
    check_jobs(engine)
    if x.is_over:
        assert not x.leased
        assert all(is_terminated(r.state) for r in x.task_runs.values())
    waits = {State.RUNNING, State.KILLING} if x.state == State.KILLING else {State.RUNNING}
    assert all(x.task_runs[run_id].state in waits for run_id in x.waiting)
    for fan in x.fan_outs.values():
        assert size(fan.open) == fan.running
        assert fan.running + sum(fan.ended.values()) == fan.next
        assert all(fan.ended[state] == size(words) for state, words in fan.bad.items())
    for loop_id, members in x.members.items():
        assert set(members) == {r.id for r in x.task_runs.values() if r.loop_id == loop_id}
    assert set(x.paused) == {r.id for r in x.task_runs.values() if r.state == State.PAUSED}
    at_breakpoints = {r.id for r in x.task_runs.values() if r.state == State.BREAKPOINT}
    assert len(at_breakpoints) <= (x.state == State.BREAKPOINT)
    if x.state == State.PAUSED and not x.is_held:
        assert x.paused
        assert x.is_idle
    for run_id in x.leased:
        assert not is_terminated(x.task_runs[run_id].state)


def check_jobs(engine: Engine) -> None:
    """The last step sent jobs only for task runs that wait for a worker or run on one."""
    for job in engine.last.jobs if engine.last is not None else ():
        run = engine.execution.task_runs[job.task_run_id]
        assert not is_terminated(run.state), f"a job was sent for {run.task_id}, {run.state}"


def rule(engine: Engine) -> str:
    """The final state by the rule: what an Exit says, else the worst of the flow's own tasks."""
    exits, is_closing = "", False
    for event in engine.events:
        match event:
            case e.ExecutionRestarted():
                exits, is_closing = "", False
            case e.AfterExecutionPlanned():
                is_closing = True
            case e.ExitRequested(state=state) if not is_closing:
                exits = state
            case e.ExecutionStateChanged(state=State.KILLING):
                exits = State.KILLED
    runs = engine.execution.task_runs.values()
    states = {r.state for r in runs if (r.parent_id, r.branch) == ("", "tasks")}
    for state in (State.KILLED, State.CANCELLED, State.FAILED, State.WARNING):
        if state in states and not exits:
            return state
    return exits or State.SUCCESS


def trouble(engine: Engine, draw: Any) -> None:
    """Something that should change nothing, or be survived."""
    x = engine.execution
    run_id = draw(st.sampled_from(sorted(x.task_runs)))
    run = x.task_runs[run_id]
    kind = draw(st.sampled_from(TROUBLES))
    if kind == "lost" and run.worker_id:
        engine.do(LeaseLost(EXECUTION, run.id, run.attempt, run.epoch, run.worker_id))
    elif kind in ("sla", "no-sla"):
        if kind == "sla" and x.deadlines and draw(st.integers(0, 3)) == 0:
            engine.do(SlaDue(EXECUTION, x.deadlines[0][0]))
            return
        before = engine.execution
        engine.do(SlaDue(EXECUTION, "another"))
        assert engine.execution == before
    elif kind in ("granted", "queued"):
        before = engine.execution
        engine.do(AnswerSlot(EXECUTION, "tests", "random", kind.upper()))
        assert engine.execution == before
    elif kind == "overdue":
        engine.do(StartOverdue(EXECUTION, run.id, run.attempt, run.epoch))
    elif kind == "pause" and x.state in (State.RUNNING, State.RETRYING):
        engine.pause()
    elif kind == "ghost":
        before = engine.execution
        engine.do(ChildEnded(EXECUTION, run.id, "another", "SUCCESS"))
        assert engine.execution == before
    elif kind == "due":
        before = engine.execution
        engine.do(PauseDue(EXECUTION, run.id, (run.due_us or 0) + 1))
        assert engine.execution == before
    elif kind == "retry":
        engine.do(RetryDue(EXECUTION, run.id, run.attempt - 1))
    else:
        before = engine.execution
        engine.do(
            msgspec.structs.replace(
                _end(run, "SUCCESS"), epoch=run.epoch + (1 if kind == "late" else 0), worker_id="?"
            )
        )
        if run.worker_id is not None or kind == "late":
            assert engine.execution == before


def _end(run: Any, state: str) -> Any:
    return EndAttempt(
        execution_id=EXECUTION,
        task_run_id=run.id,
        attempt=run.attempt,
        epoch=run.epoch,
        worker_id=run.worker_id or "w1",
        state=state,
        started_us=1,
        ended_us=2,
    )


def work(engine: Engine, draw: Any) -> None:
    """Let something that is due happen."""
    x = engine.execution
    if engine.follow_ups:
        engine.do(engine.follow_ups.pop(0))
        return
    idle = {run_id for run_id, fan in x.fan_outs.items() if not (fan.open or fan.sending)}
    waiting = sorted(set(x.waiting) - idle)
    children = [run_id for run_id in waiting if x.task_runs[run_id].due_us is None]
    due = sorted([*x.leased, *children])
    if not x.is_held:
        due = sorted([*x.leased, *waiting, *x.retrying, *x.paused])
    if x.is_held and (not due or draw(st.booleans())):
        if x.state == State.BREAKPOINT:
            engine.do(ResumeFromBreakpoint("go-on", EXECUTION))
        else:
            engine.resume()
        return
    assert due, f"Expected an execution that is {x.state} to have work, but nothing is out."
    run = x.task_runs[draw(st.sampled_from(due))]
    if run.state == State.PAUSED and run.due_us is not None and draw(st.booleans()):
        engine.do(PauseDue(EXECUTION, run.id, run.due_us))
    elif run.id in x.waiting and run.due_us is not None:
        engine.do(IterationDue(EXECUTION, run.id, run.due_us))
    elif run.id in x.fan_outs and run.id in x.waiting:
        end_item(engine, draw, run)
    elif run.id in x.waiting:
        state = draw(st.sampled_from(["SUCCESS", "WARNING", "FAILED", "KILLED"]))
        engine.do(ChildEnded(EXECUTION, run.id, run.child_id or "", state))
    elif run.id in x.fan_outs and run.state == State.PAUSED and draw(st.booleans()):
        end_item(engine, draw, run)
    elif run.state == State.PAUSED:
        engine.do(ResumeExecution("resume", EXECUTION, Payload(), run.id))
    elif run.state == State.RETRYING:
        engine.do(RetryDue(EXECUTION, run.id, run.attempt))
    elif run.worker_id is None and draw(st.booleans()):
        engine.do(StartAttempt(EXECUTION, run.id, run.attempt, run.epoch, "w1", 1))
    else:
        states = ["KILLED"] if x.state == State.KILLING else ["SUCCESS", "SUCCESS", "FAILED"]
        engine.do(_end(run, draw(st.sampled_from(states))))


def end_item(engine: Engine, draw: Any, run: Any) -> None:
    """One of many executions ends, or a worker has stored outputs."""
    fan = engine.execution.fan_outs[run.id]
    if fan.sending and (not fan.open or draw(st.booleans())):
        stored = msgspec.structs.replace(_end(run, "SUCCESS"), attempt=-min(fan.sending) - 1)
        engine.do(stored)
        return
    index = draw(st.sampled_from(sorted(indices(fan.open))))
    if draw(st.integers(0, 2)) == 0:
        engine.do(ChildPaused(EXECUTION, run.id, index, fan.attempt, not has(fan.paused, index)))
        return
    state = draw(st.sampled_from(["SUCCESS", "SUCCESS", "WARNING", "FAILED", "KILLED"]))
    attempt = fan.attempt - draw(st.sampled_from([0, 0, 0, 1]))
    ended = ChildEnded(
        EXECUTION, run.id, "item", state, Payload(json="{}"), index=index, attempt=attempt
    )
    engine.do(ended)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=flows(), data=st.data())
def test_whatever_happens_the_execution_ends_and_its_fold_is_its_state(
    source: str, data: st.DataObject
) -> None:
    engine = Engine(source)
    broken = data.draw(st.sets(st.integers(1, 8), max_size=3))
    engine.create(breakpoints=tuple(Breakpoint(f"t{n}") for n in sorted(broken)))
    if engine.execution.slot:
        start_in_turn(engine, data.draw)
    for _ in range(data.draw(st.integers(1, 3))):
        live(engine, data.draw, data.draw(st.integers(0, 60)))
        try:
            engine.restart()
        except Rejected:
            break
    else:
        live(engine, data.draw, None)
    try:
        engine.kill()
    except Rejected:
        pass
    else:
        raise AssertionError("Expected an ended execution to refuse a kill.")


def start_in_turn(engine: Engine, draw: Any) -> None:
    """The flow lets it run, at once or after it has waited; answers may come twice."""
    for outcome in ("QUEUED", "GRANTED"):
        for _ in range(draw(st.integers(outcome == "GRANTED", 2))):
            engine.do(AnswerSlot(EXECUTION, "tests", "random", outcome))


def slots_taken(engine: Engine) -> int:
    """How often it asked its flow for a slot, or took one; a restart asks anew."""
    taken, has_asked = 0, False
    for event in engine.events:
        if isinstance(event, e.ExecutionRestarted):
            has_asked = False
        elif isinstance(event, e.SlotChanged):
            taken += not has_asked
            has_asked = True
    return taken


def live(engine: Engine, draw: Any, killed_after: int | None) -> None:
    """Let an execution run to its end, in trouble, and perhaps killed after some steps."""
    jobs_when_killed, troubles = None, 0
    for step in range(STEPS_MAX):
        check(engine)
        if engine.execution.is_over:
            break
        if step == killed_after:
            was_open = not engine.execution.is_ended
            engine.kill()
            jobs_when_killed = len(engine.jobs) if was_open else None
        elif (
            troubles < TROUBLES_MAX and draw(st.integers(0, 9)) == 0 and engine.execution.task_runs
        ):
            trouble(engine, draw)
            troubles += 1
        else:
            work(engine, draw)
    assert engine.execution.is_over, "Expected the execution to end, but it hangs."
    if jobs_when_killed is None and not engine.execution.violated:
        assert engine.execution.state == rule(engine)
    given_back = [command for command in engine.commands if isinstance(command, ReleaseSlot)]
    # An answer that comes after the end is answered by one more.
    assert len(given_back) >= slots_taken(engine)
    if jobs_when_killed is not None:
        assert len(engine.jobs) == jobs_when_killed
        assert engine.execution.state == State.KILLED
