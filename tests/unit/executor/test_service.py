"""The executor over a log in memory, turn by turn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.executor_harness import SETTINGS, TOPICS, Bench, PlayedWorker

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.base import NewRecord
from tiercel_engine.eventlog.memory import Faults, MemoryLog
from tiercel_engine.execution.model import Execution
from tiercel_engine.executor.service import Executor
from tiercel_engine.executor.settings import EventsFormat, ExecutorSettings
from tiercel_schemas import codec
from tiercel_schemas import commands as c
from tiercel_schemas import events as e
from tiercel_schemas.common import Payload, PositionRange, ReplyTo
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import worker_id
from tiercel_schemas.jobs import TaskJob, WorkerHeartbeat
from tiercel_schemas.state import State

FLOW = """id: two
namespace: tests
tasks:
  - id: a
    type: test.Work
  - id: b
    type: test.Work
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = FakeClock()
    bench = Bench(MemoryLog(clock), clock, tmp_path)
    bench.save(FLOW, "two")
    yield bench
    bench.close()


@pytest.fixture
def executor(bench: Bench) -> Iterator[Executor]:
    executor = bench.executor()
    executor.open()
    yield executor
    executor.close()


def drive(executor: Executor, worker: PlayedWorker, turns: int = 12) -> None:
    for _ in range(turns):
        executor.turn()
        worker.turn()


def test_an_execution_runs_to_its_end(bench: Bench, executor: Executor) -> None:
    execution_id = bench.create(1, "two")

    drive(executor, PlayedWorker(bench))

    assert bench.folded()[execution_id].state == State.SUCCESS
    assert executor.live_executions() == {}


def test_an_unreadable_command_goes_to_the_dead_letters_and_the_partition_goes_on(
    bench: Bench, executor: Executor
) -> None:
    execution_id = bench.create(1, "two")
    for key in ("x", "y", execution_id):
        bench.appender.append(NewRecord(TOPICS.commands.name, key, b"not a command"))

    drive(executor, PlayedWorker(bench))

    letters = bench.records(TOPICS.dead_letters.name)
    assert [letter.value for letter in letters] == [b"not a command"] * 3
    headers = letters[0].headers
    assert headers is not None
    assert b"single-object" in headers["tiercel-reason"]
    assert headers["tiercel-source-topic"] == TOPICS.commands.name.encode()
    assert bench.folded()[execution_id].state == State.SUCCESS


def test_a_record_that_is_no_command_goes_to_the_dead_letters(
    bench: Bench, executor: Executor
) -> None:
    bench.send(FlowRevision("tests", "two", 9, FLOW, 0), key="z")

    executor.turn()

    (letter,) = bench.records(TOPICS.dead_letters.name)
    assert letter.headers is not None
    assert b"Expected a command" in letter.headers["tiercel-reason"]


def test_an_unknown_flow_is_rejected(bench: Bench, executor: Executor) -> None:
    bench.create(1, "nowhere")

    executor.turn()

    (rejection,) = bench.rejections()
    assert rejection.kind == "NOT_FOUND"
    assert "nowhere" in rejection.reason


def test_a_repeated_create_starts_nothing_also_after_the_end(
    bench: Bench, executor: Executor
) -> None:
    worker = PlayedWorker(bench)
    execution_id = bench.create(1, "two", deduplicate=True)
    bench.create(1, "two", deduplicate=True)
    drive(executor, worker)

    bench.create(1, "two", deduplicate=True)
    drive(executor, worker)

    assert [batch.cause for batch in bench.batches()[execution_id]].count("CreateExecution") == 1
    assert len(worker.ran) == 2


def test_a_create_is_remembered_by_the_next_owner(bench: Bench) -> None:
    first = bench.executor()
    first.open()
    worker = PlayedWorker(bench)
    execution_id = bench.create(1, "two", deduplicate=True)
    drive(first, worker)
    first.close()

    second = bench.executor()
    second.open()
    bench.create(1, "two", deduplicate=True)
    drive(second, worker)

    assert [batch.cause for batch in bench.batches()[execution_id]].count("CreateExecution") == 1
    second.close()


def recovered(bench: Bench, settings: ExecutorSettings) -> dict[str, Execution]:
    """What a new executor holds in memory before it processes anything."""
    executor = bench.executor(settings)
    executor.open()
    executor.turn()
    live = executor.live_executions()
    executor.close()
    return live


