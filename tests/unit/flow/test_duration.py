"""ISO 8601 durations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiercel_engine.flow.duration import format_duration, parse_duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT10S", 10.0),
        ("pt1m", 60.0),
        ("PT1H30M0.5S", 5400.5),
        ("P2D", 172_800.0),
        ("P1DT1S", 86_401.0),
        ("-PT5S", -5.0),
        ("PT-5S", -5.0),
        ("PT0S", 0.0),
        ("PT1,5S", 1.5),
        ("12.5", 12.5),
        (" PT1S ", 1.0),
        (3, 3.0),
    ],
)
def test_a_duration_is_read_as_seconds(text: Any, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1DT", "P1Y", "1h", "nan", "inf", "PT" + "9" * 5_000 + "S", True, [], None],
)
def test_what_is_no_duration_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="Expected a duration such as PT10S"):
        parse_duration_s(text)


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_what_is_written_is_read_back(total_us: int) -> None:
    assert round(parse_duration_s(format_duration(total_us)) * 1_000_000) == total_us
