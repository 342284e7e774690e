"""Calls of Kestra's clients that are not served, with the reason: 404, as by any open server.

Without these, other routes of the same paths would answer that only the method is wrong.
"""

from __future__ import annotations

from aiohttp import web

from tiercel_api.errors import Handler
from tiercel_engine.errors import NotFound

_PROMOTIONS = "Promotions of flows are of Kestra's enterprise edition: store the flow over there."
_CREDENTIALS = "Credentials are of Kestra's enterprise edition: use secrets and key-value pairs."
_SECRETS = "Secrets are environment variables SECRET_<NAME> of the server; no call changes them."
_TENANTS = "Tenants are a setting of the server; no call changes them."
_ME = "A user has a name and a password, and no more."


def _absent(reason: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise NotFound(reason)

    handler.__doc__ = f"Not served: {reason}"
    return handler


_CALLS: tuple[tuple[str, str, str], ...] = (
    ("POST", "/flows/promote/by-ids", _PROMOTIONS),
    ("POST", "/flows/policies/preview", "Policies are of Kestra's enterprise edition."),
    ("POST", "/flows/{namespace}/{id}/promote", _PROMOTIONS),
    ("GET", "/flows/{namespace}/{id}/promotions", _PROMOTIONS),
    ("POST", "/flows/{namespace}/{id}/promotions", _PROMOTIONS),
    ("PUT", "/namespaces/{namespace}/secrets", _SECRETS),
    ("PATCH", "/namespaces/{namespace}/secrets/{key}", _SECRETS),
    ("DELETE", "/namespaces/{namespace}/secrets/{key}", _SECRETS),
    ("GET", "/namespaces/{namespace}/credentials", _CREDENTIALS),
    ("POST", "/namespaces/{namespace}/credentials", _CREDENTIALS),
    ("POST", "/tenants", _TENANTS),
    ("PUT", "/tenants/{tenantId}", _TENANTS),
    ("DELETE", "/tenants/{tenantId}", _TENANTS),
    ("PATCH", "/me", _ME),
)

ROUTES = tuple((method, path, _absent(reason)) for method, path, reason in _CALLS)
