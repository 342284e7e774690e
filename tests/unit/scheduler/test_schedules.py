"""Schedules over a log in memory, under a fake clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scheduler_harness import CORE, TOPICS, Stage, flow, us

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_schemas import triggers as t
from tiercel_schemas.codec import decode

EVERY_MINUTE = f"""  - id: tick
    type: {CORE}.trigger.Schedule
    cron: "* * * * *"
"""


def schedule(cron: str, *lines: str) -> str:
    rest = "".join(f"    {line}\n" for line in lines)
    return f"  - id: tick\n    type: {CORE}.trigger.Schedule\n    cron: '{cron}'\n{rest}"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    clock = FakeClock(us("2024-12-31T23:57:30"))
    stage = Stage(MemoryLog(clock), clock, tmp_path)
    yield stage
    stage.close()


def test_each_date_starts_one_execution_through_the_end_of_a_year(stage: Stage) -> None:
    stage.scheduler()
    stage.save(flow("a", EVERY_MINUTE), "a")

    stage.until("2025-01-01T00:02:10", 20)

    assert stage.dates() == [
        "2024-12-31T23:58:00Z",
        "2024-12-31T23:59:00Z",
        "2025-01-01T00:00:00Z",
        "2025-01-01T00:01:00Z",
        "2025-01-01T00:02:00Z",
    ]
    first = stage.variables(stage.created()[0])
    assert first["next"] > first["date"] > first["previous"]


def test_a_trigger_waits_for_its_execution_and_then_follows_up(stage: Stage) -> None:
    scheduler = stage.scheduler()
    stage.save(flow("a", EVERY_MINUTE), "a")
    stage.turns(2)
    stage.clock.advance(31)
    scheduler.turn()
    stage.clock.advance(180)
    for _ in range(3):
        scheduler.turn()
        stage.executor.turn()
    assert len(stage.created()) == 1
    assert stage.state("a/tick").execution_id is not None

    stage.turns(12)

    assert len(stage.dates()) == 4
    assert stage.state("a/tick").execution_id is None


def test_several_run_at_once_when_the_trigger_allows_it(stage: Stage) -> None:
    scheduler = stage.scheduler()
    stage.save(flow("a", schedule("* * * * *", "allowConcurrent: true")), "a")
    scheduler.turn()
    stage.clock.advance(180)

    for _ in range(5):
        scheduler.turn()
        stage.executor.turn()

    assert len(stage.created()) == 3


@pytest.mark.parametrize(
    ("recovery", "dates"),
    [
        ("ALL", ["00:00:00Z", "01:00:00Z", "02:00:00Z", "03:00:00Z", "04:00:00Z"]),
        ("LAST", ["03:00:00Z", "04:00:00Z"]),
        ("NONE", ["04:00:00Z"]),
    ],
)
def test_dates_missed_while_no_scheduler_ran_are_recovered_as_asked(
    stage: Stage, recovery: str, dates: list[str]
) -> None:
    scheduler = stage.scheduler()
    stage.save(flow("a", schedule("@hourly", f"recoverMissedSchedules: {recovery}")), "a")
    stage.turns(2)
    stage.crash(scheduler)
    stage.clock.advance(3.5 * 3600)

    stage.scheduler()
    stage.turns(20)
    stage.until("2025-01-01T04:00:30", 600)

    assert [date[11:] for date in stage.dates()] == dates


def test_a_hand_over_loses_and_doubles_nothing_whatever_the_recovery(stage: Stage) -> None:
    source = flow("a", schedule("* * * * *", "recoverMissedSchedules: NONE"))
    stage.scheduler("0")
    stage.save(source, "a")
    for minute in range(6):
        stage.turns(3)
        stage.crash(stage.schedulers[0])
        stage.clock.advance(59)
        stage.scheduler(str(minute % 2))
        stage.turns(3)
    stage.turns(10)

    dates = stage.dates()
    assert len(dates) == len(set(dates)) == 6


def test_dates_that_come_too_late_start_nothing(stage: Stage) -> None:
    scheduler = stage.scheduler()
    stage.save(flow("a", schedule("* * * * *", "lateMaximumDelay: PT90S")), "a")
    stage.turns(2)
    stage.crash(scheduler)
    stage.clock.advance(3600)

    stage.scheduler()
    stage.turns(12)

    assert stage.dates() == ["2025-01-01T00:56:00Z", "2025-01-01T00:57:00Z"]


def test_conditions_leave_dates_out_and_next_and_previous_skip_them(stage: Stage) -> None:
    weekend = (
        "conditions:",
        f"  - type: {CORE}.condition.Weekend",
    )
    stage.scheduler()
    stage.save(flow("a", schedule("0 12 * * *", *weekend)), "a")

    stage.until("2025-01-13T00:00:00", 6 * 3600)

    assert [d[:10] for d in stage.dates()] == [
        "2025-01-04",
        "2025-01-05",
        "2025-01-11",
        "2025-01-12",
    ]
    sunday = next(
        v for v in map(stage.variables, stage.created()) if v["date"].startswith("2025-01-05")
    )
    assert sunday["previous"].startswith("2025-01-04")
    assert sunday["next"].startswith("2025-01-11")


def test_when_filters_dates_as_conditions_do(stage: Stage) -> None:
    stage.scheduler()
    when = "when: \"{{ trigger.date | date('dd') == '03' }}\""
    stage.save(flow("a", schedule("0 12 * * *", when)), "a")

    stage.until("2025-01-05T00:00:00", 6 * 3600)

    assert [d[:10] for d in stage.dates()] == ["2025-01-03"]


def test_a_condition_that_cannot_be_judged_gives_a_failed_execution(stage: Stage) -> None:
    broken = ("conditions:", f"  - type: {CORE}.condition.DayWeek", "    dayOfWeek: SOMEDAY")
    stage.scheduler()
    stage.save(flow("a", schedule("* * * * *", *broken)), "a")

    stage.until("2024-12-31T23:58:10", 10)

    (execution,) = stage.bench.folded().values()
    assert execution.state == "FAILED"


def test_inputs_and_labels_of_the_trigger_reach_the_execution(stage: Stage) -> None:
    lines = (
        "inputs: {day: \"{{ trigger.date | date('yyyy-MM-dd') }}\"}",
        "labels: {source: clock}",
    )
    stage.scheduler()
    inputs = "inputs:\n  - {id: day, type: STRING}\n  - {id: n, type: INT, defaults: 3}"
    stage.save(flow("a", schedule("* * * * *", *lines), inputs), "a")

    stage.until("2024-12-31T23:58:10", 10)

    (created,) = stage.created()
    assert created.inputs.json == '{"day":"2024-12-31","n":3}'
    assert ("source", "clock") in [(x.key, x.value) for x in created.labels]
    assert created.scheduled_us == us("2024-12-31T23:58:00")


def test_a_missing_input_gives_a_failed_execution_that_says_so(stage: Stage) -> None:
    stage.scheduler()
    stage.save(flow("a", EVERY_MINUTE, "inputs:\n  - {id: day, type: STRING}"), "a")

    stage.until("2024-12-31T23:58:10", 10)

    (execution,) = stage.bench.folded().values()
    assert execution.state == "FAILED"


def test_stop_after_disables_the_trigger(stage: Stage) -> None:
    stage.scheduler()
    stage.save(flow("a", schedule("* * * * *", "stopAfter: [FAILED]")), "a")

    stage.until("2025-01-01T00:03:00", 20, state="FAILED")

    assert len(stage.created()) == 1
    assert stage.state("a/tick").disabled


def test_a_disabled_trigger_rests_and_goes_on_when_enabled(stage: Stage) -> None:
    stage.scheduler()
    stage.save(flow("a", schedule("* * * * *", "recoverMissedSchedules: NONE")), "a")
    stage.turns(2)
    stage.ask(t.SetTriggerDisabled("c1", "main", "tests", "a", "tick", disabled=True), "a")
    stage.until("2025-01-01T00:10:30", 60)
    assert stage.created() == []

    stage.ask(t.SetTriggerDisabled("c2", "main", "tests", "a", "tick", disabled=False), "a")
    stage.until("2025-01-01T00:12:10", 20)

    assert stage.dates() == ["2025-01-01T00:11:00Z", "2025-01-01T00:12:00Z"]
    assert stage.state("a/tick").command_id == "c2"


def test_a_backfill_goes_through_its_dates_and_the_schedule_goes_on(stage: Stage) -> None:
    stage.scheduler()
    inputs = "inputs:\n  - {id: n, type: INT, defaults: 3}"
    stage.save(flow("a", schedule("0 * * * *"), inputs), "a")
    stage.turns(2)
    backfill = t.StartBackfill(
        "b1",
        "main",
        "tests",
        "a",
        "tick",
        start_us=us("2024-12-31T20:00:00"),
        end_us=us("2024-12-31T22:30:00"),
        inputs_json='{"n": 7}',
        labels=(),
    )
    stage.ask(backfill, "a")

    stage.turns(20)

    assert [d[11:16] for d in stage.dates()] == ["20:00", "21:00", "22:00"]
    assert {x.inputs.json for x in stage.created()} == {'{"n":7}'}
    assert stage.state("a/tick").backfill is None
    stage.until("2025-01-01T00:00:30", 60)
    assert next(iter(stage.dates()))[11:16] == "20:00"
    assert len(stage.dates()) == 4


def test_a_backfill_can_be_paused_resumed_and_dropped(stage: Stage) -> None:
    scheduler = stage.scheduler()
    stage.save(flow("a", schedule("0 * * * *")), "a")
    stage.turns(2)
    start, end = us("2024-12-31T10:00:00"), us("2024-12-31T20:30:00")
    stage.ask(t.StartBackfill("b1", "main", "tests", "a", "tick", start_us=start, end_us=end), "a")
    scheduler.turn()
    stage.ask(t.SetBackfillPaused("b2", "main", "tests", "a", "tick", paused=True), "a")
    stage.turns(12)
    assert len(stage.created()) == 1
    backfill = stage.state("a/tick").backfill
    assert backfill is not None
    assert backfill.paused

    stage.ask(t.SetBackfillPaused("b3", "main", "tests", "a", "tick", paused=False), "a")
    stage.turns(4)
    assert len(stage.created()) > 1
    stage.ask(t.EndBackfill("b4", "main", "tests", "a", "tick"), "a")
    stage.turns(2)
    count = len(stage.created())
    stage.turns(12)

    assert len(stage.created()) == count
    stage.ask(t.EndBackfill("b5", "main", "tests", "a", "tick"), "a")
    stage.turns(1)
    assert stage.state("a/tick").refusal == "No backfill found"


def test_a_locked_trigger_can_be_unlocked(stage: Stage) -> None:
    scheduler = stage.scheduler()
    stage.save(flow("a", EVERY_MINUTE), "a")
    scheduler.turn()
    stage.clock.advance(200)
    scheduler.turn()
    scheduler.turn()
    assert stage.state("a/tick").execution_id is not None

    stage.ask(t.UnlockTrigger("u1", "main", "tests", "a", "tick"), "a")
    scheduler.turn()
    stage.executor.turn()

    assert len(stage.created()) == 2


def test_states_follow_the_flow(stage: Stage) -> None:
    stage.scheduler()
    stage.save(flow("a", EVERY_MINUTE), "a")
    stage.turns(1)
    stage.save(flow("a", EVERY_MINUTE.replace("tick", "tock")), "a")
    stage.turns(1)
    assert list(stage.schedulers[0].states()) == ["main/tests/a/tock"]

    stage.save(flow("a", EVERY_MINUTE, "disabled: true"), "a")
    stage.until("2025-01-01T00:03:00", 30)

    assert stage.created() == []


def test_what_is_asked_of_no_trigger_is_answered_by_its_end(stage: Stage) -> None:
    stage.scheduler()
    stage.save(flow("a", EVERY_MINUTE), "a")
    stage.turns(1)

    stage.ask(t.DeleteTrigger("d1", "main", "tests", "a", "tick"), "a")
    stage.ask(t.DeleteTrigger("d2", "main", "tests", "a", "nobody"), "a")
    stage.turns(1)

    answers = stage.bench.records(TOPICS.triggers.name)[-2:]
    assert [record.key for record in answers] == ["main/tests/a/tick", "main/tests/a/nobody"]
    assert "the flow still declares it" in decode(answers[0].value).refusal
    assert answers[1].value is None


def test_dates_are_given_in_the_zone_of_the_schedule(stage: Stage) -> None:
    stage.scheduler()
    stage.save(flow("a", schedule("30 9 * * *", "timezone: Asia/Tokyo")), "a")

    stage.until("2025-01-01T01:00:00", 600)

    assert stage.dates() == ["2025-01-01T09:30:00+09:00"]


def test_given_dates_start_one_execution_each(stage: Stage) -> None:
    triggers = f"""  - id: days
    type: {CORE}.trigger.ScheduleOnDates
    timezone: Europe/Paris
    dates: ["2025-01-01T02:00:00", "2025-01-01T00:30:00+00:00", "2020-01-01T00:00:00Z"]
"""
    stage.scheduler()
    stage.save(flow("a", triggers), "a")

    stage.until("2025-01-01T03:00:00", 600)

    assert stage.dates() == ["2025-01-01T01:30:00+01:00", "2025-01-01T02:00:00+01:00"]
