"""Idempotency-Key and If-Match over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.api_harness import YAML, ApiServer, api_server, flow_source

START = "/executions/house.kitchen/once"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("preconditions"), embedded=True) as server:
        server.save_flow(flow_source("once"))
        server.save_flow(flow_source("other"))
        yield server


def test_a_key_starts_one_execution_however_often_it_comes(api: ApiServer) -> None:
    headers = {"Idempotency-Key": "order-17"}

    # when
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post(START, headers=headers), range(8)))
    api.work(answers[0].json()["id"])
    ended = api.until_state(answers[0].json()["id"], "SUCCESS")
    again = api.post(START, headers=headers)

    # then
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["id"] for answer in answers} == {ended["id"]}
    assert again.json()["id"] == ended["id"]
    assert again.json()["state"]["current"] == "SUCCESS"
    found = api.get("/executions/search?namespace=house.kitchen&flowId=once").json()
    assert found["total"] == 1


def test_a_key_belongs_to_its_flow(api: ApiServer) -> None:
    headers = {"Idempotency-Key": "order-18"}

    one = api.post(START, headers=headers).json()["id"]
    other = api.post("/executions/house.kitchen/other", headers=headers).json()["id"]

    assert one != other


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9"])
def test_a_key_that_is_none_is_refused(api: ApiServer, key: str) -> None:
    answer = api.post(START, headers={"Idempotency-Key": key.encode("latin-1")})

    assert answer.status_code == 400


def test_a_flow_is_changed_only_as_it_was_read(api: ApiServer) -> None:
    path = "/flows/house.kitchen/guarded"
    api.save_flow(flow_source("guarded"))
    new = flow_source("guarded", "description: new").encode()
    newer = flow_source("guarded", "description: newer").encode()
    tag = api.get(path).headers["ETag"]

    # when
    first = api.call("PUT", path, data=new, headers={**YAML, "If-Match": tag})
    second = api.call("PUT", path, data=newer, headers={**YAML, "If-Match": tag})
    wrong = api.call("PUT", path, data=newer, headers={**YAML, "If-Match": "yesterday"})
    gone = api.call("DELETE", path, headers={"If-Match": "1"})

    # then
    assert (first.status_code, first.headers["ETag"]) == (200, '"2"')
    assert second.status_code == 412
    assert "revision 1" in second.json()["message"]
    assert wrong.status_code == 400
    assert gone.status_code == 412
    assert api.call("DELETE", path, headers={"If-Match": "2"}).status_code == 204
