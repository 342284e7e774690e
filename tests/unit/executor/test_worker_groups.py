"""Jobs of worker groups: topics of their own, and what happens where no worker of a group lives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.executor_harness import TOPICS, Bench

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.base import NewRecord
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_engine.executor.service import Executor
from tiercel_schemas import codec
from tiercel_schemas.ids import worker_id
from tiercel_schemas.jobs import TaskJob, WorkerHeartbeat


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = FakeClock()
    bench = Bench(MemoryLog(clock), clock, tmp_path)
    yield bench
    bench.close()


def flow(where: str, flow_where: str = "") -> str:
    return f"""id: placed
namespace: tests
{flow_where}
tasks:
  - id: one
    type: test.Work
    {where}
"""


def run(bench: Bench, source: str, *groups: str) -> str:
    """Run the executor until the execution's job is sent; the execution's state."""
    bench.save(source, "placed")
    for number, group in enumerate(groups):
        worker = worker_id(f"w{number}", 1)
        beat = WorkerHeartbeat(worker, 2, 2, "RUNNING", 0, 0, group, (1,))
        bench.appender.append(NewRecord(TOPICS.workers.name, f"w{number}", codec.encode(beat)))
    execution_id = bench.create(1, "placed")
    bench.appender.flush(5)
    executor: Executor = bench.executor()
    executor.open()
    for _ in range(5):
        executor.turn()
    executor.close()
    return bench.folded()[execution_id].state


def jobs(bench: Bench, group: str) -> list[tuple[str, int]]:
    """(task id, partition) of the jobs in a group's topic."""
    topic = TOPICS.jobs_of(group)
    bench.log.create_topics([topic])
    name = topic.name
    found = [(codec.decode(record.value), record.partition) for record in bench.records(name)]
    return [(job.task_id, partition) for job, partition in found if isinstance(job, TaskJob)]


@pytest.mark.parametrize(
    ("where", "flow_where", "group"),
    [
        ("workerGroup: {key: gpu}", "", "gpu"),
        ("workerSelector: {tags: [gpu]}", "", "gpu"),
        ("workerSelector: {tags: [linux, gpu]}", "", "gpu_linux"),
        ("", "workerGroup: {key: gpu}", "gpu"),
        ("workerGroup: {key: '{{ flow.id }}-{{ task.id }}'}", "", "placed-one"),
        ("workerSelector: {tags: ['{{ vars.kind }}', a]}", "variables: {kind: gpu}", "a_gpu"),
        ("", "workerGroup: {key: '{{ flow.namespace }}'}", "tests"),
        ("workerGroup: {key: gpu}", "workerGroup: {key: other}", "gpu"),
        ("", "", ""),
    ],
)
def test_a_job_goes_to_the_topic_of_its_group(
    bench: Bench, where: str, flow_where: str, group: str
) -> None:
    run(bench, flow(where, flow_where), "", group)
    assert jobs(bench, group) == [("one", 1)]
    if group:
        assert jobs(bench, "") == []


def test_a_job_of_a_group_without_workers_waits_in_its_topic(bench: Bench) -> None:
    assert run(bench, flow("workerGroup: {key: gpu}"), "") == "RUNNING"
    assert [task_id for task_id, _ in jobs(bench, "gpu")] == ["one"]


@pytest.mark.parametrize(
    ("where", "state", "sent"),
    [
        ("workerSelector: {tags: [gpu]}", "FAILED", 0),
        ("workerGroup: {key: gpu, fallback: FAIL}", "FAILED", 0),
        ("workerGroup: {key: gpu, fallback: CANCEL}", "CANCELLED", 0),
        ("workerGroup: {key: '{{ nothing.there }}'}", "FAILED", 0),
        ("workerGroup: {key: \"{{ read('x.txt') }}\"}", "FAILED", 0),
        ("workerSelector: {tags: [gpu]}\n    allowFailure: true", "WARNING", 0),
        (
            "workerSelector: {tags: [gpu]}\n    retry: {type: constant, interval: PT1M}",
            "RETRYING",
            0,
        ),
        ("workerSelector: {tags: [gpu], fallback: IGNORE}", "RUNNING", 1),
        ("workerGroup: {key: 'no such name!'}", "FAILED", 0),
    ],
)
def test_a_group_without_workers_fails_the_task_or_is_ignored(
    bench: Bench, where: str, state: str, sent: int
) -> None:
    assert run(bench, flow(where), "") == state
    assert len(jobs(bench, "")) == sent
    assert jobs(bench, "gpu") == []


def test_a_cancelled_execution_starts_nothing_more(bench: Bench) -> None:
    source = """id: placed
namespace: tests
tasks:
  - id: both
    type: io.kestra.plugin.core.flow.Parallel
    tasks:
      - {id: one, type: test.Work}
      - {id: two, type: test.Work, workerGroup: {key: gpu, fallback: CANCEL}}
      - {id: three, type: test.Work}
  - {id: four, type: test.Work}
errors:
  - {id: told, type: test.Work}
"""
    assert run(bench, source, "") == "CANCELLED"
    runs = bench.folded()[next(iter(bench.folded()))].runs_in_order()
    assert {(r.task_id, r.state) for r in runs} <= {
        (task_id, "CANCELLED") for task_id in ("both", "one", "two", "three")
    }
