"""jq programs in templates of tasks: none may hold the worker."""

from __future__ import annotations

from tests.unit.worker.harness import Bench

from tiercel_schemas.commands import StartAttempt

RETURN = "io.kestra.plugin.core.debug.Return"
ENDLESS = "{{ [1] | jq('last(range(1000000000000))') }}"


def test_a_program_that_may_run_long_has_its_result(bench: Bench) -> None:
    with bench.worker():
        bench.submit({"type": RETURN, "format": "{{ [1] | jq('last(range(10))') }}"})
        end = bench.end()

    assert end.state == "SUCCESS"
    assert bench.outputs(end) == {"value": "[9]"}


def test_an_endless_program_leaves_the_worker_free_and_can_be_killed(bench: Bench) -> None:
    with bench.worker():
        job = bench.submit({"type": RETURN, "format": ENDLESS})
        bench.until(lambda: bench.of_kind(bench.topics.commands, StartAttempt))
        bench.submit({"type": RETURN, "format": "{{ 1 + 1 }}"}, run="r2")
        other = bench.end("r2")
        bench.revoke(job, "KILLED")
        end = bench.end()

    assert other.state == "SUCCESS"
    assert end.state == "KILLED"
