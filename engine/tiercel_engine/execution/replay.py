"""CopyExecution: a replay, or a restart with another revision, is a new execution.

The source decides what the copy takes over and sends it: the two lie on different partitions, so
the only way from one to the other is a command. A copy's task runs have new ids; the order of
their ids is the order of the originals. Follows Kestra's replay.

What is kept when it goes on from a task run: everything before it. In a list whose tasks run one
after the other the later ones leave; tasks that run side by side stay, and those of them that had
not ended run again. Of the flowables around it the handlers leave.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.attempts import plan_of
from tiercel_engine.execution.labels import REPLAY, REPLAYED, mark, merged
from tiercel_engine.execution.model import ITERATION_MARK, Execution, TaskRun
from tiercel_engine.execution.plan import ROOT, Plan
from tiercel_engine.execution.restart import HANDLER_BRANCHES, innermost_failed, is_handler
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.submit import has_attempts
from tiercel_engine.execution.world import World
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.flowables import Dag, EachParallel, ForEach, Parallel
from tiercel_schemas import events as e
from tiercel_schemas.commands import CopyExecution, CreateExecution, SeedExecution
from tiercel_schemas.common import Label
from tiercel_schemas.ids import FlowKey, derive_id
from tiercel_schemas.state import State, is_terminated

#: Task runs that run again at once; one command starts them all.
AGAIN_MAX = 2_000
#: What one seed command carries at most: pieces, and characters of outputs and values.
SEED_PIECES_MAX = 1_000
SEED_CHARS_MAX = 256 * 1024
_Piece = e.TaskRunCopied | e.ValuesResolved | e.VariablesSet
NOTHING_FOUND = "No task found to restart execution from!"


def copy_execution(step: Step, command: CopyExecution, world: World) -> None:
    """Send the copy on its way; the source itself gets a label, and goes on as it did."""
    x = step.execution
    if command.from_failed and not x.is_ended:
        raise Rejected("Execution must be terminated to be restarted", "CONFLICT")
    key = FlowKey(x.tenant, x.namespace, x.flow_id)
    revision = command.flow_revision or x.flow_revision
    if world.plan(key, revision) is None:
        raise Rejected(world.missing(key, revision), "NOT_FOUND")
    commands = list(_seeds(step, command, world))
    step.commands.append((command.copy_id, _creation(x, command, revision, bool(commands))))
    step.commands += [(command.copy_id, seed) for seed in commands]
    if command.from_failed:
        step.stale = "a copy was made"
    else:
        mark(step, REPLAYED)


def _creation(x: Execution, command: CopyExecution, revision: int, seeded: bool) -> CreateExecution:
    labels = tuple(label for label in x.labels if label.key != REPLAYED)
    if not command.from_failed:
        labels = merged(labels, (Label(REPLAY, "true"),))
    return CreateExecution(
        command_id=command.command_id,
        execution_id=command.copy_id,
        tenant=x.tenant,
        namespace=x.namespace,
        flow_id=x.flow_id,
        flow_revision=revision,
        inputs=x.inputs if command.inputs is None else command.inputs,
        labels=labels,
        trigger=x.trigger,
        parent_id=x.id,
        original_id=x.original_id,
        kind=x.kind,
        created_us=command.created_us,
        deduplicate=True,
        depth=x.depth,
        attempt_number=x.attempt_number + 1,
        original_created_us=x.original_created_us or x.created_us,
        copied="TASK_RUNS" if seeded else "INPUTS",
        loop=x.loop,
        breakpoints=command.breakpoints,
    )


def _seeds(step: Step, command: CopyExecution, world: World) -> Iterator[SeedExecution]:
    """The task runs that the copy takes over, in commands of a bounded size."""
    x = step.execution
    if command.task_run_id is None and not command.from_failed:
        return
    plan = plan_of(step, world)
    if plan is None:
        key = FlowKey(x.tenant, x.namespace, x.flow_id)
        raise Rejected(world.missing(key, x.flow_revision), "NOT_FOUND")
    if command.from_failed:
        again = {run.id for run, _ in innermost_failed(x, plan)}
        kept = [run for run in x.runs_in_order() if not is_handler(x, run)]
    else:
        again, kept = _from_task_run(x, plan, command.task_run_id or "")
    if not again:
        raise Rejected(NOTHING_FOUND, "INVALID")
    if len(again) > AGAIN_MAX:
        raise Rejected(
            f"Expected at most {AGAIN_MAX} task runs to run again at once, but there are "
            f"{len(again)}. Replay the execution from its start.",
            "INVALID",
        )
    ids = sorted(world.new_id() for _ in kept)
    yield from _cut(x, command, again, dict(zip([run.id for run in kept], ids, strict=True)))


def _cut(
    x: Execution, command: CopyExecution, again: set[str], new_ids: dict[str, str]
) -> Iterator[SeedExecution]:
    """What is taken over, in commands of a bounded size."""
    pieces: list[_Piece] = []
    chars = number = 0
    for piece in _pieces(x, again, new_ids):
        size = _chars(piece)
        if pieces and (chars + size > SEED_CHARS_MAX or len(pieces) >= SEED_PIECES_MAX):
            yield _seed(command, number, pieces)
            pieces, chars, number = [], 0, number + 1
        pieces.append(piece)
        chars += size
    last = _seed(command, number, pieces)
    yield replace(last, again=tuple(sorted(new_ids[run_id] for run_id in again)), is_last=True)


def _seed(command: CopyExecution, number: int, pieces: list[_Piece]) -> SeedExecution:
    return SeedExecution(
        command_id=derive_id("seed", command.command_id, str(number)),
        execution_id=command.copy_id,
        runs=tuple(piece for piece in pieces if isinstance(piece, e.TaskRunCopied)),
        values=tuple(piece for piece in pieces if isinstance(piece, e.ValuesResolved)),
        variables=tuple(piece for piece in pieces if isinstance(piece, e.VariablesSet)),
        is_last=False,
    )


def _chars(piece: _Piece) -> int:
    if isinstance(piece, e.VariablesSet):
        return sum(map(len, piece.values.values()))
    if isinstance(piece, e.ValuesResolved):
        return sum(map(len, piece.values))
    return len(piece.outputs.json or "") if piece.outputs is not None else 0


def _pieces(x: Execution, again: set[str], new_ids: dict[str, str]) -> Iterator[_Piece]:
    for name, text in sorted(x.variables.items()):
        yield e.VariablesSet({}, (name,)) if text is None else e.VariablesSet({name: text})
    if ROOT in x.values:
        yield e.ValuesResolved(ROOT, x.values[ROOT])
    around = {ancestor.id for run_id in again for ancestor in _ancestors(x, run_id)}
    # A flowable that runs again goes on from what is kept of it, else it starts over.
    parents = {x.task_runs[run_id].parent_id for run_id in new_ids}
    going_on = around | (again & parents)
    for old_id, new_id in new_ids.items():
        run = x.task_runs[old_id]
        copied = _copied(x, run, new_id, new_ids.get(run.parent_id), old_id in again)
        if old_id in going_on:
            yield replace(copied, loops=old_id in x.members)
            yield from _values(x, run, new_id)
        else:
            yield copied


def _values(x: Execution, run: TaskRun, new_id: str) -> list[e.ValuesResolved]:
    """The values that a flowable goes through, in events of a bounded size."""
    pieces: list[e.ValuesResolved] = []
    some: list[str] = []
    chars = 0
    for value in x.values.get(run.id, ()):
        if some and (chars + len(value) > SEED_CHARS_MAX or len(some) >= SEED_PIECES_MAX):
            pieces.append(e.ValuesResolved(new_id, tuple(some)))
            some, chars = [], 0
        some.append(value)
        chars += len(value)
    return [*pieces, e.ValuesResolved(new_id, tuple(some))] if some else pieces


def _copied(
    x: Execution, run: TaskRun, new_id: str, parent_id: str | None, again: bool
) -> e.TaskRunCopied:
    """A task run as the copy gets it: what had not ended and runs again is as if just created."""
    has_ended = is_terminated(run.state)
    open_attempt = run.is_leased or run.id in x.waiting
    state = run.state if has_ended else State.CREATED if again else State.RUNNING
    return e.TaskRunCopied(
        task_run_id=new_id,
        task_id=run.task_id,
        parent_task_run_id=parent_id,
        branch=run.branch,
        value=run.value,
        iteration=run.iteration,
        state=state,
        outputs=run.outputs,
        attempt=run.attempt - (1 if open_attempt and run.attempt else 0),
        created_us=run.created_us,
        started_us=run.first_started_us or run.started_us or (run.created_us if has_ended else 0),
        ended_us=run.ended_us or 0,
        after_pause=None if again else run.after_pause,
    )


def _from_task_run(x: Execution, plan: Plan, run_id: str) -> tuple[set[str], list[TaskRun]]:
    """(task runs that run again, those that are kept), of a replay that goes on from this run."""
    if run_id not in x.task_runs:
        raise Rejected(NOTHING_FOUND, "INVALID")
    chain = [x.task_runs[run_id], *_ancestors(x, run_id)]
    # What is inside an attempt runs again with the whole of it.
    for place, run in reversed(list(enumerate(chain))):
        task = plan.task(run.task_id)
        if task is not None and has_attempts(task):
            chain = chain[place:]
            break
    first = chain[0]
    dropped = {run.id for run in _after(x, plan, chain)}
    kept: list[TaskRun] = []
    open_runs: set[str] = set()
    gone = set(dropped)
    on_chain = {run.id for run in chain}
    for run in x.runs_in_order():
        if run.id in gone or run.parent_id in gone or run.parent_id == first.id:
            gone.add(run.id)
            continue
        kept.append(run)
        if not is_terminated(run.state) and run.id not in on_chain:
            open_runs.add(run.id)
    around = {x.task_runs[open_id].parent_id for open_id in open_runs}
    return {first.id, *(open_runs - around)}, kept


def _after(x: Execution, plan: Plan, chain: list[TaskRun]) -> Iterator[TaskRun]:
    """What comes after the run, in its list and in those around it."""
    by_parent: dict[str, TaskRun] = {run.parent_id: run for run in chain}
    for run in x.runs_in_order():
        here = by_parent.get(run.parent_id)
        if here is None or here.id == run.id:
            continue
        parent = x.task_runs.get(run.parent_id)
        task = None if parent is None else plan.task(parent.task_id)
        if _follows(run, here, task):
            yield run


def _follows(run: TaskRun, here: TaskRun, flowable: Task | None) -> bool:
    """Whether a sibling of `here` comes after it. `flowable`: what they are in."""
    if run.branch == here.branch:
        is_side_by_side = isinstance(flowable, Parallel | EachParallel) or (
            isinstance(flowable, Dag) and run.task_id not in _dependents(flowable, here.task_id)
        )
        return run.id > here.id and not is_side_by_side
    if run.branch in HANDLER_BRANCHES:
        return here.branch not in HANDLER_BRANCHES or run.id > here.id
    if isinstance(flowable, EachParallel):
        return False
    is_one_by_one = not isinstance(flowable, ForEach) or flowable.concurrency_limit == 1
    return ITERATION_MARK in run.branch and is_one_by_one and run.id > here.id


def _dependents(dag: Dag, task_id: str) -> set[str]:
    """The tasks of a Dag that wait for this one, directly or not."""
    found: set[str] = set()
    pending = [task_id]
    while pending:
        name = pending.pop()
        for member in dag.tasks:
            if name in member.depends_on and member.task.id not in found:
                found.add(member.task.id)
                pending.append(member.task.id)
    return found


def _ancestors(x: Execution, run_id: str) -> Iterator[TaskRun]:
    parent_id = x.task_runs[run_id].parent_id
    while parent_id:
        yield x.task_runs[parent_id]
        parent_id = x.task_runs[parent_id].parent_id
