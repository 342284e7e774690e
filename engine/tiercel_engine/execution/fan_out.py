"""Task runs that start many executions: in chunks, each of which continues itself by a command.

Nothing here grows with the number of executions but one bit for each that runs or ended badly:
no transaction, because a chunk has a bound; no event, because it names a range or one index; no
state, because it counts (`FanOut`). An execution's id derives from the task run, its index and the
attempt, so a repeated start is a no-op; its end is one command back. A restart or a retry runs
those again that ended badly, and goes on where the attempt before stopped.
"""

from __future__ import annotations

from itertools import islice

import msgspec

from tiercel_engine.errors import InvalidExpression, TaskError, UserError
from tiercel_engine.execution import gathering
from tiercel_engine.execution.fan_out_source import Source
from tiercel_engine.execution.fan_out_sources import source_of
from tiercel_engine.execution.fan_out_state import CHUNK, OPEN_MAX, RESTARTED, derived_id, worst
from tiercel_engine.execution.index_set import has, members
from tiercel_engine.execution.model import NO_PAYLOAD, TaskRun
from tiercel_engine.execution.outcome import record_end
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.subflow import ended
from tiercel_engine.execution.timers import Continue, OutputsOverdue
from tiercel_engine.execution.variables import decoded_outputs
from tiercel_engine.execution.world import World
from tiercel_engine.flow.base import Rule
from tiercel_engine.flow.task import Task
from tiercel_schemas import events as e
from tiercel_schemas.commands import ChildEnded, EndAttempt, ReturnJob
from tiercel_schemas.common import Payload, ReplyTo
from tiercel_schemas.state import State

#: Values in one event, so that a long list spreads over several records.
VALUES_MAX = 2_000


def start(step: Step, plan: Plan, world: World, run_id: str, task: Task) -> None:
    """Begin the run's next attempt; what is wrong with the whole of it fails the attempt."""
    run = step.execution.task_runs[run_id]
    known = step.execution.fan_outs.get(run_id)
    source = source_of(step, plan, world, run, task)
    attempt = run.attempt + 1
    outputs = run.outputs or NO_PAYLOAD
    count, problem = 0, None
    try:
        if known is None or known.next == 0:
            count, written = source.open()
            outputs = Payload(json=msgspec.json.encode(written).decode())
        else:
            count = known.count
    except (UserError, InvalidExpression, TaskError, Rule) as error:
        problem = str(error)
    # Not before: a template that a worker must render first leaves everything as it was.
    step.emit(e.FanOutStarted(run_id, attempt, count, outputs, source.keeps, source.found_file))
    if problem is not None:
        _fail(step, plan, world, run_id, problem)
        return
    for first in range(len(step.execution.values.get(run_id, ())), len(source.values), VALUES_MAX):
        step.emit(e.ValuesResolved(run_id, source.values[first : first + VALUES_MAX]))
    proceed(step, plan, world, run_id, task)


def proceed(step: Step, plan: Plan, world: World, run_id: str, task: Task) -> None:
    """Start as many as may run now, at most a chunk; end the attempt when all have ended."""
    fan = step.execution.fan_outs[run_id]
    if not fan.has_more:
        _finish_if_done(step, plan, world, run_id, task)
        return
    source = source_of(step, plan, world, step.execution.task_runs[run_id], task)
    room = min(source.limit or OPEN_MAX, OPEN_MAX) - fan.running if source.waits else CHUNK
    if room <= 0 or (not source.limit and fan.running and room < min(CHUNK, fan.count)):
        return
    indices = _claim(step, run_id, min(room, CHUNK))
    again = _in_their_place(step, run_id, indices) if source.restarts else set()
    fresh = [index for index in indices if index not in again]
    for index, command in zip(fresh, source.commands(fresh), strict=True):
        if isinstance(command, str):
            step.log("ERROR", f"Execution {index}: {command}", run_id)
            step.emit(e.ItemEnded(run_id, index, State.FAILED))
        else:
            step.commands.append((command.execution_id, command))
    if not source.waits:
        _leave(step, run_id, indices)
    fan = step.execution.fan_outs[run_id]
    if fan.has_more and (room > len(indices) or not fan.running):
        step.follow_ups.append(Continue(step.execution.id, run_id))
    elif not fan.has_more:
        _finish_if_done(step, plan, world, run_id, task)


def _in_their_place(step: Step, run_id: str, indices: list[int]) -> set[int]:
    """Restart the executions of an attempt before, as far as it is known where they lie."""
    x = step.execution
    attempt = x.fan_outs[run_id].attempt
    restarted = set()
    for index in indices if step.children else ():
        old = (derived_id(x.id, run_id, index, number) for number in range(attempt - 1, 0, -1))
        child = next((step.children[name] for name in old if name in step.children), None)
        if child is not None:
            step.emit(e.ItemReplaced(run_id, index, child.execution_id))
            step.restart_child(child, ReplyTo(x.id, run_id, index=index, attempt=attempt))
            restarted.add(index)
    return restarted


def _leave(step: Step, run_id: str, indices: list[int]) -> None:
    """Nobody waits for those that have just started."""
    left = step.execution.fan_outs[run_id].running
    if left:
        step.emit(e.ItemsLeft(run_id, State.SUCCESS, indices[0], indices[-1], left))


