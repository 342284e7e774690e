"""Ten thousand random cron expressions give the dates of a second library."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from croniter import croniter

from tiercel_engine.flow.cron import Cron

EXPRESSIONS = 10_000
RANGES = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6))


def field(rng: random.Random, first: int, last: int) -> str:
    match rng.choice(("any", "any", "step", "one", "span", "list")):
        case "any":
            return "*"
        case "step":
            return f"*/{rng.randint(2, max(2, (last - first) // 2))}"
        case "one":
            return str(rng.randint(first, last))
        case "span":
            # Not the whole range: croniter takes that for `*`, which restricts nothing.
            low, high = sorted(rng.sample(range(first, last), 2))
            return f"{low}-{high}"
        case _:
            return ",".join(map(str, sorted(rng.sample(range(first, last + 1), 3))))


def test_dates_are_those_of_a_second_library() -> None:
    rng = random.Random(20_240_229)
    for _ in range(EXPRESSIONS):
        text = " ".join(field(rng, *bounds) for bounds in RANGES)
        start = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(126_230_400))
        cron, theirs = Cron(text), croniter(text, start)
        date = start
        for _ in range(3):
            following = cron.next(date)
            assert following is not None, text
            assert following == theirs.get_next(datetime), f"{text} after {date}"
            date = following
        assert cron.previous(start) == croniter(text, start).get_prev(datetime), text
