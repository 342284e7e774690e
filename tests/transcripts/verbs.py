"""The commands that a transcript may hold: one function each, named like it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.engine_harness import EXECUTION, Engine

from tiercel_engine.execution.fan_out_state import derived_id
from tiercel_engine.execution.timers import (
    Continue,
    IterationDue,
    LeaseLost,
    OutputsOverdue,
    PauseDue,
    RetryDue,
    SlaDue,
    StartOverdue,
)
from tiercel_schemas import commands as c
from tiercel_schemas.common import Breakpoint, Label
from tiercel_schemas.concurrency import AnswerSlot

Verb = Callable[..., None]
_VERBS: dict[str, Verb] = {}


def act(engine: Engine, line: str) -> None:
    """Run one command line: a verb, then its words."""
    name, *words = line.split()
    assert name in _VERBS, f"unknown command: {line}"
    _VERBS[name](engine, *words)


def verb(function: Verb) -> Verb:
    """Make a function the verb of its name, `-` for `_`; one at its end keeps it off keywords."""
    _VERBS[function.__name__.rstrip("_").replace("_", "-")] = function
    return function


def leased(engine: Engine, task: str) -> Any:
    """What the job is for that is out for a task."""
    return engine.execution.lease(engine.run_of(task).id)


def breakpoints(texts: Sequence[str]) -> tuple[Breakpoint, ...]:
    """`task` or `task.value` of each; `none` for no breakpoint at all."""
    parts = [text.partition(".") for text in texts if text != "none"]
    return tuple(Breakpoint(task, value if dot else None) for task, dot, value in parts)


@verb
def create(engine: Engine) -> None:
    engine.create()


@verb
def start(engine: Engine, task: str, worker: str = "w1") -> None:
    engine.start(task, worker)


@verb
def end(engine: Engine, task: str, state: str, worker: str = "w1") -> None:
    engine.end(task, state, worker)


@verb
def answer(engine: Engine, task: str, value: str) -> None:
    engine.answer(None if task == "flow" else task, value)


@verb
def no_answer(engine: Engine, task: str, *words: str) -> None:
    engine.answer(None if task == "flow" else task, " ".join(words), "FAILED")


@verb
def run(engine: Engine, task: str, state: str, worker: str = "w1") -> None:
    engine.run(task, state, worker)


@verb
def run_with(engine: Engine, task: str, outputs: str) -> None:
    engine.run(task, outputs=outputs)


@verb
def effects(engine: Engine, task: str, effects: str) -> None:
    engine.run(task, effects_json=effects)


@verb
def kill(engine: Engine) -> None:
    engine.kill()


@verb
def kill_alone(engine: Engine) -> None:
    engine.do(c.KillExecution("kill", EXECUTION, cascade=False))


@verb
def restart(engine: Engine) -> None:
    engine.restart()


@verb
def restart_with(engine: Engine, task: str, *indices: str) -> None:
    run = engine.run_of(task)
    many = [derived_id(EXECUTION, run.id, int(index), run.attempt) for index in indices]
    engine.restart(tuple(many or [run.child_id]))


@verb
def restart_revision(engine: Engine) -> None:
    engine.copy(from_failed=True, flow_revision=1)


@verb
def replay(engine: Engine, *task: str) -> None:
    engine.copy(*task)


@verb
def become_copy(engine: Engine) -> None:
    engine.become_copy()


@verb
def child_replaced(engine: Engine, task: str) -> None:
    run = engine.run_of(task)
    retried = c.ChildEnded(EXECUTION, run.id, run.child_id, "RETRIED", successor_id="next")
    engine.do(retried)


@verb
def status(engine: Engine, state: str) -> None:
    engine.do(c.ChangeExecutionState("status", EXECUTION, state))


@verb
def state(engine: Engine, task: str, state: str) -> None:
    engine.do(c.ChangeTaskRunState("state", EXECUTION, engine.run_of(task).id, state))


@verb
def label(engine: Engine, key: str, value: str) -> None:
    engine.do(c.SetLabels("label", EXECUTION, (Label(key, value),)))


@verb
def create_later(engine: Engine) -> None:
    engine.create(scheduled_us=engine.clock.now_us() + 60_000_000)


@verb
def create_second(engine: Engine) -> None:
    engine.create(attempt_number=2, copied="INPUTS")


@verb
def force_run(engine: Engine) -> None:
    engine.do(c.ForceRunExecution("force", EXECUTION))


@verb
def unqueue(engine: Engine, *state: str) -> None:
    engine.do(c.UnqueueExecution("unqueue", EXECUTION, *state))


@verb
def delete(engine: Engine) -> None:
    engine.do(c.DeleteExecution("delete", EXECUTION))


@verb
def delete_running(engine: Engine) -> None:
    engine.do(c.DeleteExecution("delete", EXECUTION, include_running=True))


@verb
def child(engine: Engine, task: str, state: str, *outputs: str) -> None:
    engine.child(task, state, *outputs)


@verb
def item(engine: Engine, task: str, index: str, state: str, outputs: str | None = None) -> None:
    engine.item(task, int(index), state, outputs)


@verb
def item_paused(engine: Engine, task: str, index: str) -> None:
    run = engine.run_of(task)
    engine.do(c.ChildPaused(EXECUTION, run.id, int(index), run.attempt, True))


@verb
def item_resumed(engine: Engine, task: str, index: str) -> None:
    run = engine.run_of(task)
    engine.do(c.ChildPaused(EXECUTION, run.id, int(index), run.attempt, False))


@verb
def item_of_attempt(engine: Engine, task: str, attempt: str, index: str, state: str) -> None:
    engine.item(task, int(index), state, attempt=int(attempt))


@verb
def stored(engine: Engine, task: str, chunk: str, *state: str) -> None:
    engine.stored(task, int(chunk), *state)


@verb
def outputs_overdue(engine: Engine, task: str, chunk: str) -> None:
    run = engine.run_of(task)
    epoch = engine.execution.fan_outs[run.id].sending[int(chunk)].epoch
    engine.do(OutputsOverdue(EXECUTION, run.id, int(chunk), epoch))


@verb
def ghost(engine: Engine, task: str) -> None:
    engine.child(task, child_id="another")


@verb
def sla(engine: Engine, sla_id: str) -> None:
    engine.do(SlaDue(EXECUTION, sla_id))


@verb
def slot(engine: Engine, outcome: str) -> None:
    engine.do(AnswerSlot(EXECUTION, engine.flow.namespace, engine.flow.id, outcome))


@verb
def create_breaking(engine: Engine, *texts: str) -> None:
    engine.create(breakpoints=breakpoints(texts))


@verb
def resume_from_breakpoint(engine: Engine, *texts: str) -> None:
    given = breakpoints(texts) if texts else None
    engine.do(c.ResumeFromBreakpoint("go-on", EXECUTION, given))


@verb
def pause(engine: Engine) -> None:
    engine.pause()


@verb
def resume(engine: Engine, *task: str) -> None:
    engine.resume(*task)


@verb
def due(engine: Engine, task: str) -> None:
    run = engine.run_of(task)
    timer = IterationDue if run.id in engine.execution.waiting else PauseDue
    engine.do(timer(EXECUTION, run.id, run.due_us or 0))


@verb
def continue_(engine: Engine, *task: str) -> None:
    engine.do(Continue(EXECUTION, engine.run_of(task[0]).id if task else ""))


@verb
def wait(engine: Engine, seconds: str) -> None:
    engine.clock.advance(float(seconds))


@verb
def retry(engine: Engine, task: str) -> None:
    run = engine.run_of(task)
    engine.do(RetryDue(EXECUTION, run.id, run.attempt))


@verb
def lose(engine: Engine, task: str) -> None:
    run = leased(engine, task)
    lost = LeaseLost(EXECUTION, run.id, run.attempt, run.epoch, run.worker_id)
    engine.do(lost)


@verb
def overdue(engine: Engine, task: str) -> None:
    run = leased(engine, task)
    engine.do(StartOverdue(EXECUTION, run.id, run.attempt, run.epoch))


@verb
def return_(engine: Engine, task: str, worker: str) -> None:
    run = leased(engine, task)
    engine.do(c.ReturnJob(EXECUTION, run.id, run.attempt, run.epoch, worker, "it drains"))