def _claim(step: Step, run_id: str, limit: int) -> list[int]:
    """Note in events which ones start now: those that ended badly first, then new ones."""
    fan = step.execution.fan_outs[run_id]
    again = {
        state: list(islice(members(fan.bad[state], fan.again), limit))
        for state in RESTARTED
        if fan.again < fan.count and state in fan.bad
    }
    indices = sorted(index for some in again.values() for index in some)[:limit]
    for state, some in again.items():
        mine = [index for index in some if indices and index <= indices[-1]]
        if mine:
            step.emit(e.ItemsRestarted(run_id, state, mine[0], mine[-1], len(mine)))
    if not indices:
        indices = list(range(fan.next, min(fan.next + limit, fan.count)))
        step.emit(e.ItemsStarted(run_id, fan.next, len(indices)))
    return indices


def awaits(step: Step, run_id: str, command: ChildEnded) -> bool:
    """Whether the end is news: each is told once, by the execution that counts."""
    fan = step.execution.fan_outs[run_id]
    if command.attempt == fan.attempt and has(fan.open, command.index):
        return True
    step.stale = "that execution has ended, or another attempt started it"
    if command.successor_id is not None:
        step.kill_child(command.successor_id)
    return False


def item_ended(
    step: Step, plan: Plan | None, world: World, run: TaskRun, command: ChildEnded
) -> None:
    """Count an execution's end; start what waited for it."""
    x = step.execution
    fan = x.fan_outs[run.id]
    if has(fan.paused, command.index):
        step.emit(e.ItemResumed(run.id, command.index))
    if command.successor_id is not None:
        if fan.replaced.get(command.index) != command.successor_id:
            step.emit(e.ItemReplaced(run.id, command.index, command.successor_id))
        return
    task = None if plan is None else plan.task(run.task_id)
    if plan is None or task is None:
        step.emit(e.ItemEnded(run.id, command.index, command.state))
        return
    if command.error is not None:
        step.log("ERROR", f"Execution {command.index}: {command.error}", run.id)
    state = command.state if command.error is None else State.FAILED
    source = source_of(step, plan, world, run, task)
    outputs = command.outputs if source.collects else None
    step.emit(e.ItemEnded(run.id, command.index, state, outputs))
    if x.state == State.KILLING:
        return
    _stop_if_enough(step, source, run.id, command, state)
    if source.stores or fan.stores:
        gathering.send_if_full(step, run.id)
    if not (x.is_held and step.execution.fan_outs[run.id].has_more):
        proceed(step, plan, world, run.id, task)


def _stop_if_enough(
    step: Step, source: Source, run_id: str, command: ChildEnded, state: str
) -> None:
    """Start nothing more after a failure, or when the task says that it is enough."""
    if step.execution.fan_outs[run_id].stopped:
        return
    try:
        is_enough = source.is_enough(command)
    except TaskError as error:
        step.log("ERROR", str(error), run_id)
        is_enough = True
    if is_enough or (source.stops and state in RESTARTED):
        step.emit(e.FanOutStopped(run_id))


def _finish_if_done(step: Step, plan: Plan, world: World, run_id: str, task: Task) -> None:
    fan = step.execution.fan_outs[run_id]
    if fan.running:
        return
    run = step.execution.task_runs[run_id]
    source = source_of(step, plan, world, run, task)
    if (source.stores or fan.stores) and fan.outputs:
        gathering.send(step, run_id)
    elif not fan.sending:
        state = worst(fan) if source.transmits else State.SUCCESS
        try:
            outputs = source.outputs(decoded_outputs(run), fan) if fan.count else None
        except TaskError as error:
            _fail(step, plan, world, run_id, str(error))
            return
        record_end(step, plan, world, ended(step, run_id, state, outputs, None))


def _fail(step: Step, plan: Plan | None, world: World, run_id: str, reason: str) -> None:
    step.log("ERROR", reason, run_id)
    record_end(step, plan, world, ended(step, run_id, State.FAILED, None, reason))


def outputs_answered(
    step: Step,
    plan: Plan | None,
    world: World,
    run: TaskRun,
    command: EndAttempt | ReturnJob,
) -> None:
    """A worker has stored a set of outputs, or could not: then the set is sent again in time."""
    if isinstance(command, ReturnJob) or command.state != State.SUCCESS:
        step.stale = "the outputs are sent again later"
        return
    chunk = gathering.chunk_of(command.attempt)
    if chunk not in step.execution.fan_outs[run.id].sending:
        step.stale = "the outputs are stored already"
        return
    step.emit(e.OutputsStored(run.id, chunk))
    task = None if plan is None else plan.task(run.task_id)
    if plan is not None and task is not None and run.id in step.execution.waiting:
        proceed(step, plan, world, run.id, task)


def outputs_overdue(step: Step, plan: Plan | None, command: OutputsOverdue, world: World) -> None:
    """Nobody stored a set of outputs in time: send it again; at last give the attempt up."""
    x = step.execution
    run = x.task_runs.get(command.task_run_id)
    fan = x.fan_outs.get(command.task_run_id)
    sending = None if fan is None else fan.sending.get(command.chunk)
    if run is None or run.id not in x.waiting or sending is None or sending.epoch != command.epoch:
        step.stale = "the outputs are stored, or nobody waits for them"
        return
    if plan is not None and command.epoch < gathering.SENDS_MAX:
        gathering.send_again(step, run.id, command.chunk)
        return
    _fail(step, plan, world, run.id, "The outputs of its executions could not be stored.")
