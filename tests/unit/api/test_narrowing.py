"""What a request about many namespaces is about."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from tiercel_api.security.narrowing import NAMESPACES, is_within, narrowed_roots, narrowing
from tiercel_engine.repository.terms import Term


def test_who_may_everywhere_is_not_narrowed() -> None:
    request = make_mocked_request("GET", "/")

    assert narrowing(request) == ()
    assert is_within(request, "any.where")
    assert narrowed_roots(request, None) == [None]
    assert narrowed_roots(request, "a") == ["a"]


@pytest.mark.parametrize(
    ("root", "roots"),
    [
        (None, ["a.b", "d"]),
        ("a", ["a.b"]),
        ("a.b", ["a.b"]),
        ("a.b.c.x", ["a.b.c.x"]),
        ("a.bc", []),
        ("e", []),
    ],
)
def test_what_lies_in_a_role_s_namespaces_is_left(root: str | None, roots: list[str]) -> None:
    request = make_mocked_request("GET", "/")
    request[NAMESPACES] = ("a.b", "d", "a.b.c", "d")

    assert narrowed_roots(request, root) == roots
    assert narrowing(request) == (Term("namespace", "PREFIX", ("a.b", "d", "a.b.c", "d")),)
    assert is_within(request, "a.b.c")
    assert not is_within(request, "a.bc")
    assert not is_within(request, "a")
