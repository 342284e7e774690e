"""Templates that a worker renders for the executor."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest
from tests.unit.worker.harness import Bench

from tiercel_engine.plugin.evaluation import ANSWER_BYTES_MAX, ATTEMPT, Evaluation
from tiercel_engine.storage.sealing import Sealer
from tiercel_schemas.commands import EndAttempt

KEY = base64.b64encode(b"k" * 16).decode()


def answer(
    bench: Bench,
    template: object,
    typed: bool = True,
    key: str | None = KEY,
    **more: object,
) -> EndAttempt:
    with bench.worker(sealer=None if key is None else Sealer(key)):
        properties = {"type": Evaluation.TYPE, "template": template, "typed": typed}
        bench.submit({**properties, **more.pop("task", {})}, attempt=ATTEMPT, **more)  # type: ignore[dict-item, arg-type]
        return bench.end()


def test_a_template_keeps_its_type_or_becomes_text(bench: Bench) -> None:
    typed = answer(bench, {"list": "{{ [1, 'a'] }}", "plain": 2})
    assert bench.outputs(typed) == {"value": {"list": [1, "a"], "plain": 2}, "secret": False}


def test_text_is_text(bench: Bench) -> None:
    assert bench.outputs(answer(bench, "{{ [1, 'a'] }}", typed=False))["value"] == '[1,"a"]'


def test_an_answer_made_of_a_secret_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_DOOR", base64.b64encode(b"baker street").decode())

    end = answer(bench, "{{ secret('DOOR') }}")

    outputs = bench.outputs(end)
    assert outputs.keys() == {"sealed", "secret"}
    assert outputs["secret"] is True
    assert Sealer(KEY).open(outputs["sealed"]) == '"baker street"'


def test_without_a_key_such_an_answer_is_not_sealed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_DOOR", base64.b64encode(b"baker street").decode())

    end = answer(bench, "{{ secret('DOOR') }}", key=None)

    assert bench.outputs(end) == {"value": "baker street", "secret": True}


def test_an_error_hides_the_secret_and_is_left_to_the_executor_to_tell(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_DOOR", base64.b64encode(b"baker street").decode())

    end = answer(bench, "{{ fromJson(secret('DOOR')) }}{{ read('kestra:///' ~ secret('DOOR')) }}")

    assert end.state == "FAILED"
    assert end.error
    assert "baker street" not in end.error
    assert bench.lines() == []


@pytest.mark.parametrize("piece", ["xx", "€"])
def test_an_answer_too_large_for_an_event_is_an_error(bench: Bench, piece: str) -> None:
    end = answer(bench, f"{{% for i in 1..40000 %}}{piece}{{% endfor %}}")

    assert end.state == "FAILED"
    assert str(ANSWER_BYTES_MAX) in (end.error or "")


@pytest.mark.parametrize(("opens", "expected"), [(True, "hidden"), (False, "sealed")])
def test_sealed_inputs_are_opened_only_when_they_are_to_be(
    bench: Bench, opens: bool, expected: str
) -> None:
    sealed = Sealer(KEY).seal("hidden")

    end = answer(
        bench,
        "{{ inputs.s }}",
        task={"opens_secrets": opens},
        variables={"inputs": {"s": sealed}},
    )

    outputs = bench.outputs(end)
    if expected == "sealed":
        assert outputs == {"value": sealed, "secret": False}
    else:
        assert Sealer(KEY).open(outputs["sealed"]) == '"hidden"'


def test_log_lines_of_the_flow_itself_name_no_task_run(bench: Bench, tmp_path: Path) -> None:
    with bench.worker():
        task = {"type": "io.kestra.plugin.core.log.Log", "message": "told"}
        job = bench.submit(task, run="e-", attempt=ATTEMPT, execution_id="e-")
        bench.end("e-")

    (line,) = bench.all_of(bench.topics.logs)
    assert (line.task_run_id, line.attempt) == (None, 1)
    assert msgspec.json.decode(job.variables.json or "")["flow"]["id"] == "flow"
