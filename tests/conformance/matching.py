"""Compares what a case expects with what is there; matchers are texts of a certain form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_OF_ANOTHER_ID = re.compile(r"^(.*) \(execution id = (\w+)\)$")
_PLACEHOLDER = re.compile(r"<[^<>]+>")
SHOWN_CHARS = 160


@dataclass(frozen=True)
class Matcher:
    """Compares values of one execution.

    Attributes:
        names: what placeholders such as `<parent id>` stand for.
        read: the content of a stored file.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[str], str] = str

    def problems(self, where: str, expected: Any, actual: Any) -> Iterator[str]:
        """What does not fit: maps may hold more than is expected, all else must be equal."""
        if isinstance(expected, dict) and isinstance(actual, dict):
            for name, value in expected.items():
                if name not in actual and value is not None:
                    yield f"{where}.{name}: expected {shown(value)}, got nothing"
                else:
                    yield from self.problems(f"{where}.{name}", value, actual.get(name))
        elif not self.fits(expected, actual):
            yield f"{where}: expected {shown(expected)}, got {shown(actual)}"

    def fits(self, expected: Any, actual: Any) -> bool:
        if isinstance(expected, str):
            return self._fits_text(expected, actual)
        if isinstance(expected, list) and isinstance(actual, list):
            return len(expected) == len(actual) and all(map(self.fits, expected, actual))
        if isinstance(expected, dict) and isinstance(actual, dict):
            return not list(self.problems("", expected, actual))
        if isinstance(expected, bool) or isinstance(actual, bool):
            return expected is actual
        return bool(expected == actual)

    def _fits_text(self, expected: str, actual: Any) -> bool:
        for name, value in self.names.items():
            expected = expected.replace(name, value)
        if match := _OF_ANOTHER_ID.match(expected):
            own = self.names.get("<execution id>", match[2])
            expected = match[1].replace(f"/{match[2]}/", f"/{own}/")
        if expected.startswith("regex:"):
            return re.search(expected.removeprefix("regex:"), str(actual)) is not None
        if expected.startswith("contains: "):
            return expected.removeprefix("contains: ") in str(actual)
        if expected.startswith("startswith "):
            return str(actual).startswith(expected.removeprefix("startswith "))
        if expected.startswith("any of "):
            return actual in expected.removeprefix("any of ").split(", ")
        if _PLACEHOLDER.fullmatch(expected):
            return self._fits_description(expected[1:-1], actual)
        return bool(expected == actual)

    def _fits_description(self, description: str, actual: Any) -> bool:
        if "date-time" in description:
            return _is_instant(actual)
        if "uri" not in description:
            return actual not in (None, "", {})
        if not str(actual).startswith("kestra://"):
            return False
        if match := re.search(r"content (.+)$", description):
            return self.read(str(actual)).strip() == match[1]
        if match := re.search(r"(\d+) lines", description):
            return len(self.read(str(actual)).splitlines()) == int(match[1])
        return True


def _is_instant(value: Any) -> bool:
    try:
        return datetime.fromisoformat(re.sub(r"\[.*\]$", "", str(value))) is not None
    except ValueError:
        return False


def shown(value: Any) -> str:
    """A value on one line, cut."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"
