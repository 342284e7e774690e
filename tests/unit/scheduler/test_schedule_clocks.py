"""Schedules under a fake clock: ends of years, leap days, clocks that are changed, four zones."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.scheduler_harness import CORE, Stage, flow, us

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.memory import MemoryLog


def schedule(cron: str, zone: str) -> str:
    return (
        f'  - {{id: tick, type: {CORE}.trigger.Schedule, cron: "{cron}", timezone: "{zone}",'
        ' when: "{{ trigger.date is defined }}"}\n'
    )


@pytest.mark.parametrize(
    ("zone", "cron", "begins", "ends", "dates"),
    [
        # Spring: the time that does not exist comes right after the gap, once.
        ("Europe/Paris", "30 2 * * *", "2024-03-29T12:00:00", "2024-04-01T12:00:00",
         ["2024-03-30T02:30:00+01:00", "2024-03-31T03:00:00+02:00", "2024-04-01T02:30:00+02:00"]),
        ("America/New_York", "30 2 * * *", "2024-03-09T12:00:00", "2024-03-11T12:00:00",
         ["2024-03-10T03:00:00-04:00", "2024-03-11T02:30:00-04:00"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2024-10-05T12:00:00", "2024-10-07T12:00:00",
         ["2024-10-06T02:30:00+11:00", "2024-10-07T02:15:00+11:00"]),
        ("America/Santiago", "0 0 * * *", "2024-09-07T12:00:00", "2024-09-09T12:00:00",
         ["2024-09-08T01:00:00-03:00", "2024-09-09T00:00:00-03:00"]),
        # Autumn: the time that comes twice counts once.
        ("Europe/Paris", "30 2 * * *", "2024-10-26T12:00:00", "2024-10-28T12:00:00",
         ["2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"]),
        ("America/New_York", "30 1 * * *", "2024-11-02T12:00:00", "2024-11-04T12:00:00",
         ["2024-11-03T01:30:00-04:00", "2024-11-04T01:30:00-05:00"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2024-04-06T12:00:00", "2024-04-08T12:00:00",
         ["2024-04-07T01:45:00+11:00", "2024-04-08T01:45:00+10:30"]),
        ("America/Santiago", "30 23 * * *", "2024-04-06T12:00:00", "2024-04-08T12:00:00",
         ["2024-04-06T23:30:00-03:00", "2024-04-07T23:30:00-04:00"]),
        # What runs all the time counts real time, through both.
        ("Europe/Paris", "*/30 * * * *", "2024-10-27T00:10:00", "2024-10-27T02:10:00",
         ["2024-10-27T02:30:00+02:00", "2024-10-27T02:00:00+01:00", "2024-10-27T02:30:00+01:00",
          "2024-10-27T03:00:00+01:00"]),
        ("America/New_York", "0 * * * *", "2024-03-10T05:30:00", "2024-03-10T08:30:00",
         ["2024-03-10T01:00:00-05:00", "2024-03-10T03:00:00-04:00", "2024-03-10T04:00:00-04:00"]),
        # Leap days, and a year that has none.
        ("Europe/Paris", "0 12 29 2 *", "2024-02-28T00:00:00", "2024-03-02T00:00:00",
         ["2024-02-29T12:00:00+01:00"]),
        ("America/New_York", "0 0 L 2 *", "2025-02-27T00:00:00", "2025-03-02T00:00:00",
         ["2025-02-28T00:00:00-05:00"]),
        # The year ends at another instant in each zone.
        ("Australia/Lord_Howe", "59 23 31 12 *", "2024-12-31T00:00:00", "2025-01-01T23:00:00",
         ["2024-12-31T23:59:00+11:00"]),
        ("America/Santiago", "@yearly", "2024-12-31T12:00:00", "2025-01-01T12:00:00",
         ["2025-01-01T00:00:00-03:00"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("restarts", [False, True])
def test_each_date_starts_one_execution_however_clocks_and_calendars_go(
    tmp_path: Path, zone: str, cron: str, begins: str, ends: str, dates: list[str], restarts: bool
) -> None:
    # given
    clock = FakeClock(us(begins))
    stage = Stage(MemoryLog(clock), clock, tmp_path)
    scheduler = stage.scheduler()
    stage.save(flow("ticks", schedule(cron, zone)), "ticks")
    stage.turns(2)
    step_s = (us(ends) - us(begins)) / 40e6

    # when
    stage.until(ends, step_s)
    if restarts:
        stage.crash(scheduler)
        stage.scheduler("1")
        stage.turns(4)

    # then: sorted by instant, since offsets change
    started = [stage.variables(created)["date"] for created in stage.created("ticks")]
    assert sorted(started, key=us) == dates
    stage.close()
