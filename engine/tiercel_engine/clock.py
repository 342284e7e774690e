"""The only reader of wall time. Everything else asks a `Clock`, so tests can move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """Wall time as microseconds since 1970-01-01 UTC."""

    def now_us(self) -> int: ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_us: int = 1_700_000_000_000_000) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us

    def advance(self, seconds: float) -> None:
        self._now_us += round(seconds * 1_000_000)


def to_datetime(instant_us: int) -> datetime:
    """Microseconds since the epoch as an aware UTC datetime."""
    return datetime.fromtimestamp(instant_us / 1_000_000, UTC)


def iso(instant_us: int) -> str:
    """Microseconds since the epoch as ISO 8601 text in UTC, in the peer's form.

    The fraction has no, three or six digits, as Java's `Instant.toString` prints it.
    """
    seconds, micros = divmod(instant_us, 1_000_000)
    text = _whole_seconds(seconds)
    if micros == 0:
        return text + "Z"
    if micros % 1_000 == 0:
        return f"{text}.{micros // 1_000:03d}Z"
    return f"{text}.{micros:06d}Z"


def iso_millis(instant_us: int) -> str:
    """The same, cut to milliseconds: what templates see of instants, as in the peer."""
    return iso(instant_us - instant_us % 1_000)


@lru_cache(maxsize=1_024)
def _whole_seconds(seconds: int) -> str:
    """Instants that are written out lie close together: most share their second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
