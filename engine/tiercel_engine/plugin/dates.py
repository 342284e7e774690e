"""The dates of schedules: after and before an instant, those that conditions refuse left out.

Pure; instants are microseconds since the epoch. The scheduler and the API ask here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec

from tiercel_engine.errors import UserError
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.moments import parse_iso
from tiercel_engine.expression.render import Renderer
from tiercel_engine.flow.cron import Cron, zone_named
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.plugin.condition_rules import BrokenCondition, Subject, hold
from tiercel_engine.plugin.triggers import Schedule, ScheduleOnDates

US = 1_000_000
#: Dates that conditions may refuse in a row within one search. A search that finds none stops at
#: the last: it is looked at when it is due, and the search goes on from there.
REFUSED_MAX = 1_000
#: Dates of one ScheduleOnDates.
DATES_MAX = 10_000


class Dates(Protocol):
    """The dates that a trigger names, whatever its conditions say."""

    zone: ZoneInfo

    def next(self, after_us: int) -> int | None: ...

    def previous(self, before_us: int) -> int | None: ...


class CronDates:
    """Those of a cron expression."""

    def __init__(self, cron: Cron, zone: ZoneInfo) -> None:
        self.zone = zone
        self._cron = cron

    def next(self, after_us: int) -> int | None:
        return _us(self._cron.next(_moment(after_us, self.zone)))

    def previous(self, before_us: int) -> int | None:
        return _us(self._cron.previous(_moment(before_us, self.zone)))


class ListedDates:
    """Those of a list."""

    def __init__(self, dates_us: Sequence[int], zone: ZoneInfo) -> None:
        self.zone = zone
        self._dates_us = sorted(set(dates_us))

    def next(self, after_us: int) -> int | None:
        at = bisect_right(self._dates_us, after_us)
        return self._dates_us[at] if at < len(self._dates_us) else None

    def previous(self, before_us: int) -> int | None:
        at = bisect_left(self._dates_us, before_us)
        return self._dates_us[at - 1] if at > 0 else None


class ScheduleRules(msgspec.Struct, frozen=True):
    """What a schedule's definition says about its dates.

    Attributes:
        is_wanted: whether conditions and `when` let a date through; raises UserError.
        late_us: dates later than this start nothing; None: however late.
        recovery: ALL, LAST or NONE of the dates that came while nobody looked.
    """

    dates: Dates
    is_wanted: Callable[[int], bool]
    has_conditions: bool
    late_us: int | None
    recovery: str

    def next(self, after_us: int) -> int | None:
        """The next wanted date; after `REFUSED_MAX` refused ones, the last of them."""
        return self._search(self.dates.next, after_us)

    def previous(self, before_us: int) -> int | None:
        """The wanted date before; None when `REFUSED_MAX` are refused, too."""
        found = self._search(self.dates.previous, before_us)
        return found if found is None or self._is_certain(found) else None

    def variables(self, date_us: int) -> dict[str, Any]:
        """`trigger.date`, `.next`, `.previous`: ISO 8601 in the schedule's zone."""
        known = {
            "date": date_us,
            "next": self.next(date_us),
            "previous": self.previous(date_us),
        }
        return {k: self.iso(v) for k, v in known.items() if v is not None}

    def iso(self, date_us: int) -> str:
        return iso_in(date_us, self.dates.zone)

    def _search(self, step: Callable[[int], int | None], from_us: int) -> int | None:
        found = step(from_us)
        if not self.has_conditions:
            return found
        for _ in range(REFUSED_MAX):
            if found is None or self._is_certain(found):
                return found
            found = step(found)
        return found

    def _is_certain(self, date_us: int) -> bool:
        """Whether it is wanted, or cannot be judged: then the date must come to say so."""
        try:
            return not self.has_conditions or self.is_wanted(date_us)
        except UserError:
            return True


def iso_in(instant_us: int, zone: ZoneInfo) -> str:
    """ISO 8601 text in a zone; UTC as Z."""
    text = _moment(instant_us, zone).isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def schedule_rules(
    flow: Flow, trigger: Trigger, renderer: Renderer, default_zone: str = "UTC"
) -> ScheduleRules | None:
    """The rules of a schedule; None for every other trigger.

    Raises:
        BadCron, BrokenCondition, InvalidExpression: its dates cannot be told.
    """
    if isinstance(trigger, Schedule):
        late_s, recovery = trigger.late_maximum_delay, trigger.recover_missed_schedules
        zone = zone_named(trigger.timezone, default_zone)
        dates: Dates = CronDates(Cron(trigger.cron, trigger.with_seconds), zone)
        conditions = [*(trigger.conditions or ()), *(trigger.schedule_conditions or ())]
    elif isinstance(trigger, ScheduleOnDates):
        late_s, recovery = None, trigger.recover_missed_schedules
        zone = zone_named(trigger.timezone, default_zone)
        dates = ListedDates(_listed(trigger, renderer, zone, flow_variables(flow)), zone)
        conditions = list(trigger.conditions or ())
    else:
        return None

    def is_wanted(date_us: int) -> bool:
        date = {"date": iso_in(date_us, zone)}
        subject = Subject(renderer, {**flow_variables(flow), "trigger": date, "schedule": date})
        if trigger.when is not None and not renderer.truthy(trigger.when, subject.variables):
            return False
        return hold(conditions, subject)

    return ScheduleRules(
        dates=dates,
        is_wanted=is_wanted,
        has_conditions=bool(conditions) or trigger.when is not None,
        late_us=None if late_s is None else round(late_s * US),
        recovery=recovery or "ALL",
    )


def flow_variables(flow: Flow) -> dict[str, Any]:
    """What templates of a trigger see besides `trigger`."""
    about = {
        "id": flow.id,
        "namespace": flow.namespace,
        "revision": flow.revision,
        "tenantId": flow.tenant,
    }
    return {"flow": about, "vars": flow.variables, "labels": dict(flow.labels)}


def _listed(
    trigger: ScheduleOnDates, renderer: Renderer, zone: ZoneInfo, variables: Mapping[str, Any]
) -> list[int]:
    written = renderer.value(trigger.dates, variables)
    if isinstance(written, str):
        try:
            written = msgspec.json.decode(written)
        except msgspec.DecodeError:
            written = [written]
    texts = [str(one) for one in (written if isinstance(written, list) else [written])]
    if len(texts) > DATES_MAX:
        raise BrokenCondition(f"Expected at most {DATES_MAX} dates, but there are {len(texts)}.")
    return [instant_us(text, zone) for text in texts]


def instant_us(text: str, zone: ZoneInfo) -> int:
    """An ISO date-time, in `zone` when it names none, as microseconds since the epoch.

    Raises:
        BrokenCondition: it is none.
    """
    try:
        found = parse_iso(text)
    except Fault as fault:
        raise BrokenCondition(fault.message) from fault
    if found is None:
        raise BrokenCondition(f"Expected an ISO 8601 date, but it was {text!r}.")
    moment = found if isinstance(found, datetime) else datetime(found.year, found.month, found.day)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    instant = _us(moment)
    assert instant is not None
    return instant


def _moment(instant_us: int, zone: ZoneInfo) -> datetime:
    seconds, micros = divmod(instant_us, US)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros).astimezone(zone)


def _us(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return int(moment.replace(microsecond=0).timestamp()) * US + moment.microsecond
