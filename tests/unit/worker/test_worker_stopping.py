"""Kills, timeouts, superseded attempts and draining."""

from __future__ import annotations

import time

from tests.unit.worker.harness import Bench, Gate

from tiercel_schemas.commands import EndAttempt, ReturnJob, StartAttempt
from tiercel_schemas.jobs import WorkerHeartbeat

SLEEP = {"type": "io.kestra.plugin.core.flow.Sleep", "duration": "PT1H"}
GATE = {"type": "test.Gate"}


def _is_started(bench: Bench) -> bool:
    return bool(bench.of_kind(bench.topics.commands, StartAttempt))


def test_a_kill_reaches_a_running_task_in_under_a_second(bench: Bench) -> None:
    with bench.worker():
        job = bench.submit(SLEEP)
        bench.until(lambda: _is_started(bench))
        killed_s = time.monotonic()
        bench.revoke(job, "KILLED")
        end = bench.end()

    assert end.state == "KILLED"
    assert time.monotonic() - killed_s < 1.0


def test_a_job_killed_before_it_came_is_not_started(bench: Bench) -> None:
    with bench.worker():
        pass  # Makes the group, so that offsets are stored.
    job = bench.submit(GATE)
    bench.revoke(job, "KILLED")
    with bench.worker():
        bench.submit({"type": "io.kestra.plugin.core.log.Log", "message": "x"}, run="r2")
        bench.end("r2")

    starts = bench.of_kind(bench.topics.commands, StartAttempt)
    ends = bench.of_kind(bench.topics.commands, EndAttempt)
    # A slow machine starts and ends it by two commands.
    assert {command.task_run_id for command in [*starts, *ends]} == {"r2"}


def test_a_superseded_attempt_stops_and_says_nothing_more(bench: Bench) -> None:
    with bench.worker():
        job = bench.submit(GATE)
        bench.until(lambda: _is_started(bench) and Gate.running)
        bench.revoke(job, "SUPERSEDED")
        bench.until(lambda: not Gate.running)
        bench.submit({"type": "io.kestra.plugin.core.log.Log", "message": "x"}, run="r2")
        bench.end("r2")

    assert [end.task_run_id for end in bench.ends()] == ["r2"]


def test_a_newer_lease_is_not_touched_by_the_revocation_of_an_older_one(bench: Bench) -> None:
    with bench.worker():
        old = bench.submit(GATE, epoch=1)
        bench.until(lambda: len(Gate.running) == 1)
        bench.submit(GATE, epoch=2)
        bench.until(lambda: len(Gate.running) == 2)
        bench.revoke(old, "SUPERSEDED")
        bench.until(lambda: len(Gate.running) == 1)
        Gate.opened.set()
        end = bench.end()

    assert end.epoch == 2
    assert end.state == "SUCCESS"


def test_a_revocation_for_another_worker_is_left_alone(bench: Bench) -> None:
    with bench.worker():
        job = bench.submit(GATE)
        bench.until(lambda: Gate.running)
        bench.revoke(job, "SUPERSEDED", worker_id="w2")
        other = bench.submit(SLEEP, run="r2")
        bench.until(lambda: len(bench.of_kind(bench.topics.commands, StartAttempt)) == 2)
        bench.revoke(other, "KILLED")
        bench.end("r2")
        Gate.opened.set()
        end = bench.end()

    assert end.state == "SUCCESS"


def test_a_task_over_its_timeout_fails(bench: Bench) -> None:
    with bench.worker():
        bench.submit(SLEEP | {"timeout": "PT{{ 1 }}S"})
        end = bench.end()

    assert end.state == "FAILED"
    assert end.ended_us - end.started_us < 2_000_000
    assert [level for level, _ in bench.lines()] == ["INFO", "ERROR", "TRACE"]
    assert bench.lines()[1][1] == "Timeout after 00:00:01.000"


def test_a_drained_worker_lets_running_tasks_end(bench: Bench) -> None:
    with bench.worker() as worker:
        bench.submit(GATE)
        bench.until(lambda: Gate.running)
        worker.stop()
        bench.until(lambda: _states(bench)[-1] == "DRAINING")
        bench.submit(GATE, run="r2")
        Gate.opened.set()

    assert [(end.task_run_id, end.state) for end in bench.ends()] == [("r1", "SUCCESS")]
    assert _states(bench)[-1] == "STOPPED"
    with bench.worker("w2"):
        assert bench.end("r2").worker_id == "w2"


def test_a_drained_worker_hands_back_what_does_not_end(bench: Bench) -> None:
    with bench.worker(grace_s=0.05):
        bench.submit(GATE)
        bench.until(lambda: Gate.running)

    (returned,) = bench.of_kind(bench.topics.commands, ReturnJob)
    assert (returned.task_run_id, returned.epoch) == ("r1", 1)
    assert bench.ends() == []
    assert not Gate.running
    assert _states(bench)[-1] == "STOPPED"


def test_a_worker_beats_its_heart_with_its_free_slots(bench: Bench) -> None:
    with bench.worker(slots=2, heartbeat_s=0.05):
        bench.submit(GATE)
        beat = bench.until(
            lambda: next((b for b in _beats(bench) if b.free_slots == 1 and b.job_partitions), None)
        )
        Gate.opened.set()

    assert beat.slots == 2
    assert beat.job_partitions == tuple(range(8))


def _beats(bench: Bench) -> list[WorkerHeartbeat]:
    return bench.of_kind(bench.topics.workers, WorkerHeartbeat)


def _states(bench: Bench) -> list[str]:
    return [beat.state for beat in _beats(bench)]
