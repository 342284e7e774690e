"""Flow triggers with `onMiss`, and the windows of dialect 2.0, under a fake clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scheduler_harness import CORE, Stage, flow, us

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_schemas import triggers as t

SOURCE = """id: {name}
namespace: tests
tasks:
  - {{id: work, type: io.kestra.plugin.core.log.Log, message: hi}}
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    clock = FakeClock(us("2025-03-05T08:00:00"))
    stage = Stage(MemoryLog(clock), clock, tmp_path)
    stage.scheduler()
    for name in ("first", "other"):
        stage.save(SOURCE.format(name=name), name)
    yield stage
    stage.close()


def waits(window: str, on_miss: str = "onMiss: {behavior: FAIL, labels: {sla: miss}}") -> str:
    """A flow that waits for both others."""
    return flow(
        "second",
        f"""  - id: after
    type: {CORE}.trigger.Flow
    dependsOn:
      - {{namespace: tests, flowId: first}}
      - {{namespace: tests, flowId: other}}
    window: {{{window}}}
    {on_miss}
""",
    )


def run(stage: Stage, number: int, flow_id: str) -> None:
    stage.bench.create(number, flow_id)
    stage.turns(8)


def starts(stage: Stage) -> list[str]:
    """Of each start the deadline that was missed, or the state of what came last; sorted."""
    found = [stage.variables(created) for created in stage.created("second")]
    return sorted(variables.get("deadline") or variables["state"] for variables in found)


def state_of(stage: Stage, execution_id: str | None) -> str:
    assert execution_id is not None
    return stage.bench.folded()[execution_id].state


def test_a_window_that_ends_without_all_gives_a_failed_execution_with_labels(
    stage: Stage,
) -> None:
    stage.save(waits('deadline: "09:00:00"'), "second")
    run(stage, 1, "first")

    # when
    stage.until("2025-03-05T09:10:00", 60)

    # then
    (created,) = stage.created("second")
    assert state_of(stage, stage.state("second/after").last_execution_id) == "FAILED"
    assert {"sla": "miss"}.items() <= {x.key: x.value for x in created.labels}.items()
    variables = stage.variables(created)
    assert variables["deadline"] == "2025-03-05T09:00:00Z"
    assert [one["flowId"] for one in variables["executions"]] == ["first"]
    assert stage.state("second/after").arrivals == ()


def test_each_window_is_missed_or_kept_by_itself(stage: Stage) -> None:
    stage.save(waits('deadline: "09:00:00"'), "second")

    # when: kept on the first day, missed on the second, late on the third
    run(stage, 1, "first")
    run(stage, 2, "other")
    stage.until("2025-03-06T08:00:00", 3_600)
    run(stage, 3, "first")
    stage.until("2025-03-07T09:30:00", 3_600)
    run(stage, 4, "first")
    run(stage, 5, "other")
    stage.turns(4)

    # then
    assert starts(stage) == ["2025-03-06T09:00:00Z", "2025-03-07T09:00:00Z", "SUCCESS"]


def test_windows_of_one_length_follow_each_other(stage: Stage) -> None:
    stage.save(waits("every: PT1H, offset: PT30M"), "second")

    run(stage, 1, "first")
    run(stage, 2, "other")
    stage.until("2025-03-05T10:45:00", 300)

    assert starts(stage) == ["2025-03-05T09:30:00Z", "2025-03-05T10:30:00Z", "SUCCESS"]


def test_what_came_in_time_counts_although_it_is_heard_of_after_the_end(stage: Stage) -> None:
    stage.save(waits('deadline: "09:00:00"'), "second")
    run(stage, 1, "first")
    stage.until("2025-03-05T08:59:58", 60)
    scheduler = stage.schedulers.pop()
    run(stage, 2, "other")

    # when: the scheduler hears of it after the end, within the grace
    stage.clock.advance(4)
    stage.schedulers.append(scheduler)
    stage.until("2025-03-05T09:01:00", 1)

    # then
    assert starts(stage) == ["SUCCESS"]


def test_ends_that_pass_while_no_scheduler_runs_are_told_once(stage: Stage) -> None:
    stage.save(waits('deadline: "09:00:00"'), "second")
    stage.turns(2)
    stage.crash(stage.schedulers[0])
    stage.clock.advance(2 * 86_400 + 7_200)

    # when
    stage.scheduler("1")
    stage.until("2025-03-07T10:01:00", 10)

    # then
    assert starts(stage) == ["2025-03-07T09:00:00Z"]


def test_a_disabled_trigger_misses_nothing(stage: Stage) -> None:
    stage.save(waits('deadline: "09:00:00"'), "second")
    stage.turns(2)
    for at, disabled in (("2025-03-05T08:30:00", True), ("2025-03-06T12:00:00", False)):
        stage.until(at, 3_600)
        number = str(disabled)
        stage.ask(
            t.SetTriggerDisabled(number, "main", "tests", "second", "after", disabled), "second"
        )
        stage.turns(2)

    stage.until("2025-03-07T09:01:00", 3_600)

    assert starts(stage) == ["2025-03-07T09:00:00Z"]


def test_a_miss_survives_the_scheduler_and_comes_once(stage: Stage) -> None:
    stage.save(waits('deadline: "09:00:00"'), "second")
    stage.until("2025-03-05T08:59:59", 600)

    # when: one dies before the end, the next after it told
    stage.crash(stage.schedulers[0])
    stage.scheduler("1")
    stage.until("2025-03-05T09:00:20", 2)
    stage.crash(stage.schedulers[0])
    stage.scheduler("2")
    stage.until("2025-03-05T09:01:00", 2)

    # then
    assert len(stage.created("second")) == 1


def test_without_on_miss_nothing_happens(stage: Stage) -> None:
    stage.save(waits('deadline: "09:00:00"', ""), "second")

    stage.until("2025-03-06T10:00:00", 3_600)

    assert stage.created("second") == []
