"""Regular expressions that authors write, compared with what others give: never for long."""

from __future__ import annotations

import regex

from tiercel_engine.flow.values import BadValue

#: How long a text may take to be compared with a pattern: some would take for ever.
MATCH_TIMEOUT_S = 1.0


def compiled(pattern: str) -> regex.Pattern[str]:
    """Raises ValueError: it is no regular expression."""
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise ValueError(str(error)) from None


def matches(pattern: str, text: str, whole: bool) -> bool:
    """Whether a text, or something in it, is as the pattern says.

    Raises:
        BadValue: it took too long to tell.
    """
    expression = compiled(pattern)
    compare = expression.fullmatch if whole else expression.search
    try:
        return compare(text, timeout=MATCH_TIMEOUT_S) is not None
    except TimeoutError:
        raise BadValue(f"it takes too long to match the pattern `{pattern}`") from None
