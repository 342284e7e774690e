"""Triggers on a real server: by HTTP, under both prefixes, and by the command line."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import requests
from tests.acceptance.running import TIERCEL, RunningServer, eventually

SCHEDULE = "io.kestra.plugin.core.trigger.Schedule"


def flow(namespace: str, flow_id: str, cron: str, *lines: str) -> str:
    rest = "".join(f"    {line}\n" for line in lines)
    return f"""id: {flow_id}
namespace: {namespace}
inputs:
  - {{id: n, type: INT, defaults: 1}}
tasks:
  - {{id: say, type: io.kestra.plugin.core.log.Log, message: "{{{{ trigger.date }}}}"}}
triggers:
  - id: tick
    type: {SCHEDULE}
    cron: "{cron}"
{rest}"""


def executions(server: RunningServer, namespace: str, flow_id: str) -> list[dict[str, Any]]:
    found = server.client.executions(namespace, flow_id, [], 1, 100)
    return list(found["results"])


def state(server: RunningServer, namespace: str, flow_id: str) -> dict[str, Any]:
    """The trigger's state once the read model has it."""

    def look() -> list[dict[str, Any]]:
        return list(server.get(f"/triggers/{namespace}/{flow_id}").json()["results"])

    return eventually(look, lambda rows: len(rows) == 1)[0]


def put(server: RunningServer, path: str, body: dict[str, Any]) -> requests.Response:
    return requests.put(f"{server.url}/api/v1{path}", json=body, timeout=60)


def test_a_schedule_starts_each_second_once_and_can_be_disabled(
    server: RunningServer, namespace: str
) -> None:
    server.save(flow(namespace, "ticks", "* * * * * *", "withSeconds: true"))

    started = eventually(lambda: executions(server, namespace, "ticks"), lambda x: len(x) >= 3)
    key = {"namespace": namespace, "flowId": "ticks", "triggerId": "tick"}
    answer = put(server, "/triggers", {**key, "disabled": True})

    assert answer.status_code == 200, answer.text
    assert answer.json()["disabled"] is True
    dates = sorted(x["trigger"]["variables"]["date"] for x in started)
    assert len(dates) == len(set(dates))
    assert started[0]["trigger"]["type"] == SCHEDULE
    assert started[0]["scheduleDate"]
    row = eventually(
        lambda: server.get("/main/triggers/search", params={"namespace": namespace}).json(),
        lambda found: found["total"] == 1 and found["results"][0]["state"]["disabled"],
    )["results"][0]
    assert row["trigger"]["cron"] == "* * * * * *"
    assert row["abstractTrigger"] == row["trigger"]
    assert row["triggerContext"]["triggerId"] == "tick"


def test_a_backfill_runs_through_its_dates_with_its_inputs_and_labels(
    server: RunningServer, namespace: str
) -> None:
    server.save(flow(namespace, "fill", "0 * * * *"))
    key = {"namespace": namespace, "flowId": "fill", "triggerId": "tick"}
    backfill = {
        "start": "2024-01-01T00:00:00Z",
        "end": "2024-01-01T04:30:00Z",
        "inputs": {"n": 7},
        "labels": [{"key": "why", "value": "fix"}],
    }

    answer = put(server, "/main/triggers/backfill/create", {**key, "backfill": backfill})

    assert answer.status_code == 200, answer.text
    started = eventually(lambda: executions(server, namespace, "fill"), lambda x: len(x) == 5)
    dates = sorted(x["trigger"]["variables"]["date"] for x in started)
    assert dates == [f"2024-01-01T0{hour}:00:00Z" for hour in range(5)]
    assert {x["inputs"]["n"] for x in started} == {7}
    assert all({"key": "why", "value": "fix"} in x["labels"] for x in started)
    eventually(lambda: state(server, namespace, "fill"), lambda s: "backfill" not in s)


def test_what_cannot_be_asked_is_refused(server: RunningServer, namespace: str) -> None:
    server.save(flow(namespace, "hourly", "0 * * * *"))
    base = f"/triggers/{namespace}/hourly/tick"
    key = {"namespace": namespace, "flowId": "hourly", "triggerId": "tick"}

    assert server.post(f"{base}/unlock").status_code == 409
    assert server.post(f"/triggers/{namespace}/hourly/nope/unlock").status_code == 404
    assert server.post(f"/triggers/{namespace}/nope/tick/unlock").status_code == 404
    assert put(server, "/triggers/backfill/pause", key).status_code == 400
    assert server.post("/triggers/backfill/delete", json=key).status_code == 400
    assert put(server, "/triggers", {"namespace": namespace}).status_code == 400
    backfill = {"start": "2024-01-02T00:00:00Z", "end": "2024-01-01T00:00:00Z"}
    assert put(server, "/triggers", {**key, "backfill": backfill}).status_code == 400
    assert requests.delete(f"{server.url}/api/v1{base}", timeout=60).status_code == 409
    assert server.get(f"{base}/next", params={"count": "0"}).status_code == 422
    assert len(server.get(f"{base}/next", params={"count": 3}).json()["results"]) == 3


def test_many_triggers_are_disabled_at_once(server: RunningServer, namespace: str) -> None:
    for name in ("one", "two"):
        server.save(flow(namespace, name, "0 * * * *"))
    keys = [
        {"namespace": namespace, "flowId": name, "triggerId": "tick"} for name in ("one", "two")
    ]
    body = {"triggers": keys, "disabled": True}

    answer = server.post("/main/triggers/set-disabled/by-triggers", json=body)

    assert answer.status_code == 200, answer.text
    assert answer.json()["count"] == 2
    assert state(server, namespace, "one")["flowId"] == "one"
    eventually(lambda: state(server, namespace, "two"), lambda s: s["disabled"])
    query = {"namespace": namespace, "disabled": "false"}
    answer = server.post("/triggers/set-disabled/by-query", params=query)
    assert answer.json()["count"] == 2
    eventually(lambda: state(server, namespace, "two"), lambda s: not s["disabled"])


def test_the_command_line_shows_and_changes_triggers(
    embedded_server: RunningServer, namespace: str
) -> None:
    embedded_server.save(flow(namespace, "nightly", "0 3 29 2 *", "timezone: Europe/Paris"))
    state(embedded_server, namespace, "nightly")

    def tiercel(*words: str) -> Any:
        command = [*TIERCEL, "trigger", *words, "--server", embedded_server.url, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout)

    name = (namespace, "nightly", "tick")
    assert tiercel("next", *name, "--count", "2")["results"][0].endswith("-02-29T03:00:00+01:00")
    assert tiercel("disable", *name)["disabled"] is True
    assert tiercel("enable", *name)["disabled"] is False
    rows = tiercel("list", "--namespace", namespace)["results"]
    assert [row["state"]["triggerId"] for row in rows] == ["tick"]
    started = tiercel(
        "backfill", "start", *name, "--from", "2016-01-01T00:00:00Z", "--input", "n=3"
    )
    assert started["backfill"]["currentDate"] == "2016-02-29T02:00:00Z"


@pytest.mark.parametrize("cron", ["* * * *", "0 0 30 2 *", "70 * * * *"])
def test_a_cron_expression_without_dates_is_refused_when_saved(
    embedded_server: RunningServer, namespace: str, cron: str
) -> None:
    source = flow(namespace, "broken", cron)

    answer = embedded_server.post("/flows", data=source, headers={"Content-Type": "text/yaml"})

    assert answer.status_code == 422
    assert "invalid cron expression" in answer.text
