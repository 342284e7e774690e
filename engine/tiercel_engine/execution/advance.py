"""What becomes runnable next, until nothing changes any more.

Theory of operation. A list of tasks belongs to a parent: a flowable's task run, or the flow
itself (""). When a task run ends, its parent is asked again: it starts children, waits, or ends,
and then its own parent is asked. Every question is answered from counters, so a transition costs
the same in an execution with ten task runs and in one with a hundred thousand.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tiercel_engine.errors import InvalidExpression, TaskError
from tiercel_engine.execution.ending import decide_after
from tiercel_engine.execution.evaluations import evaluate
from tiercel_engine.execution.exit import settle_exit
from tiercel_engine.execution.finish import finish
from tiercel_engine.execution.flowable import RESOLVERS
from tiercel_engine.execution.flowable.base import (
    Child,
    Close,
    End,
    Interrupt,
    Open,
    Rendering,
    Repeat,
    Resolver,
    Scope,
    Start,
    Suspend,
)
from tiercel_engine.execution.flowable.parallel import stops_as
from tiercel_engine.execution.flowable.sequential import Sequential
from tiercel_engine.execution.interruption import end_state, has_live, interrupt
from tiercel_engine.execution.model import BEGIN, NO_PAYLOAD, START, Execution, TaskRun
from tiercel_engine.execution.outcome import allowed
from tiercel_engine.execution.plan import ROOT, Plan
from tiercel_engine.execution.rendering import (
    NeedsWorker,
    TemplateRendering,
)
from tiercel_engine.execution.session import close_session
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.submit import has_attempts, submit
from tiercel_engine.execution.timers import Continue
from tiercel_engine.execution.world import World
from tiercel_engine.flow.task import Task
from tiercel_schemas import events as e
from tiercel_schemas.common import Payload
from tiercel_schemas.state import State, is_terminated

#: Values in one event, so that a long list spreads over several records.
VALUES_PER_EVENT = 2_000

#: A command that has made so many events leaves what is to be decided to the next one.
EVENTS_PER_COMMAND = 2_000

_ROOT_RESOLVER: Resolver = Sequential()

US = 1_000_000

#: Whom to ask: (parent's task run id or `ROOT`, branch of the child that has ended or "").
Asked = tuple[str, str]


def begin(step: Step, plan: Plan, world: World) -> None:
    """Let a created or restarted execution run."""
    step.emit(e.ExecutionStateChanged(State.RUNNING))
    advance(step, plan, world, (ROOT, ""))


def advance(step: Step, plan: Plan, world: World, *asked: Asked) -> None:
    """Ask these parents, and whoever follows from their answers, how they go on.

    Args:
        asked: (parent's task run id or `ROOT`, branch of the child that has ended or "").
    """
    _resolve(step, plan, world, list(asked))
    if settle_exit(step, plan, world):
        _resolve(step, plan, world, [(ROOT, "")])
    x = step.execution
    if x.state == State.RETRYING and x.is_active:
        step.emit(e.ExecutionStateChanged(State.RUNNING))
    elif x.state == State.RUNNING and x.paused and x.is_idle and not step.follow_ups:
        step.emit(e.ExecutionStateChanged(State.PAUSED))


def _resolve(step: Step, plan: Plan, world: World, pending: list[Asked]) -> None:
    """Ask until nothing changes any more, or one command has done enough."""
    while pending and step.execution.goes_on:
        if len(step.events) >= EVENTS_PER_COMMAND:
            _postpone(step, pending)
            break
        parent_id, changed = pending.pop()
        if parent_id != ROOT and not _may_be_asked(step.execution, parent_id, changed):
            continue
        pending += _ask(step, plan, world, parent_id, changed)
    x = step.execution
    if x.state == State.BREAKPOINT and any(asked not in x.unasked for asked in pending):
        _keep(step, pending)


def _postpone(step: Step, pending: list[Asked]) -> None:
    """Let the next command ask these, in the same order."""
    _keep(step, pending)
    step.follow_ups.append(Continue(step.execution.id, ROOT))


def _keep(step: Step, pending: list[Asked]) -> None:
    """Note whom to ask once somebody may be asked again."""
    left = {**step.execution.unasked, **dict.fromkeys(pending)}
    step.emit(e.AsksPostponed(tuple(e.ListAsked(*asked) for asked in left)))


def _may_be_asked(x: Execution, run_id: str, changed: str) -> bool:
    """Whether a flowable decides now: it is there, runs, and waits for no time and no worker."""
    run = x.task_runs.get(run_id)
    if run is None:
        return False
    if run.state == State.KILLING:
        return changed not in (BEGIN, START)  # It is being stopped: has all inside?
    if changed in (BEGIN, START):
        return not is_terminated(run.state)
    if run.state != State.RUNNING or run_id in x.waiting:
        return False
    return run.is_session or not run.is_leased


def _ask(step: Step, plan: Plan, world: World, parent_id: str, changed: str) -> list[Asked]:
    """Do what one parent decides; returns whom to ask next."""
    if changed == BEGIN:
        return _begin_run(step, plan, world, parent_id, task_of(step.execution, plan, parent_id))
    if changed == START:
        return start_run(step, plan, world, parent_id, task_of(step.execution, plan, parent_id))
    if parent_id != ROOT and step.execution.task_runs[parent_id].state == State.KILLING:
        return _stopped(step, plan, parent_id)
    if parent_id == ROOT:
        scope = _scope(step.execution, step.at_us, plan, ROOT, None, changed)
        if step.execution.is_closing:
            decision = decide_after(scope, step.execution.after)
        else:
            decision = _ROOT_RESOLVER.decide(scope)
    else:
        task = task_of(step.execution, plan, parent_id)
        rendering = TemplateRendering(step, plan, world, parent_id, task)
        try:
            scope = _scope(step.execution, step.at_us, plan, parent_id, task, changed, rendering)
            decision = RESOLVERS[task.TYPE].decide(scope)
        except NeedsWorker as need:
            return _leave(step, plan, parent_id, changed, need)
        except (InvalidExpression, TaskError) as error:
            return _fail(step, parent_id, task, rendering.told(error))
    match decision:
        case Start(children, more):
            if more:
                step.follow_ups.append(Continue(step.execution.id, parent_id))
            return _start(step, plan, world, parent_id, children)
        case Suspend(after_s, state):
            due_us = None if after_s is None else step.at_us + round(after_s * US)
            step.emit(e.TaskRunPaused(parent_id, due_us, state))
        case Repeat(after_s, iteration):
            due_us = step.at_us + round(after_s * US)
            step.emit(e.IterationScheduled(parent_id, iteration, due_us))
        case Open():
            submit(step, plan, world, parent_id, task_of(step.execution, plan, parent_id), False)
        case Close():
            close_session(step, parent_id)
        case Interrupt(state):
            interrupt(step, plan, parent_id, state)
            return [(parent_id, changed)]
        case End(state):
            return _end(step, plan, world, parent_id, state)
    return []


def _stopped(step: Step, plan: Plan, run_id: str) -> list[Asked]:
    """End a flowable that is being stopped, once nothing inside it runs; returns whom to ask."""
    x = step.execution
    run = x.task_runs[run_id]
    if run.is_leased or has_live(x, plan, run):
        return []
    step.emit(e.TaskRunStateChanged(run_id, end_state(x, run)))
    return [(run.parent_id, run.branch)]


def task_of(execution: Execution, plan: Plan, run_id: str) -> Task:
    """The task of a run that runs."""
    task = plan.task(execution.task_runs[run_id].task_id)
    assert task is not None, f"Expected the task of run {run_id} in its flow's revision."
    return task


def _scope(
    execution: Execution,
    at_us: int,
    plan: Plan,
    parent_id: str,
    task: Task | None,
    changed: str,
    rendering: Rendering | None = None,
) -> Scope:
    run = execution.task_runs.get(parent_id)
    parent_task_id = ROOT if task is None else task.id
    outputs: dict[str, Any] = {}
    if run is not None and run.outputs is not None and run.outputs.json:
        outputs = msgspec.json.decode(run.outputs.json)

    def newest(task_id: str) -> TaskRun | None:
        runs = execution.valued_runs.get(task_id) if run is not None and run.path else None
        if run is None or runs is None:
            found = execution.runs_of_task.get(task_id)
        else:
            found = runs.get(run.path)
        child = execution.task_runs.get(found) if found is not None else None
        return child if child is not None and child.parent_id == parent_id else None

    def has_ended(task_id: str) -> bool:
        child = newest(task_id)
        return child is not None and is_terminated(child.state)

    return Scope(
        task=task,
        dialect=plan.dialect,
        tasks=lambda branch: plan.tasks(parent_task_id, branch),
        block=lambda branch: execution.block(parent_id, branch),
        has_started=lambda task_id: newest(task_id) is not None,
        has_ended=has_ended,
        outputs=outputs,
        values=execution.values.get(parent_id, ()),
        changed=changed,
        elapsed_s=0.0 if run is None else (at_us - run.started_us) / US,
        after_pause=None if run is None else run.after_pause,
        has_interrupted=run is not None and run.interrupts_as is not None,
        is_folder_open=run is not None and run.is_session and run.is_leased,
        folder_state=None if run is None else run.folder_state,
        rendering=rendering,
    )


def _start(
    step: Step, plan: Plan, world: World, parent_id: str, children: tuple[Child, ...]
) -> list[Asked]:
    """Create the children; returns whom to ask next."""
    ask: list[Asked] = []
    for child in children:
        if not step.execution.goes_on:
            break  # One of those before has ended the execution.
        run_id = world.new_id()
        step.emit(
            e.TaskRunCreated(
                task_run_id=run_id,
                task_id=child.task.id,
                parent_task_run_id=parent_id or None,
                branch=child.branch,
                value=child.value,
                iteration=child.iteration,
            )
        )
        if step.execution.breaks_before(child.task.id, child.value):
            step.emit(e.TaskRunStateChanged(run_id, State.BREAKPOINT))
            step.emit(e.ExecutionStateChanged(State.BREAKPOINT, by_request=True))
            # Once it goes on: this run, and the parent for those that are not made yet.
            return [*ask, (parent_id, ""), (run_id, BEGIN)]
        ask += _begin_run(step, plan, world, run_id, child.task)
    return ask


def _begin_run(step: Step, plan: Plan, world: World, run_id: str, task: Task) -> list[Asked]:
    """Start a new run, if it may run; returns whom to ask next."""
    try:
        may_run = _may_run(step, plan, world, run_id, task)
    except NeedsWorker as need:
        return _leave(step, plan, run_id, BEGIN, need)
    if may_run:
        return start_run(step, plan, world, run_id, task, BEGIN)
    run = step.execution.task_runs[run_id]
    return [(run.parent_id, run.branch)]


def start_run(
    step: Step, plan: Plan, world: World, run_id: str, task: Task, asked: str = START
) -> list[Asked]:
    """Begin its next attempt, or open the flowable; returns whom to ask next."""
    try:
        if not has_attempts(task):
            return [_open_flowable(step, plan, world, run_id, task)]
        submit(step, plan, world, run_id, task)
    except NeedsWorker as need:
        if is_terminated(step.execution.task_runs[run_id].state):
            # A failed flowable that is restarted: whoever is around it must see that it goes on.
            step.emit(e.TaskRunStateChanged(run_id, State.RUNNING))
        return _leave(step, plan, run_id, asked, need)
    run = step.execution.task_runs[run_id]
    return [(run.parent_id, run.branch)] if is_terminated(run.state) else []


def _leave(step: Step, plan: Plan, run_id: str, asked: str, need: NeedsWorker) -> list[Asked]:
    """Let a worker render it, and ask again then."""
    return [(run_id, asked)] if evaluate(step, plan, run_id, asked, need) else []


def _open_flowable(step: Step, plan: Plan, world: World, run_id: str, task: Task) -> Asked:
    """Start a flowable: it runs in the executor and is asked at once."""
    resolver = RESOLVERS.get(task.TYPE)
    rendering = TemplateRendering(step, plan, world, run_id, task)
    try:
        if resolver is None:
            raise TaskError(f"The flowable task {task.type} is not supported by this version.")
        opening = resolver.open(task, rendering)
    except (InvalidExpression, TaskError) as error:
        step.emit(e.TaskRunStateChanged(run_id, State.RUNNING))
        (ask,) = _fail(step, run_id, task, rendering.told(error))
        return ask
    outputs = None
    if opening.outputs is not None:
        outputs = Payload(json=msgspec.json.encode(opening.outputs).decode())
    step.emit(e.TaskRunStateChanged(run_id, State.RUNNING, outputs=outputs))
    if stops_as(task, plan.flow.dialect) is not None:
        step.emit(e.MembersKept(run_id))
    if opening.loops:
        step.emit(e.IterationStarted(run_id, 1, outputs or NO_PAYLOAD))
    known = len(step.execution.values.get(run_id, ()))
    for first in range(known, len(opening.values), VALUES_PER_EVENT):
        values = opening.values[first : first + VALUES_PER_EVENT]
        step.emit(e.ValuesResolved(run_id, values))
    return run_id, ""


def _fail(step: Step, run_id: str, task: Task, reason: str) -> list[Asked]:
    """End a flowable that cannot be resolved; returns whom to ask next."""
    step.log("ERROR", reason, run_id)
    run = step.execution.task_runs[run_id]
    state = allowed(task, State.FAILED)
    step.emit(e.TaskRunStateChanged(run_id, state, reason=reason))
    return [(run.parent_id, run.branch)]


def _may_run(step: Step, plan: Plan, world: World, run_id: str, task: Task) -> bool:
    """Evaluate `runIf`: falsy ends the run SKIPPED, an error FAILED."""
    if task.run_if is True or task.run_if == "true":
        return True
    rendering = TemplateRendering(step, plan, world, run_id, task)
    try:
        if rendering.truthy(task.run_if):
            return True
    except InvalidExpression as error:
        reason = rendering.told(error)
        step.log("ERROR", reason, run_id)
        step.emit(e.TaskRunStateChanged(run_id, State.FAILED, reason=reason))
        return False
    step.emit(e.TaskRunStateChanged(run_id, State.SKIPPED))
    return False


def _end(step: Step, plan: Plan, world: World, parent_id: str, state: str) -> list[Asked]:
    """End a flowable or the execution; returns whom to ask next."""
    if parent_id == ROOT:
        if step.execution.is_closing:
            step.emit(e.AfterExecutionEnded())
            return []
        try:
            finish(step, plan, world, state)
        except NeedsWorker as need:
            return _leave(step, plan, ROOT, "", need)
        return [(ROOT, "")]
    run = step.execution.task_runs[parent_id]
    task = task_of(step.execution, plan, parent_id)
    step.emit(e.TaskRunStateChanged(parent_id, allowed(task, state)))
    return [(run.parent_id, run.branch)]
