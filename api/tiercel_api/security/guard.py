"""Who sends a request, and whether they may: the middleware in front of every handler.

While there is no user the server is open, and listens on loopback only (the composition root sees
to that). From the first user on, a request carries a Bearer token, Basic credentials, or the cookie
of a session; with a cookie, what changes something also carries the page's CSRF token.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import math
import time
from collections import OrderedDict

import msgspec
from aiohttp import web

from tiercel_api.errors import Handler, HttpError
from tiercel_api.lookup import execution_of
from tiercel_api.security import access, secrets
from tiercel_api.security.access import Permission
from tiercel_api.security.accounts import User
from tiercel_api.security.limiter import Limiter
from tiercel_api.security.narrowing import NAMESPACES, is_narrowing
from tiercel_api.security.topic import AccountsTopic
from tiercel_engine.clock import Clock
from tiercel_schemas.accounts import RoleGrant

COOKIE = "tiercel_session"
CSRF_HEADER = "X-CSRF-TOKEN"
#: Methods that change nothing, and may come from any page.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Passwords that were right a moment ago, so that Basic does not cost a slow hash per request.
VERIFIED_MAX = 1_000
VERIFIED_S = 300.0
#: Slow hashes at a time.
HASHES_MAX = 2
#: Paths outside the API, and calls of it, that nobody logs in for.
OPEN_ROUTES = frozenset(
    {
        "/health",
        "/ready",
        "/ping",
        "/login",
        "/logout",
        "/ui/",
        "/docs",
        "/openapi.json",
        "/asyncapi.yaml",
        "/asyncapi/{record}.avsc",
    }
)
OPEN_CALLS = ("/v1/setup", "/v1/{tenant}/setup", "/configs/login")
_WEBHOOK = "/executions/webhook/{namespace}/{id}/{key}"
#: Calls that store what their body names: the handler asks by `allow` when it has read it.
_IN_BODY = frozenset({"/flows", "/templates", "/namespaces"})


class Principal(msgspec.Struct, frozen=True):
    """Who sent a request, and what they may do."""

    username: str
    grants: tuple[RoleGrant, ...]
    cookie: str | None = None


class Guard:
    """Finds out who sends requests."""

    def __init__(
        self, topic: AccountsTopic, clock: Clock, signer: secrets.SessionSigner, limiter: Limiter
    ) -> None:
        self.signer = signer
        self.limiter = limiter
        self._topic = topic
        self._clock = clock
        self._hashing = asyncio.Semaphore(HASHES_MAX)
        #: hash of (stored hash, password) -> until when it holds
        self._verified: OrderedDict[bytes, float] = OrderedDict()
        self._salt = hashlib.sha256(str(time.monotonic_ns()).encode()).digest()

    @property
    def is_open(self) -> bool:
        """Whether nobody has to say who they are: there is no user."""
        return not self._topic.accounts.users

    async def principal(self, request: web.Request) -> Principal | None:
        """Who sent it; None when it does not say, or what it says is wrong."""
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._of_token(value.strip())
        if scheme.lower() == "basic":
            return await self._of_basic(value.strip(), request.remote or "")
        cookie = request.cookies.get(COOKIE)
        return None if cookie is None else self._of_cookie(cookie)

    def _of_token(self, text: str) -> Principal | None:
        parts = secrets.split_token(text)
        token = self._topic.accounts.tokens.get(parts[0]) if parts else None
        if parts is None or token is None:
            return None
        given = secrets.token_hash(parts[1])
        if not hmac.compare_digest(given, token.secret_hash):
            return None
        if token.expires_us is not None and token.expires_us <= self._clock.now_us():
            return None
        user = self._user(token.username)
        if user is None:
            return None
        grants = access.narrowed(user.roles, token.roles) if token.roles else user.roles
        return Principal(user.username, grants)

    async def _of_basic(self, value: str, address: str) -> Principal | None:
        try:
            text = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError):
            text = ""
        username, _, password = text.partition(":")
        user = await self.login(username, password, address)
        return None if user is None else Principal(user.username, user.roles)

    def _of_cookie(self, cookie: str) -> Principal | None:
        session = self.signer.session(cookie, self._clock.now_us())
        user = self._user(session.username) if session is not None else None
        if session is None or user is None or user.version != session.version:
            return None
        return Principal(user.username, user.roles, cookie)

    def _user(self, username: str) -> User | None:
        user = self._topic.accounts.users.get(username)
        return None if user is None or user.disabled else user

    async def login(self, username: str, password: str, address: str) -> User | None:
        """The user whose password this is; None otherwise, after the same time.

        Failures are counted, and asked for, while nobody else can look: many guesses at once are
        no more than one after the other.

        Raises:
            HttpError: 429, this address failed too often.
        """
        user = self._user(username)
        stored = None if user is None else user.password_hash
        seen = hmac.digest(self._salt, f"{stored}\n{password}".encode(), "sha256")
        if user is not None and self._verified.get(seen, 0.0) > time.monotonic():
            return user
        async with self._hashing:
            if user is not None and self._verified.get(seen, 0.0) > time.monotonic():
                return user
            refuse_when_guessing(self, address)
            if not await asyncio.to_thread(secrets.is_password, stored, password):
                self.limiter.failed(address, time.monotonic())
                return None
        self._verified[seen] = time.monotonic() + VERIFIED_S
        if len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)
        return user


GUARD = web.AppKey("guard", Guard)
PRINCIPAL = web.RequestKey("principal", Principal)


@web.middleware
async def check_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through that may be made, by whoever sends it."""
    guard = request.app[GUARD]
    if guard.is_open:
        return await handler(request)
    path = path_below_tenant(request)
    if is_open(request):
        return await handler(request)
    address = request.remote or ""
    refuse_when_guessing(guard, address)
    principal = await guard.principal(request)
    if principal is None:
        given = request.headers.get("Authorization", "")
        # A wrong password has been counted already.
        if (given or COOKIE in request.cookies) and not given.lower().startswith("basic "):
            guard.limiter.failed(address, time.monotonic())
        raise HttpError(401, "Unauthorized", "Log in, or send an API token.")
    if principal.cookie is not None and request.method not in SAFE_METHODS:
        _check_csrf(guard, request, principal.cookie)
    request[PRINCIPAL] = principal
    if not access.is_common(request.method, path):
        await _check_permission(request, principal, path)
    return await handler(request)


