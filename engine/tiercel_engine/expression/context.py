"""What a render may know besides its variables. Everything has a default that knows nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from tiercel_engine.expression.limits import MATCH_S
from tiercel_engine.expression.lookups import Lookups


class Randomness(Protocol):
    """The part of `random.Random` that functions draw from."""

    def getrandbits(self, k: int, /) -> int: ...

    def randrange(self, start: int, stop: int, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where versions of the language differ; the defaults are those of 1.3.

    Attributes:
        kv_error_on_missing: what `kv()` does with a missing key when not told.
        text_comparison: whether `<` and its kin order two texts.
        json_null_entries: whether the JSON of a map has its entries that are null; the peer's
            has not.
        micro_timestamps: whether `timestampMicro` gives microseconds, or keeps the peer's old bug.
        recursive: whether every render is repeated until its text is stable.
    """

    kv_error_on_missing: bool = True
    text_comparison: bool = True
    json_null_entries: bool = False
    micro_timestamps: bool = False
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class RenderContext:
    """Clock, randomness, zone, locale and the world, as one render sees them.

    Attributes:
        now: gives the current instant, aware; without it `now()` is not available.
        rng: the source of uuids and random numbers; without it they are not available.
        zone: the default time zone, a region or offset.
        locale: the default locale of dates, numbers and case.
        lookups: the way to files, secrets, key-values; None where reading is not allowed.
        dialect: version differences.
        expired: whether the time for this render is over; asked in every loop.
        run_jq: runs a jq program over a JSON text where it can be stopped, and gives its results;
            raises UserError. Without it only programs that end soon are run.
        match_s: processor seconds that one operation of a regular expression may take.
    """

    now: Callable[[], datetime] | None = None
    rng: Randomness | None = None
    zone: str = "UTC"
    locale: str = "en_US"
    lookups: Lookups | None = None
    dialect: Dialect = field(default_factory=Dialect)
    expired: Callable[[], bool] | None = None
    run_jq: Callable[[str, str], list[Any]] | None = None
    match_s: float = MATCH_S
