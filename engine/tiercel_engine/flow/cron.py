"""Cron expressions: text -> the dates before and after an instant, in a zone.

Five fields, or six with seconds in front, and the nicknames. The arithmetic is CronSim's, which
follows Debian's cron (ADR 0009): a time that the clocks skip comes right after the gap; a time
that comes twice counts once, the first time; an expression whose minutes or hours begin with `*`
counts real time, through gaps and repetitions alike. An expression with one fixed second keeps
these rules; one with several seconds per minute counts real time. When both days are restricted,
a date must match one of them, as in the peer; only a plain `*` (or `?`) restricts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
#: Expressions are short; longer ones are somebody's mistake.
CHARS_MAX = 500
#: Dates looked at before one that is really after (or before) the instant: those of an hour that
#: comes twice.
REPEATED_MAX = 10_000


class BadCron(ValueError):
    """An expression that names no dates; the message says why."""


class Cron:
    """One expression."""

    __slots__ = ("_expression", "_is_both_days", "_second", "text")

    def __init__(self, text: str, with_seconds: bool = False) -> None:
        """Read an expression.

        Raises:
            BadCron: it has other fields, values out of range, or names a date that never comes.
        """
        self.text = text
        self._second = 0
        expression = NICKNAMES.get(text.strip().lower(), text)
        fields = expression.split()
        wanted = 6 if with_seconds and expression is text else 5
        if len(fields) != wanted or len(text) > CHARS_MAX:
            raise BadCron(
                f"invalid cron expression '{text}': expected {wanted} fields, but there are "
                f"{len(fields)}"
            )
        if wanted == 6 and fields[0].isdecimal() and int(fields[0]) < 60:
            self._second, fields = int(fields[0]), fields[1:]
        days, weekdays = fields[-3], fields[-1]
        self._is_both_days = "*" in (days, weekdays) or "?" in (days, weekdays)
        self._expression = " ".join(fields).replace("?", "*")
        try:
            CronSim(self._expression, datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise BadCron(f"invalid cron expression '{text}': {error}") from None
        except AssertionError:
            # A step over a field such as "L/2" breaks CronSim's own assertion.
            raise BadCron(f"invalid cron expression '{text}': Bad step") from None

    def next(self, after: datetime) -> datetime | None:
        """The first date after an aware instant, in its zone; None within 50 years."""
        # As numbers: of one zone, datetimes compare by what the clock on the wall shows.
        at_s = after.timestamp()
        return next((d for d in self._dates(after, False) if d.timestamp() > at_s), None)

    def previous(self, before: datetime) -> datetime | None:
        """The last date before an aware instant, in its zone; None within 50 years."""
        at_s = before.timestamp()
        return next((d for d in self._dates(before, True) if d.timestamp() < at_s), None)

    def _dates(self, start: datetime, reverse: bool) -> Iterator[datetime]:
        shift = timedelta(seconds=self._second)
        zone = start.tzinfo
        # Shifted in real time, so that the fixed second never crosses a change of the clocks.
        shifted = (start.astimezone(UTC) - shift).astimezone(zone)
        dates = CronSim(self._expression, shifted, reverse=reverse)
        dates.day_and = self._is_both_days
        for _ in range(REPEATED_MAX):
            try:
                date = next(dates)
            except (StopIteration, OverflowError):
                return
            yield (date.astimezone(UTC) + shift).astimezone(zone)


def zone_named(name: str | None, default: str = "UTC") -> ZoneInfo:
    """The zone of this name.

    Raises:
        BadCron: there is none.
    """
    try:
        return ZoneInfo(name or default)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadCron(f"expected a time zone such as Europe/Paris, but it was '{name}'") from None
