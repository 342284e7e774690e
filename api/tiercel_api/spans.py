"""Windows of time cut into spans: what is shown per minute, hour, day, week or month.

The read model counts in steps of equal length; days become weeks and months here. Spans begin
where the clock of the window's zone strikes: at midnight of its offset from UTC, on Mondays, on
the first of a month. Lengths follow Kestra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from tiercel_api.errors import HttpError

US = 1_000_000
MINUTE_US = 60 * US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
#: The window when none is given.
WINDOW_US = 30 * DAY_US
#: Steps of one window: a minute's span of six hours has 360.
SPANS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Span:
    """How a window is cut; `step_us` is what is counted first."""

    name: str
    step_us: int


SPANS = {
    "minute": Span("minute", MINUTE_US),
    "hour": Span("hour", HOUR_US),
    "day": Span("day", DAY_US),
    "week": Span("week", DAY_US),
    "month": Span("month", DAY_US),
}


def span_of(window_us: int) -> Span:
    """As in Kestra: the longer the window, the longer the spans."""
    if window_us > 365 * DAY_US:
        return SPANS["month"]
    if window_us > 180 * DAY_US:
        return SPANS["week"]
    if window_us > DAY_US:
        return SPANS["day"]
    return SPANS["hour" if window_us > 6 * HOUR_US else "minute"]


@dataclass(frozen=True, slots=True)
class Window:
    """From one instant to another, both in it, as seen at an offset from UTC."""

    start_us: int
    end_us: int
    offset_us: int = 0

    @property
    def span(self) -> Span:
        return span_of(self.end_us - self.start_us)

    def starts(self) -> Mapping[int, str]:
        """Number of a step -> start of the span that it belongs to, as text; all of the window.

        Raises:
            HttpError: there would be too many.
        """
        step_us = self.span.step_us
        first, last = ((at + self.offset_us) // step_us for at in (self.start_us, self.end_us))
        if last - first >= SPANS_MAX:
            raise HttpError(422, "Illegal argument", "Expected a shorter window.")
        return {step: self.start_of(step) for step in range(first, last + 1)}

    def start_of(self, step: int) -> str:
        """Start of the span that a step belongs to, as ISO 8601 text in UTC."""
        zone = timezone(timedelta(microseconds=self.offset_us))
        at = datetime.fromtimestamp((step * self.span.step_us - self.offset_us) / US, zone)
        return _text(_start(at, self.span.name).astimezone(UTC))


def window_of(start: str | None, end: str | None, now_us: int) -> Window:
    """The window between two texts; the last 30 days unless they say otherwise.

    Days begin at midnight of the offset that the first text has.

    Raises:
        HttpError: a text is no date with a zone, or they stand the wrong way round.
    """
    first, last = (None if not text else _instant(text) for text in (start, end))
    end_us = now_us if last is None else _us(last)
    start_us = end_us - WINDOW_US if first is None else _us(first)
    if start_us > end_us:
        raise HttpError(422, "Illegal argument", "Start date must be before End Date")
    zoned = first or last
    offset = timedelta(0) if zoned is None else zoned.utcoffset() or timedelta(0)
    return Window(start_us, end_us, offset // timedelta(microseconds=1))


def _instant(text: str) -> datetime:
    try:
        # A plus sign that was not quoted arrives as a blank.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not 1970 <= moment.year <= 9998:
        message = f"Expected a date with a zone, but it was {text!r}."
        raise HttpError(422, "Illegal argument", message)
    return moment


def _us(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def _start(at: datetime, span: str) -> datetime:
    if span == "month":
        return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if span == "week":
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=at.weekday())
    return at


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
