"""Several API processes over Kafka: whichever is asked, the answer is the same."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.acceptance.running import (
    END_TIMEOUT_S,
    RunningServer,
    eventually,
    launch,
    stop_server,
)
from tests.acceptance.test_executions_page import GREETING
from tests.acceptance.test_server_life import SLEEPS

pytestmark = pytest.mark.kafka


def start_api(server: RunningServer, folder: Path) -> RunningServer:
    """One more API process of an installation; its log is `folder/server.log`."""
    command = [str(word) for word in server.process.args]  # type: ignore[union-attr]
    command[command.index("server")] = "api"
    command[command.index("--data") + 1] = str(folder)
    database, storage = f"sqlite:///{server.data}/index.db", server.data / "storage"
    command += ["--database", database, "--storage", str(storage)]
    return launch(command, folder)


@pytest.fixture
def replica(kafka_server: RunningServer, tmp_path: Path) -> Iterator[RunningServer]:
    api = start_api(kafka_server, tmp_path / "replica")
    yield api
    api.process.kill()
    api.process.communicate()


def events(response: requests.Response) -> Iterator[tuple[str, Any]]:
    """(id, data) of each server-sent event."""
    event_id = ""
    for line in response.iter_lines(chunk_size=1):
        name, _, value = line.decode().partition(": ")
        if name == "id":
            event_id = value
        elif name == "data":
            yield event_id, json.loads(value)


def test_what_one_replica_started_another_shows_at_once(
    kafka_server: RunningServer, replica: RunningServer, namespace: str
) -> None:
    # given
    kafka_server.save(GREETING.format(namespace=namespace))
    apis = (kafka_server, replica)
    path = f"/executions/{namespace}/welcome-guest"

    for number in range(20):
        # when
        asked, other = apis[number % 2], apis[1 - number % 2]
        created = asked.post(path)
        shown = other.get(f"/executions/{created.json()['id']}")

        # then
        assert (created.status_code, shown.status_code) == (200, 200), shown.text
        assert shown.json()["id"] == created.json()["id"]
    found = eventually(
        lambda: replica.get("/executions/search", params={"namespace": namespace, "size": 1}),
        lambda response: response.json()["total"] == 20,
    )
    assert float(found.headers["X-Tiercel-Index-Lag-Seconds"]) >= 0
    assert int(found.headers["X-Tiercel-Index-Lag-Records"]) >= 0


def test_a_stream_that_a_stopping_replica_ends_goes_on_at_another(
    kafka_server: RunningServer, replica: RunningServer, namespace: str
) -> None:
    # given
    kafka_server.save(SLEEPS.format(seconds=3).replace("night", namespace))
    execution_id = kafka_server.post(f"/executions/{namespace}/sleeps").json()["id"]
    path = f"/executions/{execution_id}/follow"
    response = requests.get(f"{replica.url}/api/v1{path}", stream=True, timeout=END_TIMEOUT_S)
    stream = events(response)
    seen, first = next(stream)

    # when
    assert stop_server(replica, signal.SIGTERM) == 0
    ids = [seen, *(event_id for event_id, data in stream if data)]
    last = {"Last-Event-ID": ids[-1]}
    rest = list(events(kafka_server.get(path, headers=last, stream=True)))

    # then
    ids += [event_id for event_id, _ in rest[:-1]]
    assert [int(event_id) for event_id in ids] == sorted({int(event_id) for event_id in ids})
    assert rest[-1][0] == "end"
    assert rest[-1][1]["state"]["current"] == "SUCCESS"
    assert first["id"] == execution_id


def test_a_key_starts_one_execution_although_its_replica_is_killed_before_the_answer(
    kafka_server: RunningServer, replica: RunningServer, namespace: str, tmp_path: Path
) -> None:
    # given: a request that is written, and held until its execution ends
    kafka_server.save(SLEEPS.format(seconds=3).replace("night", namespace))
    path, key = f"/executions/{namespace}/sleeps", {"Idempotency-Key": "night of the 25th"}
    outcomes: list[object] = []

    def ask() -> None:
        try:
            outcomes.append(replica.post(path, params={"wait": "true"}, headers=key).status_code)
        except requests.ConnectionError as error:
            outcomes.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    query = {"namespace": namespace}
    eventually(
        lambda: kafka_server.get("/executions/search", params=query).json()["total"],
        lambda total: total == 1,
    )

    # when
    replica.process.kill()
    asking.join(END_TIMEOUT_S)
    again = kafka_server.post(path, headers=key)
    reborn = start_api(kafka_server, tmp_path / "reborn")
    try:
        once_more = reborn.post(path, params={"wait": "true"}, headers=key)
    finally:
        assert stop_server(reborn) == 0

    # then
    assert isinstance(outcomes[0], requests.ConnectionError)
    assert again.status_code == once_more.status_code == 200
    assert again.json()["id"] == once_more.json()["id"]
    assert kafka_server.ended(again.json()["id"])["state"]["current"] == "SUCCESS"
    assert kafka_server.get("/executions/search", params=query).json()["total"] == 1
