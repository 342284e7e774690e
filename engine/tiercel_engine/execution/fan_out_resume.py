"""Resuming a Loop: its first value that waits is told to go on."""

from __future__ import annotations

from tiercel_engine.execution.fan_out_state import item_id
from tiercel_engine.execution.index_set import members
from tiercel_engine.execution.step import Step
from tiercel_schemas import events as e
from tiercel_schemas.common import Payload


def resume_first(step: Step, run_id: str, outputs: Payload) -> None:
    """Resume the first execution of a paused fan-out that waits for it."""
    step.emit(e.TaskRunResumed(run_id))
    x = step.execution
    fan = x.fan_outs[run_id]
    index = next(members(fan.paused), None)
    if index is not None:
        step.emit(e.ItemResumed(run_id, index))
        step.resume_child(item_id(x.id, run_id, index, fan), outputs)