@pytest.mark.parametrize("checkpoint_after", [1, 3, 1_000_000])
def test_checkpoint_and_tail_give_the_state_that_offset_zero_gives(
    bench: Bench, tmp_path: Path, checkpoint_after: int
) -> None:
    settings = ExecutorSettings(
        idle_poll_s=0.0, checkpoint_every_s=0.0, checkpoint_after_records=checkpoint_after
    )
    executor = bench.executor(settings)
    executor.open()
    worker = PlayedWorker(bench)
    for number in range(6):
        bench.create(number, "two", deduplicate=number % 2 == 0)
    executor.turn()
    worker.turn()
    executor.turn()
    executor.turn()
    before = executor.live_executions()
    executor.close()
    assert before

    from_checkpoint = recovered(bench, settings)
    shutil.rmtree(tmp_path / "_checkpoints", ignore_errors=True)
    from_zero = recovered(bench, settings)

    assert from_checkpoint == before
    assert from_zero == before


def test_a_commit_in_doubt_is_decided_by_the_log(bench: Bench, executor: Executor) -> None:
    worker = PlayedWorker(bench)
    log = bench.log
    assert isinstance(log, MemoryLog)
    log.faults = Faults(uncertain=0.5)
    ids = [bench.create(number, "two") for number in range(10)]

    for _ in range(60):
        executor.turn()
        worker.turn()
    log.faults = Faults()
    drive(executor, worker)

    folded = bench.folded()
    assert {folded[i].state for i in ids} == {State.SUCCESS}


def test_a_fenced_executor_rebuilds_and_its_successor_loses_nothing(bench: Bench) -> None:
    old = bench.executor(instance="same")
    old.open()
    new = bench.executor(instance="same")
    new.open()
    worker = PlayedWorker(bench)
    execution_id = bench.create(1, "two")

    for _ in range(20):
        new.turn()
        worker.turn()

    assert bench.folded()[execution_id].state == State.SUCCESS
    old.close()
    new.close()


def test_a_lost_timer_is_derived_again_after_a_restart(bench: Bench) -> None:
    bench.save(
        FLOW.replace("id: two", "id: retried").replace(
            "  - id: b", "    retry: {type: constant, interval: PT10S, maxAttempts: 2}\n  - id: b"
        ),
        "retried",
    )
    first = bench.executor()
    first.open()
    worker = PlayedWorker(bench)
    execution_id = bench.create(1, "retried")
    first.turn()
    worker.turn(State.FAILED)
    first.turn()
    assert bench.folded()[execution_id].state == State.RETRYING
    first.close()

    second = bench.executor()
    second.open()
    second.turn()
    bench.clock.advance(11)
    drive(second, worker)

    assert bench.folded()[execution_id].state == State.SUCCESS
    second.close()


def test_a_flow_is_stored_with_the_next_revision_and_conflicts_are_rejected(
    bench: Bench, executor: Executor
) -> None:
    def save(command_id: str, expected: int | None, source: str = FLOW) -> None:
        command = c.SaveFlow(command_id, "tests", "two", source, 0, expected_revision=expected)
        bench.send(command, key="main/tests/two")

    save("again", 0)
    save("second", 1)
    save("late", 1)
    save("third", None)
    save("other", None, FLOW.replace("id: two", "id: three"))
    executor.turn()

    flows = [codec.decode(r.value) for r in bench.records(TOPICS.flows.name)]
    assert [(f.revision, f.command_id) for f in flows] == [(1, None), (2, "second"), (3, "third")]
    assert [r.command_id for r in bench.rejections()] == ["again", "late", "other"]


