"""What is done to executions that exist: the commands behind the verbs, single and bulk.

An execution that has ended left the executor's memory, so commands to it say where its records
lie. Should it change between the look and the command, the executor refuses and we look again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from tiercel_api.documents import as_restarted
from tiercel_api.files import FILES
from tiercel_api.gateway import GATEWAY, ExecutionWatch
from tiercel_api.lookup import document_at, execution_at, find_flow_of
from tiercel_api.reads import READS
from tiercel_api.services import SERVICES
from tiercel_engine.errors import Conflict, LogUnavailable, Moved, NotFound
from tiercel_engine.repository.base import ExecutionFilter, JsonObject
from tiercel_schemas import commands as c
from tiercel_schemas.common import Breakpoint, ChildPositions, Label, Payload, PositionRange
from tiercel_schemas.ids import make_id
from tiercel_schemas.state import State, is_terminated

#: Records of others that are read along rather than opening another range.
GAP_RECORDS = 32
#: Ranges in one command; a longer history is told in wider ones.
RANGES_MAX = 1_000
#: Failed executions that a restart restarts in their place; what is beyond is started anew.
CHILDREN_MAX = 200
ENDED_BADLY = (State.FAILED, State.KILLED, State.CANCELLED)
#: How often an execution that changes meanwhile is looked at anew.
LOOKS_MAX = 5

Positions = tuple[PositionRange, ...]


def position_ranges(offsets: Sequence[int]) -> Positions:
    """Ascending offsets as at most `RANGES_MAX` ranges that hold them all."""
    gap = GAP_RECORDS
    while True:
        ranges: list[PositionRange] = []
        for offset in offsets:
            if ranges and offset - ranges[-1].last <= gap:
                ranges[-1] = PositionRange(ranges[-1].first, offset)
            else:
                ranges.append(PositionRange(offset, offset))
        if len(ranges) <= RANGES_MAX:
            return tuple(ranges)
        gap *= 4


async def ask(
    request: web.Request, execution_id: str, command: Callable[[str, Positions], Any]
) -> ExecutionWatch:
    """Send a command to an execution, ended or not, and wait for the decision.

    Args:
        command: makes it, of a command id and where the execution's records lie.

    Raises:
        NotFound, Conflict, Rejected: the executor refused it.
        LogUnavailable: it did not decide in time.
    """
    gateway, models = request.app[GATEWAY], request.app[SERVICES].models
    for look in range(LOOKS_MAX):
        offsets = await request.app[READS].call(models.execution_positions, execution_id)
        try:
            made = command(gateway.command_id(), position_ranges(offsets))
            return await gateway.ask(execution_id, made)
        except Moved:
            if look == LOOKS_MAX - 1:
                raise
            known = await request.app[READS].call(models.execution_sequence, execution_id)
            await execution_at(request, execution_id, known + 1, 0.2 * 2**look)
    raise AssertionError("unreachable")


async def kill(request: web.Request, execution_id: str, state: str, cascade: bool = True) -> int:
    """Kill an execution; number of the event that says so, 0 when nothing had to change."""
    gateway, settings = request.app[GATEWAY], request.app[SERVICES].settings
    if is_terminated(state):
        if not cascade:
            raise Conflict("Execution is already finished, can't kill it")
        return 0
    if state == State.KILLING:
        return 0
    command = c.KillExecution(gateway.command_id(), execution_id, cascade)
    deadline = time.monotonic() + settings.command_timeout_s
    async with gateway.watching(execution_id) as watch:
        await gateway.send(execution_id, command)
        # It may end, or be killed by somebody else, before the command is decided.
        while command.command_id not in watch.decided and not (
            watch.is_terminated or watch.state == State.KILLING
        ):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not await watch.changed(left_s):
                raise LogUnavailable("Expected the executor to decide in time, but it did not.")
    return watch.last_seq


async def restart(request: web.Request, execution_id: str, revision: int | None = None) -> str:
    """Run an ended execution again from its failed tasks; with a revision: a copy of it.

    Returns:
        the id of the execution that runs now.
    """
    if revision is not None:
        return await _copy(request, execution_id, from_failed=True, flow_revision=revision)
    children = await _failed_children(request, execution_id)
    watch = await ask(
        request,
        execution_id,
        lambda id, where: c.RestartExecution(id, execution_id, None, where, children),
    )
    await document_at(request, execution_id, watch.last_seq)
    return execution_id


async def _failed_children(request: web.Request, execution_id: str) -> tuple[ChildPositions, ...]:
    """Where those lie that it has started and that ended badly, and those that they started."""
    models, reads = request.app[SERVICES].models, request.app[READS]
    found: list[ChildPositions] = []
    ranges = 0
    around = [execution_id]
    for parent_id in around:
        where = ExecutionFilter(trigger_execution_id=parent_id, states=ENDED_BADLY)
        left = CHILDREN_MAX - len(found)
        for child_id in await reads.call(models.find_executions, where, left) if left else ():
            offsets = await reads.call(models.execution_positions, child_id)
            child = ChildPositions(child_id, position_ranges(offsets))
            ranges += len(child.positions)
            if ranges > RANGES_MAX:
                return tuple(found)
            found.append(child)
            around.append(child_id)
    return tuple(found)


async def replay(
    request: web.Request,
    document: JsonObject,
    task_run_id: str | None = None,
    revision: int | None = None,
    inputs: Payload | None = None,
    copy_id: str | None = None,
    breakpoints: tuple[Breakpoint, ...] = (),
) -> str:
    """Run a copy of an execution, from its start or from a task run; the copy's id."""
    return await _copy(
        request,
        document["id"],
        copy_id,
        task_run_id=task_run_id,
        flow_revision=revision,
        inputs=inputs,
        breakpoints=breakpoints,
    )


