"""Key-values, public holidays and free ports for templates."""

from __future__ import annotations

import socket
from datetime import date
from functools import lru_cache
from typing import Any

from tiercel_engine.errors import NotFound, UserError
from tiercel_engine.later import later
from tiercel_engine.storage.kv import KvStore

#: Calendars (country, subdivision, year) kept.
CALENDARS_MAX = 200

_holidays = later("holidays")


def kv_value(
    store: KvStore, own: str, key: str, namespace: str | None, error_on_missing: bool
) -> Any:
    """The value of a key; null when it is missing and that is no error.

    Args:
        own: the flow's namespace, which inherits the pairs of those above it.
        namespace: where to look instead, there alone.

    Raises:
        NotFound: it is missing, and that is an error.
        UserError: the key cannot be one.
    """
    pair = store.get(namespace or own, key, inherit=namespace is None)
    if pair is not None:
        return pair.value
    if error_on_missing:
        raise NotFound(f"The key '{key}' does not exist in the namespace '{namespace or own}'.")
    return None


def is_public_holiday(day: str, country: str | None, subdivision: str | None) -> bool:
    """Whether a day (ISO date) is a public holiday. Raises UserError: no such country or part."""
    if not country:
        raise UserError("The 'isPublicHoliday()' function expects a 'countryCode' argument.")
    when = date.fromisoformat(day)
    return when in _calendar(country.upper(), (subdivision or "").upper() or None, when.year)


@lru_cache(maxsize=CALENDARS_MAX)
def _calendar(country: str, subdivision: str | None, year: int) -> Any:
    # Jollyday, as the peer uses it, accepts "DE-BY" and "de_by" for parts, too.
    part = subdivision and subdivision.replace("_", "-").removeprefix(f"{country}-")
    try:
        return _holidays().country_holidays(country, subdiv=part, years=year)
    except NotImplementedError as error:
        raise UserError(f"The function isPublicHoliday(): {error}.") from None


def free_port() -> int:
    """A TCP port on which nobody listens at the moment."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        port: int = listener.getsockname()[1]
        return port
