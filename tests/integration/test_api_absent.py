"""Calls of Kestra's clients that are not served answer 404, and say why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.api_harness import ApiServer, api_server

from tiercel_api.routes.absent import ROUTES


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("absent")) as server:
        yield server


@pytest.mark.parametrize("prefix", ["", "/main"])
@pytest.mark.parametrize(("method", "path", "handler"), ROUTES)
def test_what_is_not_served_is_not_found(
    api: ApiServer, method: str, path: str, handler: object, prefix: str
) -> None:
    answer = api.call(method, prefix + path.replace("{", "").replace("}", ""), json={})

    assert answer.status_code == 404
    assert answer.json()["message"].startswith("Not Found: ")