def test_earlier_revisions_of_a_flow_are_purged_and_stay_so(
    bench: Bench, executor: Executor
) -> None:
    def purge(command_id: str, *revisions: int) -> None:
        command = c.PurgeRevisions(command_id, "tests", "two", revisions, 0)
        bench.send(command, key="main/tests/two")

    # given: a flow of three revisions, and an execution of the first one that failed
    worker = PlayedWorker(bench)
    execution_id = bench.create(1, "two")
    executor.turn()
    worker.turn(State.FAILED)
    drive(executor, worker)
    for number in (2, 3):
        save = c.SaveFlow(f"save{number}", "tests", "two", f"{FLOW}\ndescription: {number}", 0)
        bench.send(save, key="main/tests/two")
    # when: it is purged in the batch that follows, and a purge of the current one is refused whole
    purge("first", 1)
    purge("current", 2, 3)
    purge("unknown", 2, 9)
    executor.turn()

    # then
    flows = [codec.decode(r.value) for r in bench.records(TOPICS.flows.name)]
    assert [(f.revision, f.purged, bool(f.source)) for f in flows] == [
        (1, False, True),
        (2, False, True),
        (3, False, True),
        (1, True, False),
    ]
    refused = {r.command_id: r.reason for r in bench.rejections()}
    assert refused == {
        "current": "Expected revisions before the current one, but 3 is the current one.",
        "unknown": "There is no revision 9 of the flow tests.two.",
    }
    # and: the next revision has the next number
    bench.send(c.SaveFlow("save4", "tests", "two", f"{FLOW}\n# 4", 0), key="main/tests/two")
    executor.turn()
    assert codec.decode(bench.records(TOPICS.flows.name)[-1].value).revision == 4

    # when: the execution is to run again, here and by a new owner that has read it all anew
    places = [r for r in bench.records(TOPICS.executions.name) if r.key == execution_id]
    ranges = tuple(PositionRange(r.offset, r.offset) for r in places)
    bench.send(c.RestartExecution("restart", execution_id, positions=ranges))
    executor.turn()
    executor.close()
    heir = bench.executor()
    heir.open()
    bench.send(c.RestartExecution("again", execution_id, positions=ranges))
    heir.turn()
    heir.close()
    # then
    assert [r.reason for r in bench.rejections()][2:] == [
        "Revision 1 of the flow tests.two was purged: choose another one."
    ] * 2


def test_an_ended_execution_restarts_from_the_positions_of_its_events(
    bench: Bench, executor: Executor
) -> None:
    worker = PlayedWorker(bench)
    execution_id = bench.create(1, "two")
    executor.turn()
    worker.turn(State.FAILED)
    drive(executor, worker)
    assert bench.folded()[execution_id].state == State.FAILED
    places = [r for r in bench.records(TOPICS.executions.name) if r.key == execution_id]
    ranges = tuple(PositionRange(r.offset, r.offset) for r in places)

    bench.send(c.RestartExecution("restart", execution_id, positions=ranges))
    drive(executor, worker)

    folded = bench.folded()[execution_id]
    assert folded.state == State.SUCCESS
    assert folded.attempt_number == 2


def test_a_restarted_execution_is_recovered_by_the_next_owner(bench: Bench) -> None:
    first = bench.executor()
    first.open()
    worker = PlayedWorker(bench)
    execution_id = bench.create(1, "two")
    first.turn()
    worker.turn(State.FAILED)
    drive(first, worker)
    places = [r for r in bench.records(TOPICS.executions.name) if r.key == execution_id]
    ranges = tuple(PositionRange(r.offset, r.offset) for r in places)
    bench.send(c.RestartExecution("restart", execution_id, positions=ranges))
    first.turn()
    first.close()

    second = bench.executor()
    second.open()
    drive(second, worker)

    assert bench.folded()[execution_id].state == State.SUCCESS
    second.close()


def test_variables_that_do_not_fit_a_job_fail_the_task_and_nothing_else(
    bench: Bench, executor: Executor
) -> None:
    message = '    message: "{{ vars.text }}"\n'
    source = FLOW.replace("id: two", "id: big").replace("  - id: b", message + "  - id: b")
    source += f"variables:\n  text: {'x' * 950_000}\n"
    bench.save(source, "big")
    big = bench.create(1, "big")
    small = bench.create(2, "two")

    drive(executor, PlayedWorker(bench))

    assert bench.folded()[big].state == State.FAILED
    assert bench.folded()[small].state == State.SUCCESS
    lines = [codec.decode(r.value).message for r in bench.records(TOPICS.logs.name)]
    assert any("Expected the variables of task a to take at most" in line for line in lines)


def test_a_kill_revokes_what_runs(bench: Bench, executor: Executor) -> None:
    worker = PlayedWorker(bench)
    execution_id = bench.create(1, "two")
    executor.turn()
    (record,) = worker.consumer.poll(10, 0.0)
    job = codec.decode(record.value)
    worker.start(job)
    bench.send(c.KillExecution("kill", execution_id))
    executor.turn()

    (revocation,) = bench.records(TOPICS.revocations.name)
    assert codec.decode(revocation.value).reason == "KILLED"
    assert bench.folded()[execution_id].state == State.KILLING

    worker.end(job, State.KILLED)
    executor.turn()

    assert bench.folded()[execution_id].state == State.KILLED


