"""Workers over a real Kafka: the group, the pauses, the kill and the drain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.unit.worker.harness import Bench, Gate

from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.kafka import KafkaLog
from tiercel_schemas.commands import ReturnJob, StartAttempt
from tiercel_schemas.jobs import WorkerHeartbeat
from tiercel_schemas.topics import Topics

pytestmark = pytest.mark.kafka

LOG = {"type": "io.kestra.plugin.core.log.Log", "message": "hi"}


@pytest.fixture
def bench(kafka_bootstrap: str, tmp_path: Path) -> Iterator[Bench]:
    topics = Topics(f"test-{uuid4().hex[:8]}.", partitions=4)
    bench = Bench(KafkaLog(kafka_bootstrap, SystemClock()), tmp_path, topics)
    yield bench
    bench.close()


def test_many_jobs_run_once_each_within_the_slots(bench: Bench) -> None:
    with bench.worker(slots=2):
        for n in range(6):
            bench.submit({"type": "test.Gate"}, run=f"g{n}")
        bench.until(lambda: len(Gate.running) == 2)
        Gate.opened.set()
        for n in range(200):
            bench.submit(LOG, run=f"r{n}")
        bench.until(lambda: len(bench.ends()) == 206, within_s=60)

    assert Gate.most == 2
    assert len({end.task_run_id for end in bench.ends()}) == 206


def test_a_kill_reaches_a_running_script_in_under_a_second(bench: Bench) -> None:
    task = {"type": "io.kestra.plugin.scripts.shell.Commands", "commands": ["sleep 600"]}
    with bench.worker():
        job = bench.submit(task)
        bench.until(lambda: bench.of_kind(bench.topics.commands, StartAttempt))
        killed_s = time.monotonic()
        bench.revoke(job, "KILLED")
        end = bench.end()

    assert end.state == "KILLED"
    assert time.monotonic() - killed_s < 1.0


def test_a_drained_worker_leaves_its_partitions_to_the_other(bench: Bench) -> None:
    with bench.worker("w2"):
        with bench.worker("w1", grace_s=0.1):
            # Before the group is settled a job may be delivered to both.
            bench.until(lambda: _partitions(bench, "w1") == _partitions(bench, "w2") == 2)
            for n in range(8):
                bench.submit({"type": "test.Gate"}, run=f"g{n}")
            bench.until(lambda: len(Gate.running) == 8)
        Gate.opened.set()
        for n in range(20):
            bench.submit(LOG, run=f"r{n}")
        bench.until(lambda: len(_ended(bench) | _returned(bench)) == 28, within_s=60)

    assert _returned(bench).isdisjoint(_ended(bench))
    workers = {end.task_run_id: end.worker_id for end in bench.ends()}
    assert {workers[f"r{n}"] for n in range(20)} == {"w2"}


def _ended(bench: Bench) -> set[str]:
    return {end.task_run_id for end in bench.ends()}


def _returned(bench: Bench) -> set[str]:
    return {job.task_run_id for job in bench.of_kind(bench.topics.commands, ReturnJob)}


def _partitions(bench: Bench, worker_id: str) -> int:
    beats = bench.of_kind(bench.topics.workers, WorkerHeartbeat)
    return next((len(b.job_partitions) for b in reversed(beats) if b.worker_id == worker_id), 0)
