"""`kestrapy`'s LogsApi and MetricsApi, through the unchanged package."""

from __future__ import annotations

from typing import Any

import pytest
from kestrapy import KestraClient
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer, eventually

T = "main"
NS = "kestrapy.lines"
#: A Return says its value, too.
LINES = 3
FLOW = f"""id: talks
namespace: {NS}
tasks:
  - id: calm
    type: io.kestra.plugin.core.log.Log
    message: quietly
  - id: loud
    type: io.kestra.plugin.core.log.Log
    message: loudly
    level: WARN
  - id: measured
    type: io.kestra.plugin.core.debug.Return
    format: "12345"
"""


@pytest.fixture(scope="module")
def client(embedded_server: RunningServer) -> Any:
    embedded_server.save(FLOW)
    return KestraClient(host=embedded_server.url, timeout=60)


@pytest.fixture
def execution_id(client: Any) -> str:
    """An ended execution whose lines and metrics are there."""
    created = client.executions.create_execution(T, NS, "talks", wait=True)
    eventually(
        lambda: client.logs.list_logs_from_execution(created.id, T),
        lambda lines: len(lines) == LINES,
    )
    eventually(
        lambda: client.metrics.execution_metrics(created.id, T)["total"], lambda total: total == 2
    )
    return str(created.id)


def messages(lines: Any) -> list[str]:
    return [line.message for line in lines]


@drives("list_logs_from_execution", "download_logs_from_execution", "search_logs")
def test_lines_are_read(client: Any, execution_id: str) -> None:
    by_id = [{"field": "executionId", "operation": "EQUALS", "value": execution_id}]

    assert messages(client.logs.list_logs_from_execution(execution_id, T))[:2] == [
        "quietly",
        "loudly",
    ]
    warned = client.logs.list_logs_from_execution(execution_id, T, min_level="WARN")
    assert messages(warned) == ["loudly"]
    one = client.logs.list_logs_from_execution(execution_id, T, task_id="calm", attempt=0)
    assert messages(one) == ["quietly"]
    text = client.logs.download_logs_from_execution(execution_id, T)
    assert text.splitlines()[1].endswith("WARN loudly")
    assert client.logs.search_logs(T, page=1, size=1, filters=by_id).total == LINES


@drives("follow_logs_from_execution")
def test_lines_are_followed(client: Any, execution_id: str) -> None:
    following = client.logs.follow_logs_from_execution(execution_id, T)

    assert messages([next(following), next(following)]) == ["quietly", "loudly"]


@drives("delete_logs_from_execution")
def test_lines_of_an_execution_are_deleted(client: Any, execution_id: str) -> None:
    client.logs.delete_logs_from_execution(execution_id, T, min_level="WARN")
    assert messages(client.logs.list_logs_from_execution(execution_id, T))[0] == "quietly"

    client.logs.delete_logs_from_execution(execution_id, T)
    assert client.logs.list_logs_from_execution(execution_id, T) == []


@drives("delete_logs_from_flow")
def test_lines_of_a_flow_are_deleted(client: Any, execution_id: str) -> None:
    client.logs.delete_logs_from_flow(NS, "talks", "nobody", T)
    assert len(client.logs.list_logs_from_execution(execution_id, T)) == LINES

    client.logs.delete_logs_from_flow(NS, "talks", "", T)
    assert client.logs.list_logs_from_execution(execution_id, T) == []


@drives("execution_metrics", "flow_metric_names", "task_metric_names", "tasks_with_metrics")
def test_metrics_are_read(client: Any, execution_id: str) -> None:
    found = client.metrics.execution_metrics(execution_id, T, sort=["name:asc"], task_id="measured")

    assert [one["name"] for one in found["results"]] == ["duration", "length"]
    assert client.metrics.flow_metric_names(NS, "talks", T) == ["duration", "length"]
    assert client.metrics.task_metric_names(NS, "talks", "measured", T) == ["duration", "length"]
    assert client.metrics.tasks_with_metrics(NS, "talks", T) == ["measured"]


@drives("aggregate_flow_metric", "aggregate_task_metric")
def test_metrics_are_put_together_over_time(client: Any, execution_id: str) -> None:
    flow = client.metrics.aggregate_flow_metric(NS, "talks", "length", T, aggregation="avg")
    task = client.metrics.aggregate_task_metric(NS, "talks", "measured", "length", T)

    assert flow["groupBy"] == task["groupBy"] == "day"
    assert max(one["value"] for one in flow["aggregations"]) == 5.0
    assert max(one["value"] for one in task["aggregations"]) >= 5.0
