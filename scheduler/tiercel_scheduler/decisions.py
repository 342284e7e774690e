"""What people ask of a trigger: disable, unlock, restart, backfill. Pure.

Each function takes the state and the command and gives the state that follows, or refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tiercel_engine.errors import Rejected
from tiercel_engine.plugin.dates import ScheduleRules
from tiercel_scheduler.due import first_backfill_date, recovered
from tiercel_schemas import triggers as t
from tiercel_schemas.triggers import Backfill, TriggerState

NO_BACKFILL = "No backfill found"

Decide = Callable[[TriggerState, Any, ScheduleRules | None, int], TriggerState]


def set_disabled(
    state: TriggerState, command: t.SetTriggerDisabled, rules: ScheduleRules | None, now_us: int
) -> TriggerState:
    """Disable or enable; enabling treats the dates meanwhile as missed ones."""
    if state.kind == "REALTIME":
        raise Rejected("Realtime triggers cannot be disabled or enabled here.", "INVALID")
    next_us = state.next_us
    if state.disabled and not command.disabled and rules is not None:
        next_us = recovered(state, rules, now_us)
    return replace(state, disabled=command.disabled, next_us=next_us)


def unlock(
    state: TriggerState, command: t.UnlockTrigger, rules: ScheduleRules | None, now_us: int
) -> TriggerState:
    """Forget the execution that locks it."""
    if state.execution_id is None:
        raise Rejected("The trigger is not locked.", "CONFLICT")
    return replace(state, execution_id=None)


def restart(
    state: TriggerState, command: t.RestartTrigger, rules: ScheduleRules | None, now_us: int
) -> TriggerState:
    """Forget what is under way, go on from now."""
    next_us = now_us if rules is None else rules.next(now_us)
    if state.kind == "FLOW":
        next_us = None
    return replace(state, execution_id=None, worker_id=None, epoch=state.epoch + 1, next_us=next_us)


def start_backfill(
    state: TriggerState, command: t.StartBackfill, rules: ScheduleRules | None, now_us: int
) -> TriggerState:
    """Go through the dates from start to end; whatever backfill there was is dropped."""
    if rules is None:
        raise Rejected("Only a schedule has dates to go through.", "INVALID")
    end_us = now_us if command.end_us is None else command.end_us
    if command.start_us >= end_us:
        raise Rejected("Expected the backfill to start before it ends.", "INVALID")
    backfill = Backfill(
        id=command.command_id,
        start_us=command.start_us,
        end_us=end_us,
        inputs_json=command.inputs_json,
        labels=command.labels,
    )
    current_us = first_backfill_date(backfill, rules)
    if current_us is None:
        return replace(state, backfill=None)
    return replace(state, backfill=replace(backfill, current_us=current_us))


def set_backfill_paused(
    state: TriggerState, command: t.SetBackfillPaused, rules: ScheduleRules | None, now_us: int
) -> TriggerState:
    """Pause a backfill or let it go on."""
    if state.backfill is None:
        raise Rejected(NO_BACKFILL, "INVALID")
    return replace(state, backfill=replace(state.backfill, paused=command.paused))


def end_backfill(
    state: TriggerState, command: t.EndBackfill, rules: ScheduleRules | None, now_us: int
) -> TriggerState:
    """Drop a backfill."""
    if state.backfill is None:
        raise Rejected(NO_BACKFILL, "INVALID")
    return replace(state, backfill=None)


#: Who decides what, by command.
DECISIONS: dict[type[Any], Decide] = {
    t.SetTriggerDisabled: set_disabled,
    t.UnlockTrigger: unlock,
    t.RestartTrigger: restart,
    t.StartBackfill: start_backfill,
    t.SetBackfillPaused: set_backfill_paused,
    t.EndBackfill: end_backfill,
}
