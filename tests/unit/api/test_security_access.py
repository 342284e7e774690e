"""Which right a request needs, and which roles give it."""

from __future__ import annotations

import pytest

from tiercel_api.security.access import (
    ROLES,
    Permission,
    may,
    namespaces_of,
    narrowed,
    permission_for,
)
from tiercel_schemas.accounts import RoleGrant

READ, EXECUTE, WRITE, ADMIN = Permission


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/flows/house/dinner", READ),
        ("HEAD", "/executions/abc", READ),
        ("POST", "/flows/validate", READ),
        ("POST", "/flows/graph", READ),
        ("POST", "/executions/latest", READ),
        ("POST", "/namespaces/autocomplete", READ),
        ("POST", "/flows/export/by-ids", READ),
        ("POST", "/executions/house/dinner", EXECUTE),
        ("POST", "/executions/abc/restart", EXECUTE),
        ("POST", "/executions/abc/actions/eval", EXECUTE),
        ("DELETE", "/executions/abc/kill", EXECUTE),
        ("DELETE", "/executions/abc/actions/kill", EXECUTE),
        ("DELETE", "/executions/kill/by-ids", EXECUTE),
        ("DELETE", "/executions/abc", WRITE),
        ("DELETE", "/executions/by-query", WRITE),
        ("POST", "/triggers/house/dinner/evening/unlock", EXECUTE),
        ("PUT", "/triggers", WRITE),
        ("POST", "/flows", WRITE),
        ("PUT", "/namespaces/house/kv/key", WRITE),
        ("DELETE", "/logs/abc", WRITE),
        ("GET", "/users", ADMIN),
        ("GET", "/auditlogs/search", ADMIN),
        ("POST", "/something/nobody/thought/of", WRITE),
    ],
)
def test_a_request_needs(method: str, path: str, needed: Permission) -> None:
    assert permission_for(method, path) == needed


@pytest.mark.parametrize(
    ("granted", "asked", "holds"),
    [
        ("", None, True),
        ("", "house", True),
        ("house", "house", True),
        ("house", "house.kitchen", True),
        ("house", "housewife", False),
        ("house.kitchen", "house", False),
        ("house", None, False),
    ],
)
def test_a_role_holds_in_its_namespace_and_below(
    granted: str, asked: str | None, holds: bool
) -> None:
    assert may([RoleGrant(role="viewer", namespace=granted)], READ, asked) is holds


def test_each_role_gives_what_those_before_it_give_and_no_more() -> None:
    for role, most in ROLES.items():
        for permission in Permission:
            grants = [RoleGrant(role=role)]
            assert may(grants, permission, "house") is (permission <= most)


def test_an_unknown_role_gives_nothing() -> None:
    assert not may([RoleGrant(role="emperor")], READ, "house")


def test_a_token_never_does_more_than_its_owner() -> None:
    owned = [RoleGrant(role="editor", namespace="house")]
    asked = [
        RoleGrant(role="viewer", namespace="house.kitchen"),
        RoleGrant(role="admin", namespace="house"),
        RoleGrant(role="viewer"),
    ]
    assert narrowed(owned, asked) == (asked[0],)


def test_single_namespaces_are_those_of_roles_that_suffice() -> None:
    grants = [
        RoleGrant(role="editor", namespace="house"),
        RoleGrant(role="viewer", namespace="office"),
        RoleGrant(role="viewer"),
    ]
    assert namespaces_of(grants, READ) is None
    assert namespaces_of(grants[:2], READ) == ("house", "office")
    assert namespaces_of(grants, WRITE) == ("house",)
    assert namespaces_of(grants, ADMIN) == ()
