"""Killing what a fan-out has started: in chunks, like its start."""

from __future__ import annotations

from itertools import islice

from tiercel_engine.execution.fan_out_state import CHUNK, item_id
from tiercel_engine.execution.index_set import has, members
from tiercel_engine.execution.step import Step
from tiercel_schemas import events as e
from tiercel_schemas.state import State


def kill(step: Step, run_id: str) -> bool:
    """Tell the next chunk of executions to stop; whether there are more."""
    x = step.execution
    some = list(islice(members(x.fan_outs[run_id].open), CHUNK))
    if some:
        fan = x.fan_outs[run_id]
        paused = sum(has(fan.paused, index) for index in some)
        step.emit(e.ItemsLeft(run_id, State.KILLING, some[0], some[-1], len(some), paused))
        for index in some:
            step.kill_child(item_id(x.id, run_id, index, fan))
    return bool(step.execution.fan_outs[run_id].running)


def kill_at_once(step: Step, run_id: str) -> None:
    """Tell all that a task run has started to stop, `OPEN_MAX` at most; none when it is no fan-out.

    For a task run that ends now: no later command could go on.
    """
    while run_id in step.execution.fan_outs and kill(step, run_id):
        continue


def kill_all(step: Step) -> None:
    """The same for every task run."""
    for run_id in sorted(step.execution.fan_outs):
        kill_at_once(step, run_id)
