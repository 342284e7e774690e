"""Killing what a fan-out has started: in chunks, like its start."""

from __future__ import annotations

from itertools import islice

from tiercel_engine.execution.fan_out_state import CHUNK, item_id
from tiercel_engine.execution.index_set import members
from tiercel_engine.execution.step import Step
from tiercel_schemas import events as e
from tiercel_schemas.state import State


def kill(step: Step, run_id: str) -> bool:
    """Tell the next chunk of executions to stop; whether there are more."""
    x = step.execution
    some = list(islice(members(x.fan_outs[run_id].open), CHUNK))
    if some:
        fan = x.fan_outs[run_id]
        step.emit(e.ItemsLeft(run_id, State.KILLING, some[0], some[-1], len(some)))
        for index in some:
            step.kill_child(item_id(x.id, run_id, index, fan))
    return bool(step.execution.fan_outs[run_id].running)
