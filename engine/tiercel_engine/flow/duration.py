"""ISO 8601 durations, as java.time.Duration reads and writes them."""

from __future__ import annotations

import math
import re
from typing import Any

# At most 15 digits: what is longer is no duration anyone means, and would lose precision.
_PATTERN = re.compile(
    r"([+-])?P(?:([+-]?\d{1,15})D)?"
    r"(?:T(?=[+-]?\d)(?:([+-]?\d{1,15})H)?(?:([+-]?\d{1,15})M)?"
    r"(?:([+-]?\d{1,15}(?:[.,]\d{0,9})?)S)?)?",
    re.IGNORECASE | re.ASCII,
)


def parse_duration_s(value: Any) -> float:
    """Seconds of an ISO 8601 duration text, or of a plain number of seconds.

    Raises:
        ValueError: it is neither; years and months have no fixed length and are refused.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"Expected a duration such as PT10S, but it was {value!r}.")
    seconds = _seconds(value.strip()) if isinstance(value, str) else float(value)
    if seconds is None or not math.isfinite(seconds):
        raise ValueError(f"Expected a duration such as PT10S, but it was {str(value)[:100]!r}.")
    return seconds


def _seconds(text: str) -> float | None:
    match = _PATTERN.fullmatch(text)
    if match is None or not any(match.groups()[1:]):
        try:
            return float(text)
        except ValueError:
            return None
    sign, days, hours, minutes, seconds = match.groups()
    total = (
        int(days or 0) * 86_400
        + int(hours or 0) * 3_600
        + int(minutes or 0) * 60
        + float((seconds or "0").replace(",", "."))
    )
    return -total if sign == "-" else total


def format_duration(total_us: int) -> str:
    """Microseconds as ISO 8601 text, such as PT1M30.5S."""
    if total_us == 0:
        return "PT0S"
    sign = "-" if total_us < 0 else ""
    seconds, micros = divmod(abs(total_us), 1_000_000)
    hours, rest = divmod(seconds, 3_600)
    minutes, seconds = divmod(rest, 60)
    text = "PT"
    if hours:
        text += f"{sign}{hours}H"
    if minutes:
        text += f"{sign}{minutes}M"
    if seconds or micros:
        fraction = f".{micros:06d}".rstrip("0") if micros else ""
        text += f"{sign}{seconds}{fraction}S"
    return text
