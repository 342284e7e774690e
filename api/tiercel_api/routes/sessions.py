"""Setting up the first user, logging in and out, and what a logged-in user owns: its tokens."""

from __future__ import annotations

import asyncio
from html import escape
from typing import Any

import msgspec
from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.bodies import read_body
from tiercel_api.errors import BadRequest, HttpError
from tiercel_api.gateway import GATEWAY
from tiercel_api.security import secrets
from tiercel_api.security.access import ROLES, Permission, may
from tiercel_api.security.accounts import Token, User
from tiercel_api.security.guard import COOKIE, GUARD, PRINCIPAL, Principal, refuse_when_guessing
from tiercel_api.security.topic import ACCOUNTS
from tiercel_api.services import SERVICES
from tiercel_engine.clock import iso
from tiercel_engine.errors import InvalidInput, NotFound, Violation
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_schemas.accounts import RoleGrant, TokenSaved, UserSaved

BODY_BYTES_MAX = 64 * 1024
ALL_RIGHTS = (RoleGrant(role="admin"),)
#: The page that carries the CSRF token: nothing in it runs or loads.
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tiercel</title>
<meta name="csrf-token" content="{token}"></head>
<body><h1>Tiercel</h1><p>{words}</p></body></html>
"""


async def json_body(request: web.Request) -> dict[str, Any]:
    """The body, which must be a JSON object. Raises InvalidInput."""
    body = await read_body(request, "JSON", BODY_BYTES_MAX)
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise InvalidInput((Violation("body", str(error)),)) from None
    if not isinstance(value, dict):
        raise InvalidInput((Violation("body", "must be a JSON object"),))
    return value


def text_of(body: dict[str, Any], name: str, default: str | None = None) -> str:
    """A text of a JSON body. Raises InvalidInput when it is missing or none."""
    value = body.get(name, default)
    if not isinstance(value, str):
        raise InvalidInput((Violation(name, "must be a text"),))
    return value


async def get_setup(request: web.Request) -> web.Response:
    """GET /setup: whether there is a user."""
    return json_response({"done": not request.app[GUARD].is_open})


async def setup(request: web.Request) -> web.Response:
    """POST /setup: make the first user, an administrator; 405 when there is one."""
    if not request.app[GUARD].is_open:
        raise HttpError(405, "Method Not Allowed", "There is a user already: log in instead.")
    body = await json_body(request)
    username, password = text_of(body, "username"), text_of(body, "password")
    await save_user(request, username, password=password, roles=ALL_RIGHTS, is_first=True)
    return json_response(user_document(request.app[ACCOUNTS].accounts.users[username]))


async def save_user(
    request: web.Request,
    username: str,
    *,
    password: str | None = None,
    roles: tuple[RoleGrant, ...] | None = None,
    disabled: bool | None = None,
    deleted: bool = False,
    is_first: bool = False,
) -> None:
    """Store a user; what is None stays as it is.

    Raises:
        InvalidInput: the name or password does not hold.
        Conflict: somebody changed the user meanwhile.
    """
    known = request.app[ACCOUNTS].accounts.users.get(username)
    stored = "" if known is None else known.password_hash
    if password is not None:
        secrets.check_credentials(username, password)
        stored = await asyncio.to_thread(secrets.hash_password, password)
    gateway = request.app[GATEWAY]
    change = UserSaved(
        change_id=gateway.command_id(),
        at_us=request.app[SERVICES].clock.now_us(),
        actor=actor_of(request),
        username=username,
        password_hash=stored,
        roles=roles if roles is not None else (() if known is None else known.roles),
        disabled=disabled if disabled is not None else (known is not None and known.disabled),
        deleted=deleted,
        expected_version=0 if known is None else known.version,
        is_first=is_first,
    )
    await request.app[ACCOUNTS].wish(gateway, change)


def actor_of(request: web.Request) -> str:
    """Name of who sent the request; empty while nobody has to say."""
    principal: Principal | None = request.get(PRINCIPAL)
    return "" if principal is None else principal.username


async def create_basic_auth(request: web.Request) -> web.Response:
    """POST /basicAuth: the first user, or by an administrator another one's password."""
    body = await json_body(request)
    username, password = text_of(body, "username"), text_of(body, "password")
    principal: Principal | None = request.get(PRINCIPAL)
    if principal is not None and not may(principal.grants, Permission.ADMIN, None):
        raise HttpError(403, "Forbidden", "Only an administrator may do this.")
    await save_user(
        request,
        username,
        password=password,
        roles=ALL_RIGHTS if request.app[GUARD].is_open else None,
        is_first=request.app[GUARD].is_open,
    )
    return web.Response(status=204)


async def login(request: web.Request) -> web.Response:
    """POST /login: name and password for the cookie of a session."""
    guard, address = request.app[GUARD], request.remote or ""
    refuse_when_guessing(guard, address)
    body = await json_body(request)
    user = await guard.login(text_of(body, "username"), text_of(body, "password"), address)
    if user is None:
        raise HttpError(401, "Unauthorized", "The name or the password is wrong.")
    cookie = guard.signer.cookie(user.username, user.version, request.app[SERVICES].clock.now_us())
    response = json_response({"username": user.username})
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=secrets.SESSION_S,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=request.secure,
    )
    return response


async def logout(request: web.Request) -> web.Response:
    """POST /logout: forget the cookie."""
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/")
    return response


