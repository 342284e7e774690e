"""Jobs that a worker takes: what it says of each."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.worker.harness import Bench, Gate

from tiercel_engine.eventlog.base import TopicPartition
from tiercel_engine.storage.claims import INLINE_BYTES_MAX, pack, unpack
from tiercel_engine.storage.uri import execution_value
from tiercel_schemas.codec import encode
from tiercel_schemas.commands import StartAttempt
from tiercel_schemas.jobs import WorkerHeartbeat

LOG = "io.kestra.core.tasks.log.Log"
RETURN = "io.kestra.plugin.core.debug.Return"


def test_a_job_is_started_run_and_answered(bench: Bench) -> None:
    with bench.worker():
        bench.submit(
            {"type": LOG, "message": "Hi {{ inputs.name }}", "level": "WARN"},
            variables={"inputs": {"name": "Ada"}},
        )
        end = bench.end()

    assert end.state == "SUCCESS"
    assert end.worker_id == "w1"
    assert bench.lines() == [("WARN", "Hi Ada")]
    commands = bench.all_of(bench.topics.commands)
    assert [type(c).__name__ for c in commands] == ["StartAttempt", "EndAttempt"]


def test_a_job_of_another_type_fails_with_a_clear_line(bench: Bench) -> None:
    with bench.worker():
        bench.submit({"type": "com.example.Nope"})
        end = bench.end()

    assert end.state == "FAILED"
    assert "com.example.Nope" in (end.error or "")
    assert bench.lines()[0][0] == "ERROR"


def test_a_wrong_property_fails_the_attempt(bench: Bench) -> None:
    with bench.worker():
        bench.submit({"type": LOG, "message": "x", "colour": "red"})
        end = bench.end()

    assert end.state == "FAILED"
    assert "colour" in (end.error or "")


def test_a_template_that_does_not_render_fails_the_attempt(bench: Bench) -> None:
    with bench.worker():
        bench.submit({"type": RETURN, "format": "{{ outputs.nope.value }}"})
        end = bench.end()

    assert end.state == "FAILED"
    assert [level for level, _ in bench.lines()] == ["ERROR", "TRACE"]
    assert "Unable to find `outputs`" in bench.lines()[0][1]


def test_the_log_of_a_task_that_asks_for_a_file_is_one(bench: Bench) -> None:
    with bench.worker():
        bench.submit({"type": RETURN, "format": "hello", "logToFile": True})
        end = bench.end()

    assert end.log_file is not None
    assert end.log_file.endswith("/log-1-1.txt")
    lines = bench.storage.get(end.log_file).decode().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["DEBUG hello"]
    assert bench.all_of(bench.topics.logs) == []


def test_lines_below_the_tasks_level_are_left_out(bench: Bench) -> None:
    with bench.worker():
        bench.submit({"type": RETURN, "format": "x", "logLevel": "INFO"})
        end = bench.end()

    assert bench.outputs(end) == {"value": "x"}
    assert bench.lines() == []


def test_return_tells_its_metrics(bench: Bench) -> None:
    with bench.worker():
        bench.submit({"type": RETURN, "format": "four"})
        bench.end()

    length, duration = bench.metrics()
    assert (length.type, length.name, length.value) == ("counter", "length", 4.0)
    assert (duration.type, duration.name) == ("timer", "duration")
    assert length.tags == duration.tags == {"format": "four"}


def test_a_long_line_becomes_several(bench: Bench) -> None:
    with bench.worker():
        bench.submit({"type": LOG, "message": "x" * 25_000})
        bench.end()

    assert [len(message) for _, message in bench.lines()] == [10_240, 10_240, 4_520]


def test_a_large_output_becomes_a_claim_check(bench: Bench) -> None:
    with bench.worker():
        bench.submit({"type": RETURN, "format": "x" * INLINE_BYTES_MAX, "logLevel": "ERROR"})
        end = bench.end()

    assert end.outputs is not None
    assert end.outputs.claim is not None
    assert unpack(end.outputs, bench.storage)["value"] == "x" * INLINE_BYTES_MAX


def test_variables_behind_claim_checks_are_fetched(bench: Bench) -> None:
    # given: an output of an earlier task, and all variables together, too large for the log
    uri = execution_value("acme.test", "flow", "e-r1", "big.json")
    big = pack({"value": "y" * INLINE_BYTES_MAX}, bench.storage, uri)
    assert big.claim is not None
    claim = {"$claim": {"uri": uri, "size_bytes": big.claim.size_bytes, "sha256": big.claim.sha256}}

    # when
    with bench.worker():
        bench.submit(
            {"type": RETURN, "format": "{{ outputs.big.value | length }}"},
            variables={"outputs": {"big": claim}},
        )
        end = bench.end()

    # then
    assert bench.outputs(end) == {"value": str(INLINE_BYTES_MAX)}


def test_output_values_are_rendered_as_text_at_any_depth(bench: Bench) -> None:
    task = {
        "type": "io.kestra.plugin.core.output.OutputValues",
        "values": {"sum": "{{ 1 + 1 }}", "text": "a{{ 1 }}", "list": ["{{ true }}", 3]},
    }
    with bench.worker():
        bench.submit(task)
        end = bench.end()

    assert bench.outputs(end) == {"values": {"sum": "2", "text": "a1", "list": ["true", 3]}}


@pytest.mark.parametrize(
    ("properties", "state", "lines"),
    [
        ({}, "FAILED", ["Task failure"]),
        ({"errorMessage": "so what {{ 1 }}"}, "FAILED", ["so what 1"]),
        ({"condition": "{{ 1 == 2 }}"}, "SUCCESS", []),
        (
            {"condition": "{{ 1 == 1 }}", "errorMessage": "bad"},
            "FAILED",
            ["bad", "Fail on a condition"],
        ),
    ],
)
def test_fail_fails_on_its_condition(
    bench: Bench, properties: dict[str, str], state: str, lines: list[str]
) -> None:
    with bench.worker():
        bench.submit({"type": "io.kestra.plugin.core.execution.Fail", **properties})
        end = bench.end()

    assert end.state == state
    assert [message for level, message in bench.lines() if level == "ERROR"] == lines


def test_no_more_attempts_run_than_there_are_slots(bench: Bench) -> None:
    with bench.worker(slots=3):
        for n in range(10):
            bench.submit({"type": "test.Gate"}, run=f"r{n}")
        bench.until(lambda: len(Gate.running) == 3)
        starts = bench.of_kind(bench.topics.commands, StartAttempt)
        assert len(starts) <= 3
        Gate.opened.set()
        bench.until(lambda: len(bench.ends()) == 10)

    assert Gate.most == 3


def test_two_workers_share_the_jobs(bench: Bench) -> None:
    with bench.worker("w1", slots=4), bench.worker("w2", slots=4):
        bench.until(lambda: {p for w in ("w1", "w2") for p in _partitions(bench, w)} >= {0, 7})
        bench.until(lambda: all(len(_partitions(bench, w)) == 4 for w in ("w1", "w2")))
        for n in range(30):
            bench.submit({"type": LOG, "message": "x"}, run=f"r{n}")
        bench.until(lambda: len(bench.ends()) == 30)

    assert {end.worker_id for end in bench.ends()} == {"w1", "w2"}
    assert len({end.task_run_id for end in bench.ends()}) == 30


def test_a_job_delivered_twice_runs_once(bench: Bench) -> None:
    with bench.worker():
        job = bench.submit({"type": LOG, "message": "once"})
        bench.end()
        bench.submit({"type": LOG, "message": "once"})
        bench.submit({"type": LOG, "message": "other"}, run="r2")
        bench.end("r2")

    assert job.epoch == 1
    assert len([end for end in bench.ends() if end.task_run_id == "r1"]) == 1


def test_a_job_that_was_answered_is_not_taken_after_a_restart(bench: Bench) -> None:
    with bench.worker():
        bench.submit({"type": LOG, "message": "x"})
        bench.end()
    with bench.worker():
        bench.submit({"type": LOG, "message": "y"}, run="r2")
        bench.end("r2")

    assert len(bench.ends()) == 2


def test_a_poison_job_goes_to_dead_letters_and_the_loop_goes_on(bench: Bench) -> None:
    with bench.worker():
        bench.append(bench.topics.jobs, "r0", b"\x00 no record of ours")
        bench.submit({"type": LOG, "message": "x"})
        assert bench.end().state == "SUCCESS"

    (letter,) = bench.log.read(bench.topics.dead_letters.name, 0, 0)
    assert letter.value == b"\x00 no record of ours"
    assert letter.headers is not None
    assert letter.headers["tiercel-source-topic"] == bench.topics.jobs.name.encode()
    assert b"no such header" in letter.headers["tiercel-reason"]
    at = TopicPartition(bench.topics.jobs.name, int(letter.headers["tiercel-source-partition"]))
    assert bench.log.end_offset(*at) > int(letter.headers["tiercel-source-offset"])


def _partitions(bench: Bench, worker_id: str) -> tuple[int, ...]:
    beats: list[WorkerHeartbeat] = bench.of_kind(bench.topics.workers, WorkerHeartbeat)
    mine = [beat for beat in beats if beat.worker_id == worker_id]
    return mine[-1].job_partitions if mine else ()


def test_what_an_engine_task_asks_of_its_execution_travels_with_its_end(bench: Bench) -> None:
    with bench.worker():
        bench.submit(
            {
                "type": "io.kestra.plugin.core.execution.SetVariables",
                "variables": {"size": "{{ read('size.txt') }}", "one": 1},
            }
        )
        failed = bench.end()
        namespace = "kestra:///acme/test/_files/size.txt"
        bench.storage.put(namespace, b"12")
        bench.submit(
            {
                "type": "io.kestra.plugin.core.execution.SetVariables",
                "variables": {"size": "{{ read('size.txt') }}", "one": 1},
            },
            run="r2",
        )
        end = bench.end("r2")

    assert (failed.state, failed.effects_json) == ("FAILED", None)
    assert end.state == "SUCCESS"
    assert msgspec.json.decode(end.effects_json or "") == {"variables": {"size": "12", "one": 1}}


def test_a_worker_of_a_group_takes_the_jobs_of_its_group_alone(bench: Bench) -> None:
    echo = {"type": "io.kestra.plugin.core.debug.Return", "format": "x"}
    with bench.worker(group="gpu"):
        bench.submit(echo, "for-anybody")
        job = bench.submit(echo, "for-gpu-elsewhere")
        mine = msgspec.structs.replace(job, task_run_id="gpu")
        bench.append(bench.topics.jobs_of("gpu"), "gpu", encode(mine))
        assert bench.end("gpu").state == "SUCCESS"
        assert [end.task_run_id for end in bench.ends()] == ["gpu"]
        beats = bench.of_kind(bench.topics.workers, WorkerHeartbeat)
        assert {beat.group for beat in beats} == {"gpu"}
    with bench.worker("w2"):
        assert bench.end("for-anybody").state == "SUCCESS"