def path_below_tenant(request: web.Request) -> str:
    """The path below the API's prefix and the tenant; as it is outside the API."""
    path = request.path
    if not path.startswith("/api/v1/"):
        return path
    path = path.removeprefix("/api/v1")
    tenant = request.match_info.get("tenant")
    return path if tenant is None else path.removeprefix(f"/{tenant}")


def is_open(request: web.Request) -> bool:
    """Whether nobody logs in for it. Webhooks are kept by their keys.

    Asked of the route, not of the path: a namespace may be called `webhook`.
    """
    resource = request.match_info.route.resource
    pattern = "" if resource is None else resource.canonical
    return pattern in OPEN_ROUTES or pattern.endswith(OPEN_CALLS) or _WEBHOOK in pattern


def refuse_when_guessing(guard: Guard, address: str) -> None:
    """Raises HttpError 429 for an address that failed too often."""
    wait_s = guard.limiter.wait_s(address, time.monotonic())
    if wait_s > 0:
        raise HttpError(
            429, "Too Many Requests", f"Try again in {wait_s:.0f} s.", math.ceil(wait_s)
        )


def _check_csrf(guard: Guard, request: web.Request, cookie: str) -> None:
    token = request.headers.get(CSRF_HEADER, "")
    if not guard.signer.is_csrf_token(cookie, token):
        raise HttpError(403, "Forbidden", f"Expected the page's {CSRF_HEADER} with the cookie.")


async def _check_permission(request: web.Request, principal: Principal, path: str) -> None:
    permission = access.permission_for(request.method, path)
    if access.may(principal.grants, permission, None):
        return
    if request.method == "POST" and path in _IN_BODY:
        return
    within = access.namespaces_of(principal.grants, permission)
    if within and is_narrowing(request.match_info.handler):
        request[NAMESPACES] = within
        return
    namespaces = await _namespaces(request)
    if namespaces and all(access.may(principal.grants, permission, n) for n in namespaces):
        return
    where = f"in {', '.join(namespaces)}" if namespaces else "in every namespace"
    raise HttpError(
        403, "Forbidden", f"{principal.username} lacks the right to {permission.name} {where}."
    )


async def _namespaces(request: web.Request) -> list[str]:
    """The namespaces that a request is about; none when it may be about any."""
    info = request.match_info
    if "namespace" in info:
        return [info["namespace"]]
    resource = info.route.resource
    if resource is not None and "/namespaces/{id}" in resource.canonical:
        return [info["id"]]
    if "executionId" in info:
        return [(await execution_of(request))["namespace"]]
    return []


def is_allowed(request: web.Request, permission: Permission, namespace: str) -> bool:
    """Whether who sends it has a permission in a namespace; everybody while there is no user."""
    principal: Principal | None = request.get(PRINCIPAL)
    return principal is None or access.may(principal.grants, permission, namespace)


def allow(request: web.Request, permission: Permission, namespace: str) -> None:
    """Ask again once a handler knows the namespace. Raises HttpError 403."""
    principal: Principal | None = request.get(PRINCIPAL)
    if principal is not None and not is_allowed(request, permission, namespace):
        raise HttpError(
            403, "Forbidden", f"{principal.username} may not {permission.name} in {namespace}."
        )
