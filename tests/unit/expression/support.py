"""Reading the tables of cases: tagged values become date-times, and a context that stands still."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tiercel_engine.expression.context import RenderContext
from tiercel_engine.expression.moments import parse_iso
from tiercel_engine.expression.values import narrow

CASES = Path(__file__).parent / "cases"
NOW = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


def _duration(text: str) -> timedelta:
    """`PT5M6S`: minutes and seconds are all that the tables hold."""
    minutes, _, seconds = text.removeprefix("PT").removesuffix("S").partition("M")
    return timedelta(minutes=int(minutes), seconds=int(seconds))


_TAGS: dict[str, Any] = {
    "$zoned": parse_iso,
    "$instant": parse_iso,
    "$local": parse_iso,
    "$date": parse_iso,
    "$date_epoch_ms": lambda ms: datetime.fromtimestamp(ms / 1000, UTC),
    "$time": time.fromisoformat,
    "$dur": _duration,
    "$float": lambda text: narrow(float(text)),
    "$dec": Decimal,
}


def value_of(raw: Any) -> Any:
    """A value of a table with its tags resolved."""
    if isinstance(raw, dict):
        if len(raw) == 1:
            ((tag, text),) = raw.items()
            if tag in _TAGS:
                return _TAGS[tag](text)
        return {key: value_of(item) for key, item in raw.items()}
    return [value_of(item) for item in raw] if isinstance(raw, list) else raw


def cases(name: str) -> list[dict[str, Any]]:
    """The rows of one table."""
    return [json.loads(line) for line in (CASES / name).read_text("utf-8").splitlines() if line]


def still_context(**changes: Any) -> RenderContext:
    """A context whose clock stands at `NOW` and whose randomness repeats itself."""
    return RenderContext(now=lambda: NOW, rng=random.Random(7), **changes)
