"""An execution per batch of a file, through plain HTTP and the unchanged `kestra` client.

Runs against `tiercel server` and against the Kafka roles.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kestra
import pytest
import requests
from tests.acceptance.running import END_TIMEOUT_S, JsonObject, RunningServer, eventually

PARENT = """
id: all-orders
namespace: {namespace}
inputs:
  - id: orders
    type: FILE
tasks:
  - id: each
    type: io.kestra.core.tasks.flows.ForEachItem
    items: "{{{{ inputs.orders }}}}"
    inputs:
      orders: "{{{{ taskrun.items }}}}"
    batch: {batch}
    namespace: {namespace}
    flowId: some-orders
    wait: true
    transmitFailed: true
    labels:
      part: orders
  - id: together
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ read(outputs.each_merge.subflowOutputs) }}}}"
"""
CHILD = """
id: some-orders
namespace: {namespace}
inputs:
  - id: orders
    type: FILE
tasks:
  - id: look
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ read(inputs.orders) }}}}"
  - id: check
    type: io.kestra.plugin.core.execution.Fail
    condition: >-
      {{{{ read(inputs.orders) contains 'bad' and kv('mended', errorOnMissing=false) is null }}}}
outputs:
  - id: orders
    type: STRING
    value: "{{{{ outputs.look.value }}}}"
"""
SLOW = """
id: some-orders
namespace: {namespace}
inputs:
  - id: orders
    type: FILE
tasks:
  - id: wait
    type: io.kestra.plugin.core.flow.Pause
"""


@pytest.fixture
def hundred_orders(tmp_path: Path) -> Path:
    """102 orders, the shortest of which takes 20 bytes."""
    path = tmp_path / "orders.csv"
    path.write_text("".join(f"{number},smith,{7:012}\n" for number in range(100, 202)))
    return path


def save(server: RunningServer, namespace: str, batch: str, child: str = CHILD) -> None:
    server.save(child.format(namespace=namespace))
    server.save(PARENT.format(namespace=namespace, batch=batch))


def start(server: RunningServer, namespace: str, orders: Path) -> str:
    with orders.open("rb") as file:
        answer = server.post(f"/executions/{namespace}/all-orders", files={"orders": file})
    execution_id: str = answer.json()["id"]
    return execution_id


def outputs_of(execution: JsonObject, task_id: str) -> Any:
    return next(run["outputs"] for run in execution["taskRunList"] if run["taskId"] == task_id)


def children(server: RunningServer, namespace: str, *states: str) -> JsonObject:
    """A page of the executions that it started."""
    return server.client.executions(namespace, "some-orders", states, 1, 1)


def counters(server: RunningServer, execution_id: str) -> JsonObject:
    """The counters of the executions that it started, as they stand."""
    execution = server.client.execution(execution_id)
    runs = [run for run in execution["taskRunList"] if run["taskId"] == "each_items"]
    found: JsonObject = runs[0]["outputs"].get("iterations", {}) if runs else {}
    return found


@pytest.mark.parametrize(
    ("batch", "count"),
    [("{rows: 4}", 26), ("{bytes: 1024}", 3), ("{partitions: 2}", 2), ("{}", 102)],
)
def test_a_file_of_orders_becomes_an_execution_per_batch(
    server: RunningServer, namespace: str, hundred_orders: Path, batch: str, count: int
) -> None:
    save(server, namespace, batch)

    ended = server.ended(start(server, namespace, hundred_orders))

    assert ended["state"]["current"] == "SUCCESS", ended
    items = outputs_of(ended, "each_items")
    assert items["numberOfBatches"] == count
    assert items["iterations"] == {"CREATED": 0, "RUNNING": 0, "SUCCESS": count}
    merged = outputs_of(ended, "together")["value"]
    assert merged.count("\n") == count
    assert all(f"{number},smith" in merged for number in range(100, 202))
    found = eventually(lambda: children(server, namespace), lambda page: page["total"] == count)
    assert {"key": "part", "value": "orders"} in found["results"][0]["labels"]


def test_the_kestra_client_starts_it_with_a_file(
    server: RunningServer,
    namespace: str,
    hundred_orders: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KESTRA_HOSTNAME", server.url)
    save(server, namespace, "{rows: 50}")

    with hundred_orders.open("rb") as file:
        result = kestra.Flow().execute(
            namespace, "all-orders", {"files": ("orders", file, "text/plain")}
        )

    assert result.status == "SUCCESS"
    assert children(server, namespace)["total"] == 3


def test_a_restart_runs_only_the_failed_executions_again(
    server: RunningServer, namespace: str, tmp_path: Path
) -> None:
    # given
    orders = tmp_path / "some.csv"
    orders.write_text("good\nbad\ngood\n")
    save(server, namespace, "{rows: 1}")
    execution_id = start(server, namespace, orders)
    failed = server.ended(execution_id)
    assert failed["state"]["current"] == "FAILED"
    assert outputs_of(failed, "each_items")["iterations"] == {
        "CREATED": 0,
        "RUNNING": 0,
        "FAILED": 1,
        "SUCCESS": 2,
    }

    # when the reason is gone
    url = f"{server.url}/api/v1/namespaces/{namespace}/kv/mended"
    requests.put(url, data='"yes"', timeout=END_TIMEOUT_S).raise_for_status()
    server.post(f"/executions/{execution_id}/restart").raise_for_status()

    # then
    ended = server.ended(execution_id)
    assert ended["state"]["current"] == "SUCCESS", (ended, server.client.logs(execution_id))
    assert outputs_of(ended, "each_items")["iterations"]["SUCCESS"] == 3
    assert outputs_of(ended, "together")["value"].count("\n") == 3
    # The failed one ran again in its place.
    assert children(server, namespace)["total"] == 3


def test_a_kill_reaches_every_execution(
    server: RunningServer, namespace: str, hundred_orders: Path
) -> None:
    # given
    save(server, namespace, "{rows: 1}", SLOW)
    execution_id = start(server, namespace, hundred_orders)
    eventually(lambda: counters(server, execution_id), lambda seen: seen.get("RUNNING") == 102)

    # when
    server.client.kill(execution_id)

    # then
    assert server.ended(execution_id)["state"]["current"] == "KILLED"
    eventually(lambda: children(server, namespace, "KILLED"), lambda page: page["total"] == 102)
