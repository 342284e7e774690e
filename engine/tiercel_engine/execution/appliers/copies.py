"""Events of executions that are taken over from others, and of their deletion."""

from __future__ import annotations

from immutables import Map
from msgspec.structs import replace

from tiercel_engine.execution.appliers.runs import counted
from tiercel_engine.execution.appliers.task_runs import task_run_created
from tiercel_engine.execution.model import Execution
from tiercel_schemas import events as e
from tiercel_schemas.state import State, is_terminated


def task_run_copied(x: Execution, event: e.TaskRunCopied, at_us: int) -> Execution:
    x = task_run_created(
        x,
        e.TaskRunCreated(
            task_run_id=event.task_run_id,
            task_id=event.task_id,
            parent_task_run_id=event.parent_task_run_id,
            branch=event.branch,
            value=event.value,
            iteration=event.iteration,
        ),
        at_us,
    )
    run = replace(
        x.task_runs[event.task_run_id],
        state=event.state,
        outputs=event.outputs,
        attempt=event.attempt,
        created_us=event.created_us,
        first_started_us=event.started_us or None,
        started_us=event.started_us,
        ended_us=event.ended_us or None,
        after_pause=event.after_pause,
    )
    blocks = x.blocks
    for key in run.block_keys():
        blocks = blocks.set(key, counted(x.block(*key), State.CREATED, run.state))
    members = x.members.set(run.id, Map()) if event.loops else x.members
    return replace(x, task_runs=x.task_runs.set(run.id, run), blocks=blocks, members=members)


def deleted(x: Execution, event: e.ExecutionDeleted, at_us: int) -> Execution:
    assert is_terminated(x.state), f"Expected execution {x.id} to have ended, but it is {x.state}."
    return replace(x, sequence=x.sequence + 1, is_deleted=True)
