"""Time windows of flow triggers: which arrivals count together with one that comes now. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from tiercel_engine.flow.base import Rule
from tiercel_engine.flow.cron import BadCron, zone_named
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.plugin.triggers import TimeWindow, Window
from tiercel_schemas.triggers import Arrival

US = 1_000_000
DAY_S = 86_400.0

Kind = Literal["DURATION_WINDOW", "SLIDING_WINDOW", "DAILY_TIME_WINDOW", "DAILY_TIME_DEADLINE"]


class WindowRule(msgspec.Struct, frozen=True):
    """A window, whichever dialect wrote it.

    Attributes:
        length_s: of DURATION_WINDOW and SLIDING_WINDOW.
        advance_s: how far a DURATION_WINDOW begins after a round day, hour or minute.
        begins, ends: of the daily ones; a DAILY_TIME_DEADLINE begins with the day.
        from_midnight: shorter ones of a DURATION_WINDOW follow each other from midnight on, instead
            of opening with the round hour or minute of what comes first.
    """

    kind: Kind = "DURATION_WINDOW"
    length_s: float = DAY_S
    advance_s: float = 0.0
    begins: time = time()
    ends: time = time()
    zone: str | None = None
    from_midnight: bool = False


def rule_of(written: TimeWindow | Window | None) -> WindowRule:
    """The window that a trigger asks for; a day when it asks for none.

    Raises:
        Rule: it lacks what its kind needs, or a time or zone is none.
    """
    if isinstance(written, Window):
        return _of_second_dialect(written)
    if written is None:
        return WindowRule()
    if written.type == "DAILY_TIME_WINDOW":
        return WindowRule(
            written.type, begins=_time(written.start_time), ends=_time(written.end_time)
        )
    if written.type == "DAILY_TIME_DEADLINE":
        return WindowRule(written.type, ends=_time(written.deadline))
    length_s = DAY_S if written.window is None else written.window
    return WindowRule(written.type, length_s, written.window_advance or 0.0)


def duration_rule(window: object, advance: object) -> WindowRule:
    """The window of a MultipleCondition: ISO durations, or nothing.

    Raises:
        Rule: one is no duration.
    """
    try:
        length_s = DAY_S if window is None else parse_duration_s(window)
        return WindowRule(
            length_s=length_s, advance_s=0.0 if advance is None else parse_duration_s(advance)
        )
    except ValueError as error:
        raise Rule(str(error)) from None


def _of_second_dialect(written: Window) -> WindowRule:
    zone = written.timezone
    if zone is not None:
        try:
            zone_named(zone)
        except BadCron as error:
            raise Rule(str(error)) from None
    if written.deadline is not None:
        return WindowRule("DAILY_TIME_DEADLINE", ends=_time(written.deadline), zone=zone)
    if written.from_ is not None or written.to is not None:
        begins, ends = _time(written.from_), _time(written.to)
        return WindowRule("DAILY_TIME_WINDOW", begins=begins, ends=ends, zone=zone)
    if written.lookback is not None:
        return WindowRule("SLIDING_WINDOW", written.lookback, zone=zone)
    every_s = DAY_S if written.every is None else written.every
    return WindowRule(
        length_s=every_s, advance_s=written.offset or 0.0, zone=zone, from_midnight=True
    )


def _time(text: str | None) -> time:
    if text is None:
        raise Rule("the window must have a time")
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise Rule(f"expected a time such as 09:00:00, but it was '{text}'") from None


def counted(
    arrivals: Sequence[Arrival], rule: WindowRule, at_us: int, default_zone: str = "UTC"
) -> tuple[Arrival, ...] | None:
    """Those of the earlier arrivals that share a window with one at `at_us`.

    Returns:
        None when `at_us` lies in no window at all.
    """
    if rule.kind == "SLIDING_WINDOW":
        since_us = at_us - round(rule.length_s * US)
        return tuple(one for one in arrivals if one.at_us >= since_us)
    zone = zone_named(rule.zone, default_zone)
    if rule.kind == "DURATION_WINDOW":
        first_us = min((one.at_us for one in arrivals), default=at_us)
        begins_us, ends_us = _duration_bounds(rule, first_us, zone)
        return tuple(arrivals) if begins_us <= at_us < ends_us else ()
    begins_us, ends_us = _daily_bounds(rule, at_us, zone)
    if not begins_us <= at_us <= ends_us:
        return None
    return tuple(one for one in arrivals if begins_us <= one.at_us <= ends_us)


def end_after(rule: WindowRule, at_us: int, default_zone: str = "UTC") -> int:
    """The first end of a window after `at_us`. Of a SLIDING_WINDOW there is none: do not ask."""
    zone = zone_named(rule.zone, default_zone)
    if rule.kind == "DURATION_WINDOW":
        return _duration_bounds(rule, at_us, zone)[1]
    return min(end for end in _daily_ends(rule, at_us, zone) if end > at_us)


def end_before(rule: WindowRule, at_us: int, default_zone: str = "UTC") -> int:
    """The last end of a window up to `at_us`; otherwise as `end_after`."""
    zone = zone_named(rule.zone, default_zone)
    if rule.kind == "DURATION_WINDOW":
        return _duration_bounds(rule, at_us, zone)[0]
    return max(end for end in _daily_ends(rule, at_us, zone) if end <= at_us)


def _daily_ends(rule: WindowRule, at_us: int, zone: ZoneInfo) -> list[int]:
    """Those around `at_us`. The day of an end with an offset of its own may be another one."""
    day = _moment(at_us, zone).date()
    days = (day + timedelta(days=count) for count in range(-2, 3))
    return [_us(_combine(one, rule.ends, zone)) for one in days]


def _duration_bounds(rule: WindowRule, first_us: int, zone: ZoneInfo) -> tuple[int, int]:
    """The window that its first arrival opened: from a round day, hour, minute or second on."""
    if rule.from_midnight and rule.length_s % DAY_S == 0:
        return _day_bounds(rule, first_us, zone)
    moment = _moment(first_us, zone).replace(microsecond=0)
    if rule.length_s >= 60 or rule.from_midnight:
        moment = moment.replace(second=0)
    if rule.length_s >= 3_600 or rule.from_midnight:
        moment = moment.replace(minute=0)
    if rule.length_s >= DAY_S or rule.from_midnight:
        moment = moment.replace(hour=0)
    length_us = round(rule.length_s * US)
    begins_us = _us(moment) + round(rule.advance_s * US)
    # The advance may lead beyond the arrival, or leave it behind.
    periods = (first_us - begins_us) // length_us if length_us > 0 else 0
    begins_us += periods * length_us
    return begins_us, begins_us + length_us


def _day_bounds(rule: WindowRule, first_us: int, zone: ZoneInfo) -> tuple[int, int]:
    """The whole days around an instant, by the clock on the wall, however long they are."""
    wall = _moment(first_us, zone).replace(tzinfo=None)
    length = timedelta(seconds=rule.length_s)
    begins = datetime.combine(wall.date(), time()) + timedelta(seconds=rule.advance_s)
    begins += (wall - begins) // length * length
    return _us(begins.replace(tzinfo=zone)), _us((begins + length).replace(tzinfo=zone))


def _daily_bounds(rule: WindowRule, at_us: int, zone: ZoneInfo) -> tuple[int, int]:
    """The daily window around or nearest before `at_us`; one may go beyond midnight."""
    moment = _moment(at_us, zone)
    day = moment.date()
    begins = _combine(day, rule.begins, zone)
    ends = _combine(day, rule.ends, zone)
    if rule.ends < rule.begins:
        if moment <= ends:
            begins = _combine(day - timedelta(days=1), rule.begins, zone)
        else:
            ends = _combine(day + timedelta(days=1), rule.ends, zone)
    return _us(begins), _us(ends)


def _combine(day: object, clock: time, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock.replace(tzinfo=None).isoformat()}").replace(
        tzinfo=clock.tzinfo or zone
    )


def _moment(instant_us: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(instant_us / US, zone)


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * US)
