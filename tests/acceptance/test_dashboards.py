"""Dashboards on both logs: what one request stores, any other finds."""

from __future__ import annotations

from pathlib import Path

import requests
from tests.acceptance.running import RunningServer, eventually

EXAMPLE = (Path(__file__).parents[2] / "deploy" / "dashboards" / "kitchen.yaml").read_text()
YAML = {"Content-Type": "application/x-yaml"}
FLOW = """id: dish
namespace: {namespace}
tasks:
  - id: cook
    type: io.kestra.plugin.core.debug.Return
    format: done
"""


def test_a_dashboard_is_kept_and_charts_what_ran(server: RunningServer, namespace: str) -> None:
    # given: an execution, and a dashboard under a name of its own
    server.save(FLOW.format(namespace=namespace))
    started = server.client.create_execution(namespace, "dish", {})
    server.ended(started["id"])
    name = namespace.rpartition(".")[2]
    source = EXAMPLE.replace("id: kitchen", f"id: {name}")
    path = f"/main/dashboards/{name}"

    # when
    stored = server.post("/main/dashboards", data=source, headers=YAML)
    assert stored.status_code == 200, stored.text

    # then
    assert server.get(path).json()["sourceCode"] == source
    rows = eventually(
        lambda: server.post(f"{path}/charts/by_flow", json={"namespace": namespace}).json(),
        lambda found: found["total"] == 1,
    )
    assert rows["results"] == [{"flow": "dish", "total": 1}]
    assert requests.delete(f"{server.url}/api/v1{path}", timeout=60).status_code == 204
    assert server.get(path).status_code == 404
