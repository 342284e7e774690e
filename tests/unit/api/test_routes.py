"""Which handler a path belongs to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from tiercel_api.app import ROUTES, TENANT_PREFIX, start_routes


def handlers(routes: Iterable[Any], asked: Iterable[tuple[str, str]]) -> list[tuple[Any, Any]]:
    """Name of the handler, and path parameters, of each (method, path)."""
    router = web.UrlDispatcher()
    for method, path, handler in routes:
        router.add_route(method, path, handler)

    async def resolve() -> list[tuple[Any, Any]]:
        found = [await router.resolve(make_mocked_request(*one)) for one in asked]
        return [(match.handler.__qualname__, dict(match)) for match in found]

    return asyncio.run(resolve())


@pytest.mark.parametrize("value", ["v", "kill", "restart", "labels"])
def test_the_route_that_starts_executions_takes_no_other_ones_path(value: str) -> None:
    asked = [(method, re.sub(r"\{[^}]*\}+", value, path)) for method, path, _ in ROUTES]

    assert handlers((*start_routes(), *ROUTES), asked) == handlers(ROUTES, asked)


def test_the_same_holds_below_a_tenant_where_no_path_is_plain() -> None:
    asked = [
        (method, f"/api/v1/main{re.sub(r'{[^}]*}+', 'v', path)}")
        for method, path, _ in ROUTES
        if path.startswith("/executions")
    ]
    below = [(method, TENANT_PREFIX + path, handler) for method, path, handler in ROUTES]
    start = [(method, TENANT_PREFIX + path, handler) for method, path, handler in start_routes()]

    assert handlers([*start, *below], asked) == handlers(below, asked)


def test_the_route_that_starts_executions_is_found_first() -> None:
    ((handler, parameters),) = handlers(
        start_routes(), [("POST", "/executions/acme.shop/restart-all")]
    )

    assert handler == "create_execution"
    assert parameters == {"namespace": "acme.shop", "id": "restart-all"}


@pytest.mark.parametrize("verb", ["pause", "resume", "restart", "labels"])
def test_a_flow_may_have_the_name_of_a_verb_below_a_namespace_with_a_dot(verb: str) -> None:
    asked = [
        ("POST", f"/executions/acme.shop/{verb}"),
        ("POST", f"/executions/0353x7I2tDKe/{verb}"),
    ]

    flow, execution = handlers((*start_routes(), *ROUTES), asked)

    assert flow == ("create_execution", {"namespace": "acme.shop", "id": verb})
    assert execution[1] == {"executionId": "0353x7I2tDKe"}
