"""What people ask of a trigger: disable, unlock, restart, backfill. Pure.

Each function takes the state and the command and gives the state that follows, or refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tiercel_engine.errors import Rejected
from tiercel_engine.plugin.dates import ScheduleRules
from tiercel_engine.plugin.upstream import MissRules
from tiercel_scheduler.due import first_backfill_date, recovered
from tiercel_schemas import triggers as t
from tiercel_schemas.triggers import Backfill, TriggerState

NO_BACKFILL = "No backfill found"

#: What says when a trigger is due.
Rules = ScheduleRules | MissRules
Decide = Callable[[TriggerState, Any, Rules | None, int], TriggerState]


def set_disabled(
    state: TriggerState, command: t.SetTriggerDisabled, rules: Rules | None, now_us: int
) -> TriggerState:
    """Disable or enable; enabling treats the dates meanwhile as missed ones."""
    if state.kind == "REALTIME":
        raise Rejected("Realtime triggers cannot be disabled or enabled here.", "INVALID")
    next_us = state.next_us
    if state.disabled and not command.disabled and rules is not None:
        if isinstance(rules, ScheduleRules):
            next_us = recovered(state, rules, now_us)
        else:
            next_us = rules.next(now_us)
    return replace(state, disabled=command.disabled, next_us=next_us)


def unlock(
    state: TriggerState, command: t.UnlockTrigger, rules: Rules | None, now_us: int
) -> TriggerState:
    """Forget the execution that locks it."""
    if state.execution_id is None:
        raise Rejected("The trigger is not locked.", "CONFLICT")
    return replace(state, execution_id=None)


def restart(
    state: TriggerState, command: t.RestartTrigger, rules: Rules | None, now_us: int
) -> TriggerState:
    """Forget what is under way, go on from now."""
    at_once_us = None if state.kind == "FLOW" else now_us
    next_us = at_once_us if rules is None else rules.next(now_us)
    return replace(state, execution_id=None, worker_id=None, epoch=state.epoch + 1, next_us=next_us)


def start_backfill(
    state: TriggerState, command: t.StartBackfill, rules: Rules | None, now_us: int
) -> TriggerState:
    """Go through the dates from start to end; whatever backfill there was is dropped."""
    if not isinstance(rules, ScheduleRules):
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
    state: TriggerState, command: t.SetBackfillPaused, rules: Rules | None, now_us: int
) -> TriggerState:
    """Pause a backfill or let it go on."""
    if state.backfill is None:
        raise Rejected(NO_BACKFILL, "INVALID")
    return replace(state, backfill=replace(state.backfill, paused=command.paused))


def end_backfill(
    state: TriggerState, command: t.EndBackfill, rules: Rules | None, now_us: int
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
