"""Which services live: through the API, the command line and the unchanged `kestrapy`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kestrapy import KestraClient
from kestrapy.exceptions import NotFoundException
from kestrapy.models.service_type import ServiceType
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer, eventually, tiercel

KINDS = ["EXECUTOR", "INDEXER", "SCHEDULER", "WEBSERVER", "WORKER"]


def running(server: RunningServer) -> list[dict[str, Any]]:
    """The services once one of each kind runs and owns what it should."""

    def look() -> list[dict[str, Any]]:
        found = server.get("/instance/services/search?size=100&state=RUNNING&sort=type:asc")
        rows: list[dict[str, Any]] = found.json()["results"]
        return rows

    def holds(rows: list[dict[str, Any]]) -> bool:
        owners = {row["type"] for row in rows if row["partitions"]}
        return {row["type"] for row in rows} == set(KINDS) and len(owners) == len(KINDS) - 1

    return eventually(look, holds)


def test_every_kind_of_service_lives_and_owns_partitions(server: RunningServer) -> None:
    rows = running(server)
    executors = sorted(n for row in rows if row["type"] == "EXECUTOR" for n in row["partitions"])

    assert executors == list(range(len(executors)))
    worker = next(row for row in rows if row["type"] == "WORKER")
    assert worker["worker"]["slots"] >= worker["worker"]["freeSlots"] > 0
    assert server.get(f"/instance/services/{worker['id']}").json()["type"] == "WORKER"


def test_the_command_line_lists_them(embedded_server: RunningServer) -> None:
    running(embedded_server)

    shown = tiercel("service", "list", server=embedded_server)
    workers = tiercel("service", "list", "--type", "worker", "--json", server=embedded_server)

    assert shown.returncode == 0, shown.stderr
    assert [line.split()[:2] for line in shown.stdout.splitlines()[1:]] == [
        [kind, "RUNNING"] for kind in KINDS
    ]
    assert [row["id"] for row in json.loads(workers.stdout)] == ["server-worker"]


@drives(
    "search_services",
    "active_services",
    "service",
    "instance_service_metrics",
    "maintenance_status",
)
def test_the_client_package_asks_for_services(embedded_server: RunningServer) -> None:
    running(embedded_server)
    instance = KestraClient(host=embedded_server.url, timeout=60).instance

    page = instance.search_services(page=1, size=2, sort=["id:asc"])
    active = instance.active_services()

    assert [one.id for one in page.results] == ["server-api", "server-executor"]
    assert active.total == len(KINDS)
    assert instance.service("server-worker").server.hostname
    slots = {m.name: m.value for m in instance.instance_service_metrics(ServiceType.WORKER)}
    assert slots["worker.slots"] > 0
    assert instance.maintenance_status().maintenance is False
    with pytest.raises(NotFoundException):
        instance.service("nobody")
