"""Glob patterns over paths with `/`, as authors write them in `include`, `exclude` and the like.

`*` and `?` stay inside one folder, `**` crosses folders, `{a,b}` and `[a-z]` choose. A pattern is
matched against the whole path from its root; one that ends with `/` means all below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from tiercel_engine.errors import UserError

PATTERN_CHARS_MAX = 1_000
#: Alternatives inside alternatives.
NESTING_MAX = 5

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[[!^]?\]?[^\]/]*\]|\{|\}|,|\\.|[^*?\[{},\\]+|.", re.DOTALL)
_FIXED = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@lru_cache(maxsize=1_024)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression for whole paths without a leading slash.

    Raises:
        UserError: it is too long, or its braces do not pair.
    """
    if len(pattern) > PATTERN_CHARS_MAX:
        raise UserError(f"Expected a pattern of at most {PATTERN_CHARS_MAX} characters.")
    text = pattern.removeprefix("glob:").lstrip("/")
    if not text or text.endswith("/"):
        text += "**"
    parts, depth = [], 0
    for token in _TOKEN.findall(text):
        depth += (token == "{") - (token == "}")
        if not 0 <= depth <= NESTING_MAX:
            raise UserError(f"Expected a pattern with braces that pair, but it was {pattern!r}.")
        parts.append(_piece(token, depth))
    if depth:
        raise UserError(f"Expected a pattern with braces that pair, but it was {pattern!r}.")
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error as error:
        raise UserError(f"Expected a glob pattern, but {pattern!r}: {error}.") from None


def matcher(include: Iterable[str] = (), exclude: Iterable[str] = ()) -> Callable[[str], bool]:
    """Whether a path is included (all are when nothing is) and not excluded. Raises as above."""
    wanted = [compiled(pattern) for pattern in include]
    refused = [compiled(pattern) for pattern in exclude]

    def matches(path: str) -> bool:
        path = path.lstrip("/")
        if wanted and not any(pattern.fullmatch(path) for pattern in wanted):
            return False
        return not any(pattern.fullmatch(path) for pattern in refused)

    return matches


def _piece(token: str, depth: int) -> str:
    if token in _FIXED:
        return _FIXED[token]
    if token == "{":
        return "(?:"
    if token == "}":
        return ")"
    if token == ",":
        return "|" if depth else ","
    if token.startswith("[") and len(token) > 2:
        body = token[1:-1].replace("\\", "\\\\")
        return f"[^{body[1:]}]" if body[0] in "!^" else f"[{body}]"
    if token.startswith("\\") and len(token) == 2:
        return re.escape(token[1])
    return re.escape(token)
