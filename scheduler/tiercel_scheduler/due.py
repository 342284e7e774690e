"""When a trigger is due, and what becomes of it when it is. Pure: no clock, no log, no flow.

Theory of operation. A schedule's state names the next date. When it has come, the date starts an
execution and the next one takes its place. Until that execution ends the trigger is locked, unless
it allows several; dates that come meanwhile wait, and follow one after the other. A backfill goes
through dates of the past in the same way, and the schedule itself rests until it is through.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from tiercel_engine.errors import UserError
from tiercel_engine.plugin.dates import US, ScheduleRules
from tiercel_schemas.triggers import Backfill, TriggerState

#: A date that was this old when the partition was taken over counts as missed, and the recovery
#: rule of its trigger is asked. Younger ones are only late: schedulers hand over in less.
MISSED_AFTER_US = 60 * US


class Firing(msgspec.Struct, frozen=True):
    """What is to be done about a trigger that is due.

    Attributes:
        state: where it stands afterwards.
        date_us: for which date an execution starts; None: none does.
        backfill: the backfill that the date belongs to.
        failure: why the execution cannot run.
    """

    state: TriggerState
    date_us: int | None = None
    backfill: Backfill | None = None
    failure: str | None = None


def due_us(state: TriggerState) -> int | None:
    """When the trigger has to be looked at; None: not before something else happens to it."""
    if state.disabled or state.execution_id is not None:
        return None
    if state.backfill is not None and not state.backfill.paused:
        return state.backfill.current_us
    return state.next_us


def fire(state: TriggerState, rules: ScheduleRules, now_us: int, since_us: int) -> Firing:
    """A schedule is due.

    Args:
        since_us: since when this process looks after it.
    """
    if state.backfill is not None and not state.backfill.paused:
        return _fire_backfill(state, state.backfill, rules, now_us)
    date_us = state.next_us
    assert date_us is not None
    if date_us < since_us - MISSED_AFTER_US and rules.recovery != "ALL":
        date_us = recovered(state, rules, since_us)
        if date_us is None or date_us > now_us:
            return Firing(replace(state, next_us=date_us, evaluated_us=now_us))
    if rules.late_us is not None and now_us - date_us > rules.late_us:
        in_time_us = rules.next(now_us - rules.late_us - 1)
        return Firing(replace(state, next_us=in_time_us, evaluated_us=now_us))
    is_wanted, failure = _judge(rules, date_us)
    after = replace(state, next_us=rules.next(date_us), evaluated_us=now_us)
    if not is_wanted:
        return Firing(after)
    return Firing(replace(after, date_us=date_us), date_us, failure=failure)


def recovered(state: TriggerState, rules: ScheduleRules, now_us: int) -> int | None:
    """The next date when those before `now_us` were missed, as `recoverMissedSchedules` says."""
    missed_us = state.next_us
    if missed_us is None or missed_us > now_us or rules.recovery == "ALL":
        return missed_us if missed_us is not None else rules.next(now_us)
    if rules.recovery == "LAST":
        last_us = rules.previous(now_us + 1)
        if last_us is not None and last_us >= missed_us:
            return last_us
    return rules.next(now_us)


def first_backfill_date(backfill: Backfill, rules: ScheduleRules) -> int | None:
    """The first date of a backfill; None when there is none up to its end."""
    return _within(backfill, rules.next(backfill.start_us - 1))


def _fire_backfill(
    state: TriggerState, backfill: Backfill, rules: ScheduleRules, now_us: int
) -> Firing:
    date_us = backfill.current_us
    assert date_us is not None
    is_wanted, failure = _judge(rules, date_us)
    next_us = _within(backfill, rules.next(date_us))
    rest = None if next_us is None else replace(backfill, current_us=next_us)
    after = replace(state, backfill=rest, evaluated_us=now_us)
    if not is_wanted:
        return Firing(after)
    return Firing(replace(after, date_us=date_us), date_us, backfill, failure)


def _within(backfill: Backfill, date_us: int | None) -> int | None:
    return date_us if date_us is not None and date_us <= backfill.end_us else None


def _judge(rules: ScheduleRules, date_us: int) -> tuple[bool, str | None]:
    """(whether the date starts an execution, why that one fails)."""
    if not rules.has_conditions:
        return True, None
    try:
        return rules.is_wanted(date_us), None
    except UserError as error:
        return True, str(error)
