"""The API over a real Kafka: what waits for the log waits for this one, too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from tests.api_harness import DEADLINE_S, YAML, ApiServer, flow_source, running

from tiercel_api.services import ApiSettings
from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.kafka import KafkaLog

pytestmark = pytest.mark.kafka


@pytest.fixture
def api(kafka_bootstrap: str, tmp_path: Path) -> Iterator[ApiServer]:
    log = KafkaLog(kafka_bootstrap, SystemClock())
    prefix = f"test-{uuid4().hex[:8]}."
    with running(ApiServer(log, tmp_path, ApiSettings(), prefix)) as server:
        yield server


def test_flows_and_executions_live_their_life_over_kafka(api: ApiServer) -> None:
    # given
    api.save_flow(flow_source("plain"))
    update = api.call(
        "PUT",
        "/flows/house.kitchen/plain",
        data=flow_source("plain", "description: new"),
        headers=YAML,
    )
    assert update.json()["revision"] == 2
    assert api.post("/flows", data=flow_source("plain"), headers=YAML).status_code == 422

    # when
    answers: list[requests.Response] = []
    url = f"{api.url}/api/v1/executions/house.kitchen/plain?wait=true&labels=w:1"
    waiting = threading.Thread(
        target=lambda: answers.append(requests.post(url, timeout=3 * DEADLINE_S))
    )
    waiting.start()
    page = api.until("/executions/search?labels=w:1", lambda found: found["total"] == 1)
    api.work(page["results"][0]["id"])
    waiting.join(3 * DEADLINE_S)

    # then
    assert answers[0].json()["state"]["current"] == "SUCCESS"
    assert answers[0].json()["flowRevision"] == 2


def test_an_execution_is_there_at_once_and_can_be_killed_over_kafka(api: ApiServer) -> None:
    # given
    api.save_flow(flow_source("plain"))
    created = [api.post("/executions/house.kitchen/plain").json()["id"] for _ in range(10)]

    # when
    found = [api.get(f"/executions/{execution_id}").status_code for execution_id in created]
    killed = api.call("DELETE", f"/executions/{created[0]}/actions/kill")
    restarted = api.post(f"/executions/{created[0]}/actions/restart")

    # then
    assert found == [200] * 10
    assert killed.status_code == 200
    assert killed.json()["state"]["current"] in ("KILLING", "KILLED")
    assert restarted.status_code in (200, 409)