def test_a_worker_that_is_born_again_loses_what_its_last_life_held_at_once(
    bench: Bench, executor: Executor
) -> None:
    # given
    first = PlayedWorker(bench, worker_id("worker-0", 1_000))
    execution_id = bench.create(1, "two")
    executor.turn()
    (record,) = first.consumer.poll(10, 0.0)
    job = codec.decode_as(TaskJob, record.value)
    first.start(job)
    beat(bench, first.worker_id)
    executor.turn()
    first.consumer.close()

    # when
    second = PlayedWorker(bench, worker_id("worker-0", 2_000))
    beat(bench, second.worker_id)
    beat(bench, first.worker_id)
    executor.turn()

    # then
    *_, again = second.consumer.poll(10, 0.0)
    assert codec.decode_as(TaskJob, again.value).epoch == job.epoch + 1
    first.end(job, State.SUCCESS)
    executor.turn()
    assert bench.folded()[execution_id].state == State.RUNNING


def beat(bench: Bench, worker: str) -> None:
    heartbeat = WorkerHeartbeat(worker, 4, 4, "RUNNING", 0, 0, "", (0, 1))
    bench.appender.append(NewRecord(TOPICS.workers.name, "worker-0", codec.encode(heartbeat)))


def test_a_foreign_record_among_the_events_is_put_aside(bench: Bench) -> None:
    first = bench.executor()
    first.open()
    worker = PlayedWorker(bench)
    execution_id = bench.create(1, "two")
    first.turn()
    first.close()
    forged = e.EventBatch(execution_id, 99, 0, "Forged", (e.ExecutionStateChanged("KILLED"),))
    name = TOPICS.executions.name
    bench.appender.append(NewRecord(name, execution_id, codec.encode(forged)))
    bench.appender.append(NewRecord(name, execution_id, b"garbage"))

    second = bench.executor()
    second.open()
    drive(second, worker)

    reasons = [r.headers["tiercel-reason"] for r in bench.records(TOPICS.dead_letters.name)]  # type: ignore[index]
    assert len(reasons) == 2
    assert any(b"Expected event" in reason for reason in reasons)
    last = codec.decode([r for r in bench.records(name) if r.key == execution_id][-1].value)
    assert last.events[-1] == e.ExecutionStateChanged(State.SUCCESS)
    second.close()


def test_whoever_waits_for_a_refused_execution_is_told(bench: Bench, executor: Executor) -> None:
    # when
    bench.send(
        c.CreateExecution(
            command_id="child",
            execution_id="child",
            namespace="tests",
            flow_id="gone",
            inputs=Payload(json="{}"),
            trigger=Payload(),
            created_us=0,
            reply_to=ReplyTo("parent", "run"),
        )
    )
    drive(executor, PlayedWorker(bench))

    # then
    told = [codec.decode(record.value) for record in bench.records(TOPICS.commands.name)]
    (ended,) = [command for command in told if isinstance(command, c.ChildEnded)]
    assert (ended.execution_id, ended.task_run_id, ended.child_id) == ("parent", "run", "child")
    assert ended.state == State.FAILED
    assert "gone" in (ended.error or "")


@pytest.mark.parametrize("form", ["json", "avro"])
def test_the_public_topic_tells_of_every_change_of_state_in_order(
    bench: Bench, form: EventsFormat
) -> None:
    executor = bench.executor(replace(SETTINGS, execution_events=form))
    executor.open()
    execution_id = bench.create(1, "two")

    drive(executor, PlayedWorker(bench))

    executor.close()
    records = bench.records(TOPICS.execution_events.name)
    if form == "avro":
        values = [msgspec.json.encode(codec.decode(record.value)) for record in records]
    else:
        values = [record.value or b"" for record in records]
    events = [json.loads(value) for value in values]
    assert [record.key for record in records] == [execution_id] * 3
    assert [x["state"] for x in events] == ["CREATED", "RUNNING", "SUCCESS"]
    assert [x.get("previous_state") for x in events] == [None, "CREATED", "RUNNING"]
    assert [x["sequence"] for x in events] == sorted({x["sequence"] for x in events})
    assert {(x["namespace"], x["flow_id"], x["version"]) for x in events} == {("tests", "two", 1)}
