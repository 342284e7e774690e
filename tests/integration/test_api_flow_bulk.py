"""What calls on many flows count, and which revisions are listed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.api_harness import ApiServer, api_server, flow_source


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("flow-bulk")) as server:
        yield server


def test_a_switched_flow_counts_when_it_was_not_so_yet(api: ApiServer) -> None:
    api.save_flow(flow_source("switch"))
    ids = [{"namespace": "house.kitchen", "id": "switch"}]

    counts = [
        api.post(f"/flows/{verb}/by-ids", json=ids).json()["count"]
        for verb in ("enable", "disable", "disable", "enable")
    ]

    assert counts == [0, 1, 0, 1]


def test_revisions_are_listed_with_deletions_or_without(api: ApiServer) -> None:
    api.save_flow(flow_source("gone"))
    path = "/flows/house.kitchen/gone"
    assert api.call("DELETE", path).status_code == 204

    assert [one["deleted"] for one in api.get(f"{path}/revisions").json()] == [False, True]
    without = api.get(f"{path}/revisions?allowDelete=false").json()
    assert [one["deleted"] for one in without] == [False]
