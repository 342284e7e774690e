"""Templates in the definitions of inputs: what they may read, and flows that they run."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.api_harness import DEADLINE_S, WORKER, ApiServer, api_server, flow_source

from tiercel_engine.storage.kv import KvStore
from tiercel_schemas.codec import decode
from tiercel_schemas.commands import EndAttempt
from tiercel_schemas.common import Payload
from tiercel_schemas.jobs import TaskJob

READS = """inputs:
  - {id: dish, type: STRING, defaults: "{{ kv('dish') }}"}
  - {id: key, type: STRING, defaults: "{{ secret('KEY') }}"}
  - {id: year, type: INT, defaults: "{{ now('yyyy') }}"}
  - {id: zone, type: STRING, defaults: "{{ envs.zone ?? 'none' }}"}
"""
MENU = """inputs:
  - id: dish
    type: SELECT
    expression: "{{ subflow('house.kitchen', 'kitchen', inputs={'day': 'MON'}).outputs.dishes }}"
"""
KITCHEN = """inputs:
  - {id: day, type: STRING}
outputs:
  - {id: dishes, type: JSON, value: "{{ [inputs.day ~ ' soup', outputs.greet.best] }}"}
"""
ENDLESS = """inputs:
  - id: again
    type: STRING
    defaults: "{{ subflow('house.kitchen', 'endless').id }}"
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("templates"), embedded=True) as server:
        for flow_id, body in (
            ("reads", READS),
            ("menu", MENU),
            ("kitchen", KITCHEN),
            ("endless", ENDLESS),
        ):
            server.save_flow(flow_source(flow_id, body))
        yield server


def test_defaults_may_read_pairs_secrets_and_the_clock(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", base64.b64encode(b"baker street").decode())
    KvStore(api.storage, api.clock).set("house.kitchen", "dish", "soup")

    document = api.post("/executions/house.kitchen/reads").json()

    inputs = document["inputs"]
    assert (inputs["dish"], inputs["key"], inputs["zone"]) == ("soup", "baker street", "none")
    assert inputs["year"] > 2000


def test_what_a_default_cannot_read_is_told(api: ApiServer) -> None:
    api.save_flow(
        flow_source("lacks", "inputs:\n- {id: a, type: STRING, defaults: \"{{ kv('x') }}\"}")
    )

    answer = api.post("/executions/house.kitchen/lacks")

    assert answer.status_code == 422
    assert "The key 'x' does not exist in the namespace 'house.kitchen'" in answer.text


def test_offered_values_may_come_from_a_flow_that_is_run_for_them(api: ApiServer) -> None:
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(
            api.post, "/executions/house.kitchen/menu/validate", files={"dish": (None, "stew")}
        )
        end_next(api, '{"best": "stew"}')
        answer = asked.result(DEADLINE_S).json()

    assert answer["inputs"][0]["value"] == "stew"
    assert answer["inputs"][0]["errors"] == []


def test_a_flow_that_fails_offers_nothing(api: ApiServer) -> None:
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(
            api.post, "/executions/house.kitchen/menu", files={"dish": (None, "stew")}
        )
        end_next(api, None, "FAILED")
        answer = asked.result(DEADLINE_S)

    assert answer.status_code == 422
    assert "ended in state FAILED" in answer.text


def test_flows_that_run_each_other_for_ever_end(api: ApiServer) -> None:
    answer = api.post("/executions/house.kitchen/endless")

    assert answer.status_code == 422
    assert "maximum nesting depth of 5" in answer.text


def end_next(api: ApiServer, outputs: str | None, state: str = "SUCCESS") -> None:
    """End the next job of the kitchen that comes."""
    found: TaskJob | None = None
    for _ in range(int(DEADLINE_S)):
        jobs = [decode(record.value) for record in api.jobs.poll(1, 1.0)]
        found = next((job for job in jobs if job.flow_id == "kitchen"), None)
        if found is not None:
            break
    assert found is not None, "Expected a job in time, but there was none."
    now_us = api.clock.now_us()
    payload = None if outputs is None else Payload(json=outputs)
    end = EndAttempt(
        found.execution_id,
        found.task_run_id,
        found.attempt,
        found.epoch,
        WORKER,
        state,
        now_us,
        now_us,
        payload,
    )
    api.append(api.topics.commands.name, found.execution_id, end)
