"""What `tiercel trigger list` says of a trigger."""

from __future__ import annotations

from typing import Any

import pytest

from tiercel_cli.trigger import progress


@pytest.mark.parametrize(
    ("current", "paused", "words"),
    [
        ("2026-01-01T00:00:00Z", False, "0%"),
        ("2026-01-06T00:00:00Z", False, "50%"),
        ("2026-01-06T00:00:00Z", True, "50%, paused"),
        ("2026-01-11T00:00:00Z", False, "100%"),
    ],
)
def test_a_backfill_shows_how_far_it_has_come(current: str, paused: bool, words: str) -> None:
    backfill: dict[str, Any] = {
        "start": "2026-01-01T00:00:00Z",
        "end": "2026-01-11T00:00:00.000Z",
        "currentDate": current,
        "paused": paused,
    }

    assert progress(backfill) == words
