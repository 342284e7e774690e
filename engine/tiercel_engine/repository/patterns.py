"""Regular expressions of a search: short, and for so long only.

A search may look at millions of texts, so what is bounded is the whole of it and not one match.
PostgreSQL has its own expressions and its own bound (`statement_timeout`); what stands here serves
SQLite and what no database holds.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import regex

from tiercel_engine.errors import UserError

PATTERN_CHARS_MAX = 200
#: Seconds that the patterns of one search may take together.
SEARCH_S_MAX = 5.0


class SearchTooSlow(UserError):
    """A search with a regular expression took too long, or the database does not read it."""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """A pattern compiled. Raises UserError: it is too long, or none."""
    if len(pattern) > PATTERN_CHARS_MAX:
        raise UserError(f"Expected a regular expression of at most {PATTERN_CHARS_MAX} characters.")
    try:
        return regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError, ValueError) as error:
        raise UserError(f"Expected a regular expression, but {pattern!r}: {error}.") from None


class Patterns:
    """The patterns of one search, which share one bound of time."""

    __slots__ = ("_left_s", "_search_s_max")

    def __init__(self, search_s_max: float = SEARCH_S_MAX) -> None:
        self.restart(search_s_max)

    def restart(self, search_s_max: float) -> None:
        """Another search begins, which may take so long."""
        self._search_s_max = self._left_s = search_s_max

    @property
    def is_exhausted(self) -> bool:
        """Whether the last search took too long."""
        return self._left_s <= 0

    def matches(self, pattern: str, text: str | None) -> bool:
        """Whether a pattern is found in a text. Raises SearchTooSlow."""
        if text is None:
            return False
        started = time.perf_counter()
        try:
            if self._left_s > 0:
                return compiled(pattern).search(text, timeout=self._left_s) is not None
        except TimeoutError:
            self._left_s = 0.0
        finally:
            self._left_s -= time.perf_counter() - started
        raise too_slow(self._search_s_max)


def too_slow(search_s_max: float) -> SearchTooSlow:
    """What a search says that took too long."""
    return SearchTooSlow(
        f"Expected regular expressions that take at most {search_s_max:g} s for one search; "
        "narrow it by namespace or time, or use a simpler pattern."
    )
