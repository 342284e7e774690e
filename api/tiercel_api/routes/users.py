"""Users, as an administrator manages them, and the audit log."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.paging import page_of
from tiercel_api.routes.sessions import grants_of, json_body, save_user, text_of, user_document
from tiercel_api.security.accounts import User
from tiercel_api.security.audit import newest_entries
from tiercel_api.security.guard import GUARD
from tiercel_api.security.topic import ACCOUNTS
from tiercel_api.services import SERVICES
from tiercel_engine.clock import iso
from tiercel_engine.errors import Conflict, NotFound

ENTRIES_MAX = 1_000


async def list_users(request: web.Request) -> web.Response:
    """GET /users."""
    page, size = page_of(request.query)
    users = sorted(request.app[ACCOUNTS].accounts.users.values(), key=lambda u: u.username)
    rows = users[(page - 1) * size : page * size]
    return json_response({"results": [user_document(u) for u in rows], "total": len(users)})


async def get_user(request: web.Request) -> web.Response:
    """GET /users/{username}."""
    return json_response(user_document(_user(request)))


async def create_user(request: web.Request) -> web.Response:
    """POST /users: `{username, password, roles: [{role, namespace}]}`."""
    body = await json_body(request)
    username = text_of(body, "username")
    accounts = request.app[ACCOUNTS].accounts
    if request.app[GUARD].is_open:
        raise Conflict("The first user is made by POST /api/v1/setup.")
    if username in accounts.users:
        raise Conflict(f"There is a user {username} already.")
    await save_user(
        request,
        username,
        password=text_of(body, "password"),
        roles=grants_of(body.get("roles") or []),
    )
    return json_response(user_document(accounts.users[username]))


async def change_user(request: web.Request) -> web.Response:
    """PATCH /users/{username}: any of `password`, `roles`, `disabled`."""
    user, body = _user(request), await json_body(request)
    disabled: Any = body.get("disabled")
    await save_user(
        request,
        user.username,
        password=text_of(body, "password") if "password" in body else None,
        roles=grants_of(body["roles"]) if "roles" in body else None,
        disabled=disabled is True if "disabled" in body else None,
    )
    return json_response(user_document(_user(request)))


async def delete_user(request: web.Request) -> web.Response:
    """DELETE /users/{username}: with all of its tokens."""
    await save_user(request, _user(request).username, deleted=True)
    return web.Response(status=204)


async def search_audit_log(request: web.Request) -> web.Response:
    """GET /auditlogs/search: who asked for which change, newest first."""
    services = request.app[SERVICES]
    _, size = page_of(request.query)
    entries = await asyncio.to_thread(
        newest_entries, services.log, services.topics.audit.name, min(size, ENTRIES_MAX)
    )
    rows = [
        {
            "date": iso(entry.at_us),
            "userId": entry.actor or None,
            "method": entry.method,
            "path": entry.path,
            "status": entry.status,
            "ipAddress": entry.remote,
        }
        for entry in entries
    ]
    return json_response({"results": rows, "total": len(rows)})


def _user(request: web.Request) -> User:
    username = request.match_info["username"]
    user = request.app[ACCOUNTS].accounts.users.get(username)
    if user is None:
        raise NotFound(f"There is no user {username}.")
    return user


API_ROUTES = (
    ("GET", "/users", list_users),
    ("POST", "/users", create_user),
    ("GET", "/users/{username}", get_user),
    ("PATCH", "/users/{username}", change_user),
    ("DELETE", "/users/{username}", delete_user),
    ("GET", "/auditlogs/search", search_audit_log),
)