async def _copy(
    request: web.Request, execution_id: str, copy_id: str | None = None, **changes: Any
) -> str:
    gateway, services = request.app[GATEWAY], request.app[SERVICES]
    created_us = services.clock.now_us()
    to = copy_id or new_execution_id(request)
    sent = ""

    def command(command_id: str, where: Positions) -> c.CopyExecution:
        nonlocal sent
        sent = command_id
        return c.CopyExecution(command_id, execution_id, to, created_us, positions=where, **changes)

    async with gateway.watching(to) as watch:
        await ask(request, execution_id, command)
        await watch.decision(sent, services.settings.command_timeout_s)
        # What it takes over comes after it; it shows as soon as it goes on.
        deadline = time.monotonic() + services.settings.command_timeout_s
        while watch.state is None and time.monotonic() < deadline:
            await watch.changed(max(0.0, deadline - time.monotonic()))
    if await execution_at(request, to, watch.last_seq) is None:
        raise LogUnavailable("Expected the copy to be indexed in time, but it was not.")
    return to


def new_execution_id(request: web.Request) -> str:
    """An id for an execution that starts now."""
    return make_id(request.app[SERVICES].clock.now_us(), request.app[GATEWAY].random_bits())


async def newest_revision(request: web.Request, document: JsonObject) -> int:
    """The newest revision of an execution's flow. Raises NotFound: it is deleted."""
    from_now = {**document, "flowRevision": None}
    return (await find_flow_of(request, from_now)).revision or 0


async def restarted_document(request: web.Request, execution_id: str) -> JsonObject:
    """An execution as its restart or replay left it, before it went on."""
    document = await execution_at(request, execution_id, 1)
    if document is None:
        raise NotFound("")
    return as_restarted(document)


async def change_status(request: web.Request, execution_id: str, status: str) -> int:
    """Give an ended execution another final state."""
    watch = await ask(
        request,
        execution_id,
        lambda id, where: c.ChangeExecutionState(id, execution_id, status, where),
    )
    return watch.last_seq


async def change_task_run_state(
    request: web.Request, execution_id: str, task_run_id: str, state: str
) -> int:
    """End a task run in a state, and go on from there."""
    watch = await ask(
        request,
        execution_id,
        lambda id, where: c.ChangeTaskRunState(id, execution_id, task_run_id, state, where),
    )
    return watch.last_seq


async def set_labels(request: web.Request, execution_id: str, labels: tuple[Label, ...]) -> int:
    """Merge labels into those of an ended execution."""
    watch = await ask(
        request, execution_id, lambda id, where: c.SetLabels(id, execution_id, labels, where)
    )
    return watch.last_seq


async def force_run(request: web.Request, execution_id: str) -> int:
    """Let a waiting execution run."""
    watch = await ask(
        request, execution_id, lambda id, where: c.ForceRunExecution(id, execution_id, where)
    )
    return watch.last_seq


async def unqueue(request: web.Request, execution_id: str, state: str = State.RUNNING) -> int:
    """Take an execution out of its flow's queue."""
    watch = await ask(
        request,
        execution_id,
        lambda id, where: c.UnqueueExecution(id, execution_id, state, where),
    )
    return watch.last_seq


async def pause(request: web.Request, execution_id: str) -> int:
    """Hold a running execution."""
    watch = await ask(request, execution_id, lambda id, _: c.PauseExecution(id, execution_id))
    return watch.last_seq


async def resume(request: web.Request, execution_id: str) -> int:
    """Resume a paused execution that asks for nothing."""
    watch = await ask(
        request, execution_id, lambda id, _: c.ResumeExecution(id, execution_id, Payload())
    )
    return watch.last_seq


async def resume_from_breakpoint(
    request: web.Request, execution_id: str, breakpoints: tuple[Breakpoint, ...] | None
) -> int:
    """Let an execution go on that is suspended before a task; `breakpoints`: those from here on."""
    watch = await ask(
        request,
        execution_id,
        lambda id, _: c.ResumeFromBreakpoint(id, execution_id, breakpoints),
    )
    return watch.last_seq


async def delete(
    request: web.Request,
    document: JsonObject,
    *,
    include_running: bool,
    logs: bool = True,
    metrics: bool = True,
    storage: bool = True,
) -> int:
    """Delete an execution and what belongs to it; return how many files went.

    Files go last: a crash leaves some behind.
    """
    execution_id = document["id"]
    await ask(
        request,
        execution_id,
        lambda id, where: c.DeleteExecution(
            id, execution_id, include_running, logs, metrics, where
        ),
    )
    await request.app[READS].gone(execution_id, request.app[SERVICES].settings.index_timeout_s)
    if not storage:
        return 0
    return await request.app[FILES].delete_execution(
        document["namespace"], document["flowId"], execution_id
    )
