"""What the API does when executors, or the read model, fall behind the log."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from tests.api_harness import YAML, ApiServer, flow_source, running

from tiercel_api.lags import RECORDS_HEADER, SECONDS_HEADER
from tiercel_api.services import ApiSettings
from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.base import EventLog
from tiercel_engine.eventlog.embedded import SqliteLog
from tiercel_engine.eventlog.kafka import KafkaLog

STRICT = ApiSettings(lag_max_s=0.5, command_timeout_s=0.5)
WEBHOOK = "triggers:\n  - {id: hook, type: io.kestra.plugin.core.trigger.Webhook, key: secret-key}"


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ApiServer]:
    clock = SystemClock()
    if request.param == "sqlite":
        log: EventLog = SqliteLog(tmp_path / "log.db", clock)
    else:
        log = KafkaLog(request.getfixturevalue("kafka_bootstrap"), clock)
    prefix = f"test-{uuid4().hex[:8]}."
    with running(ApiServer(log, tmp_path, STRICT, prefix)) as server:
        yield server


def refused(response: requests.Response) -> bool:
    return response.status_code == 503 and "Executors are" in response.json()["message"]


def test_nothing_is_started_while_executors_stand_still_and_all_else_goes_on(
    api: ApiServer,
) -> None:
    # given
    api.save_flow(flow_source("plain", WEBHOOK))
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    api.work(execution_id)
    api.until_state(execution_id, "SUCCESS")
    assert api.get("/../../ready").json()["starts"] == "ACCEPTED"
    api.stop_executor()

    # when
    assert api.post("/executions/house.kitchen/plain").status_code == 200
    api.until("/../../ready", lambda ready: ready["starts"] == "REFUSED")

    # then
    started = api.post("/main/executions/house.kitchen/plain")
    assert refused(started)
    assert started.headers["Retry-After"] == "5"
    assert refused(api.post("/executions/webhook/house.kitchen/plain/secret-key"))
    assert refused(api.post("/executions/restart/by-ids", json=[execution_id]))
    assert refused(api.post(f"/executions/{execution_id}/restart"))
    assert api.get(f"/executions/{execution_id}").status_code == 200
    assert api.get("/executions/search").status_code == 200
    assert not refused(api.call("DELETE", "/executions/kill/by-ids", json=[execution_id]))
    assert not refused(api.post("/flows", data=flow_source("other"), headers=YAML))
    ready = api.get("/../../ready")
    assert ready.status_code == 200
    assert ready.json()["lag"]["commands"]["seconds"] > 0.5
    assert ready.json()["lag"]["commands"]["records"] >= 1
    numbers = api.get("/../../prometheus").text
    assert metric(numbers, "tiercel_api_command_lag_seconds") > 0.5
    assert metric(numbers, 'tiercel_api_refused_total{reason="lag"}') >= 4


def test_starts_go_on_once_executors_have_caught_up(api: ApiServer) -> None:
    # given
    api.save_flow(flow_source("plain"))
    api.stop_executor()
    waiting = api.post("/executions/house.kitchen/plain").json()["id"]
    api.until("/../../ready", lambda ready: ready["starts"] == "REFUSED")

    # when
    again = threading.Thread(target=api.new_executor().run, daemon=True)
    again.start()

    # then
    api.until("/../../ready", lambda ready: ready["starts"] == "ACCEPTED")
    assert api.post("/executions/house.kitchen/plain").status_code == 200
    api.work(waiting)
    api.until_state(waiting, "SUCCESS")


def test_a_search_says_how_far_the_read_model_is_behind(api: ApiServer) -> None:
    # given
    api.save_flow(flow_source("plain"))
    execution_id = api.post("/executions/house.kitchen/plain").json()["id"]
    api.work(execution_id)
    api.until_state(execution_id, "SUCCESS")
    api.until("/../../ready", lambda ready: ready["lag"]["index"]["records"] == 0)
    current = api.get("/executions/search")

    # when: nobody indexes any more
    api.stop_indexer()
    api.post("/executions/house.kitchen/plain")
    api.until("/../../ready", lambda ready: ready["lag"]["index"]["seconds"] > 0.2)
    behind = api.get("/main/executions/search")

    # then
    assert (current.headers[SECONDS_HEADER], current.headers[RECORDS_HEADER]) == ("0.000", "0")
    assert float(behind.headers[SECONDS_HEADER]) > 0.2
    assert int(behind.headers[RECORDS_HEADER]) >= 1
    assert SECONDS_HEADER not in api.get(f"/executions/{execution_id}").headers


def metric(text: str, name: str) -> float:
    line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
    return float(line.rpartition(" ")[2])