async def get_page(request: web.Request) -> web.Response:
    """GET /ui/: a page with the CSRF token of the session."""
    guard, cookie = request.app[GUARD], request.cookies.get(COOKIE)
    principal = await guard.principal(request)
    token = guard.signer.csrf_token(cookie) if cookie and principal and principal.cookie else ""
    words = "The API is at /api/v1." if token or guard.is_open else "Log in by POST /login."
    text = _PAGE.format(token=escape(token, quote=True), words=words)
    return web.Response(text=text, content_type="text/html")


async def get_me(request: web.Request) -> web.Response:
    """GET /me: who sends this."""
    return json_response(user_document(_me(request)))


async def change_password(request: web.Request) -> web.Response:
    """PUT /me/password: with the old one."""
    user, body = _me(request), await json_body(request)
    guard, address = request.app[GUARD], request.remote or ""
    if await guard.login(user.username, text_of(body, "oldPassword"), address) is None:
        raise HttpError(403, "Forbidden", "The old password is wrong.")
    await save_user(request, user.username, password=text_of(body, "newPassword"))
    return web.Response(status=204)


async def list_tokens(request: web.Request) -> web.Response:
    """GET /me/api-tokens."""
    name = _me(request).username
    now_us = request.app[SERVICES].clock.now_us()
    tokens = [t for t in request.app[ACCOUNTS].accounts.tokens.values() if t.username == name]
    rows = [_token_document(token, now_us) for token in tokens]
    return json_response({"results": rows, "total": len(rows)})


async def create_token(request: web.Request) -> web.Response:
    """POST /me/api-tokens: the only time that the whole token is told."""
    user, body = _me(request), await json_body(request)
    services, gateway = request.app[SERVICES], request.app[GATEWAY]
    now_us = services.clock.now_us()
    token_id = f"{gateway.random_bits():020x}"
    full_token, secret_hash = secrets.new_token(token_id)
    name = text_of(body, "name")
    change = TokenSaved(
        change_id=gateway.command_id(),
        at_us=now_us,
        actor=user.username,
        token_id=token_id,
        username=user.username,
        name=name,
        description=text_of(body, "description", ""),
        secret_hash=secret_hash,
        roles=grants_of(body.get("roles") or []),
        expires_us=_expiry_us(body.get("maxAge"), now_us),
    )
    await request.app[ACCOUNTS].wish(gateway, change)
    return json_response({"id": token_id, "name": name, "fullToken": full_token})


async def delete_token(request: web.Request) -> web.Response:
    """DELETE /me/api-tokens/{tokenId}."""
    user, gateway = _me(request), request.app[GATEWAY]
    token_id = request.match_info["tokenId"]
    token = request.app[ACCOUNTS].accounts.tokens.get(token_id)
    if token is None or token.username != user.username:
        raise NotFound(f"There is no token {token_id}.")
    change = TokenSaved(
        change_id=gateway.command_id(),
        at_us=request.app[SERVICES].clock.now_us(),
        actor=user.username,
        token_id=token_id,
        username=user.username,
        revoked=True,
    )
    await request.app[ACCOUNTS].wish(gateway, change)
    return web.Response(status=204)


def _me(request: web.Request) -> User:
    principal: Principal | None = request.get(PRINCIPAL)
    if principal is None:
        raise NotFound("There is no user yet: POST /api/v1/setup makes the first one.")
    return request.app[ACCOUNTS].accounts.users[principal.username]


def user_document(user: User) -> dict[str, Any]:
    """A user as the API shows it."""
    is_owner = any(g.role == "admin" and not g.namespace for g in user.roles)
    return {
        "id": user.username,
        "username": user.username,
        "type": "STANDARD",
        "disabled": user.disabled,
        "superAdmin": is_owner,
        "instanceOwner": is_owner,
        "roles": [{"role": g.role, "namespace": g.namespace} for g in user.roles],
        "created": iso(user.created_us),
    }


def grants_of(rows: Any) -> tuple[RoleGrant, ...]:
    """Roles of a JSON body: `[{role, namespace}]`. Raises InvalidInput."""
    grants = []
    for row in rows if isinstance(rows, list) else [rows]:
        role = row.get("role") if isinstance(row, dict) else None
        if not isinstance(row, dict) or role not in ROLES:
            raise InvalidInput((Violation("roles", f"must each be one of {', '.join(ROLES)}"),))
        grants.append(RoleGrant(role=role, namespace=str(row.get("namespace") or "")))
    return tuple(grants)


def _expiry_us(max_age: Any, now_us: int) -> int | None:
    if max_age is None:
        return None
    try:
        seconds = parse_duration_s(max_age)
    except ValueError as error:
        raise BadRequest(f"maxAge: {error}") from None
    return now_us + round(seconds * 1_000_000)


def _token_document(token: Token, now_us: int) -> dict[str, Any]:
    return {
        "id": token.token_id,
        "name": token.name,
        "description": token.description,
        "prefix": f"{secrets.TOKEN_PREFIX}_{token.token_id}",
        "iat": iso(token.created_us),
        "exp": None if token.expires_us is None else iso(token.expires_us),
        "expired": token.expires_us is not None and token.expires_us <= now_us,
        "roles": [{"role": g.role, "namespace": g.namespace} for g in token.roles],
    }


#: Outside the API's prefix.
ROUTES = (
    ("POST", "/login", login),
    ("POST", "/logout", logout),
    ("GET", "/ui/", get_page),
)
API_ROUTES = (
    ("GET", "/setup", get_setup),
    ("POST", "/setup", setup),
    ("POST", "/basicAuth", create_basic_auth),
    ("GET", "/me", get_me),
    ("PUT", "/me/password", change_password),
    ("GET", "/me/api-tokens", list_tokens),
    ("POST", "/me/api-tokens", create_token),
    ("DELETE", "/me/api-tokens/{tokenId}", delete_token),
)
