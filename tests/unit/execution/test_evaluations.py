"""Templates that workers render: the job, and what is told of secrets. See the transcripts, too."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.engine_harness import EXECUTION, Engine

from tiercel_engine.execution.rendering import HIDDEN
from tiercel_engine.plugin.evaluation import Evaluation
from tiercel_schemas import commands as c
from tiercel_schemas.common import ClaimCheck, Payload

IF = """id: f
namespace: tests
tasks:
  - id: block
    type: io.kestra.plugin.core.flow.If
    condition: "CONDITION"
    then:
      - id: a
        type: test.Work
"""


def test_the_job_is_one_that_a_worker_takes() -> None:
    engine = Engine(IF.replace("CONDITION", "{{ kv('k') }} {{ envs.zone }}"))

    engine.create()

    (job,) = engine.jobs
    task = Evaluation.model_validate(msgspec.json.decode(job.task_json))
    assert (task.template, task.typed, task.opens_secrets) == (
        "{{ kv('k') }} {{ envs.zone }}",
        False,
        True,
    )
    variables: dict[str, Any] = msgspec.json.decode(job.variables.json)
    assert variables.keys() == {"flow", "execution", "task", "taskrun", "envs"}


def test_the_inputs_of_a_subflow_are_rendered_with_secrets_sealed() -> None:
    engine = Engine(
        "id: f\nnamespace: tests\ntasks:\n- id: sub\n"
        "  type: io.kestra.plugin.core.flow.Subflow\n  namespace: tests\n  flowId: child\n"
        "  inputs: {x: \"{{ kv('x') }}\"}\n"
        "---\nid: child\nnamespace: tests\ntasks:\n- id: a\n  type: test.Work\n"
    )

    engine.create()

    (job,) = engine.jobs
    assert not Evaluation.model_validate(msgspec.json.decode(job.task_json)).opens_secrets


def test_a_condition_on_a_value_in_storage_is_for_a_worker() -> None:
    engine = Engine(IF.replace("CONDITION", "{{ inputs.x == 1 }}"))
    claim = ClaimCheck("kestra:///x.json", 100_000, "0" * 64)

    engine.create(inputs=Payload(claim=claim))

    (job,) = engine.jobs
    assert job.attempt == 0
    assert "$claim" in job.variables.json


@pytest.mark.parametrize("secret", [True, False])
def test_no_error_tells_what_was_made_of_a_secret(secret: bool) -> None:
    engine = Engine(
        "id: f\nnamespace: tests\ntasks:\n- id: each\n"
        "  type: io.kestra.plugin.core.flow.ForEach\n  values: \"{{ secret('k') }}\"\n"
        "  tasks:\n  - id: a\n    type: test.Work\n"
    )
    engine.create()
    run = engine.run_of("each")
    epoch = engine.execution.evaluations[run.id].epoch

    outputs = msgspec.json.encode({"value": "baker street", "secret": secret}).decode()
    step = engine.do(
        c.EndAttempt(EXECUTION, run.id, 0, epoch, "w", "SUCCESS", 1, 1, Payload(json=outputs))
    )

    (line,) = step.logs
    assert (line.message == HIDDEN) is secret
    assert ("baker street" in line.message) is not secret
    assert ("baker street" in str(engine.execution.errors)) is not secret


def test_a_sealed_answer_is_opened_for_the_decision_alone() -> None:
    engine = Engine(
        "id: f\nnamespace: tests\ntasks:\n- id: each\n"
        "  type: io.kestra.plugin.core.flow.ForEach\n  values: \"{{ secret('k') }}\"\n"
        "  tasks:\n  - id: a\n    type: test.Work\n"
    )
    engine.create()
    run = engine.run_of("each")
    epoch = engine.execution.evaluations[run.id].epoch

    outputs = msgspec.json.encode({"sealed": {"sealed": "[1,2]"}, "secret": True}).decode()
    engine.do(
        c.EndAttempt(EXECUTION, run.id, 0, epoch, "w", "SUCCESS", 1, 1, Payload(json=outputs))
    )

    (answer,) = engine.execution.evaluated[run.id].values()
    assert answer.value.json == '{"$sealed":{"sealed":"[1,2]"}}'
    assert [run.value for run in engine.execution.task_runs.values() if run.task_id == "a"]


def test_without_the_key_of_the_workers_the_decision_fails() -> None:
    engine = Engine(IF.replace("CONDITION", "{{ secret('k') }}"))
    engine.world.unseal = None
    engine.create()
    run = engine.run_of("block")
    epoch = engine.execution.evaluations[run.id].epoch

    outputs = msgspec.json.encode({"sealed": {"sealed": "true"}, "secret": True}).decode()
    engine.do(
        c.EndAttempt(EXECUTION, run.id, 0, epoch, "w", "SUCCESS", 1, 1, Payload(json=outputs))
    )

    assert engine.execution.state == "FAILED"


def test_an_expression_too_large_to_be_sent_fails_at_once() -> None:
    condition = "{{ kv('k') == '" + "x" * 1_000_000 + "' }}"
    engine = Engine(IF.replace("CONDITION", condition))

    engine.create()

    assert engine.jobs == []
    assert engine.execution.state == "FAILED"


def test_on_the_way_the_execution_stands_for_the_flow() -> None:
    engine = Engine(
        "id: f\nnamespace: tests\ntasks:\n- id: a\n  type: test.Work\n"
        "outputs:\n- {id: o, type: STRING, value: \"{{ kv('x') }}\"}\n"
    )
    engine.create()
    engine.run("a")
    job = engine.jobs[-1]

    assert job.task_run_id == EXECUTION
    payload = Payload(json='{"value":{"o":"found"}}')
    engine.do(c.EndAttempt(EXECUTION, job.task_run_id, 0, job.epoch, "w", "SUCCESS", 1, 1, payload))
    assert engine.execution.state == "SUCCESS"
