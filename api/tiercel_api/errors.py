"""Error -> HTTP status and body, one table; and the bulkhead around one request.

The body's shape is Kestra's (HAL): `message`, `_links.self.href`, `_embedded.errors`, with its
empty fields written as null.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_engine.errors import (
    Conflict,
    InvalidExpression,
    InvalidFlow,
    InvalidInput,
    LogBusy,
    LogError,
    LogUnavailable,
    NotFound,
    RecordTooLarge,
    Rejected,
    TransientError,
    UserError,
    Violation,
)
from tiercel_engine.telemetry.logging import get_logger
from tiercel_engine.telemetry.metrics import API_REQUEST_S

log = get_logger(component="api")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Makes the number under which an internal error is logged.
INCIDENTS: web.AppKey[Callable[[], str]] = web.AppKey("incidents")

#: Seconds after which a client may try again when the log was busy or did not answer.
RETRY_AFTER_S = 1


class HttpError(UserError):
    """A request that HTTP itself refuses: `reason` is what the status means.

    Attributes:
        retry_after_s: when the client may try again, in whole seconds.
    """

    def __init__(
        self, status: int, reason: str, message: str = "", retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


class BadRequest(HttpError):
    """A required query parameter is missing or does not read."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "Bad Request", message)


class UnsupportedMediaType(HttpError):
    """The body has a type that this route does not read."""

    def __init__(self, given: str, allowed: Sequence[str]) -> None:
        super().__init__(
            415,
            "Unsupported Media Type",
            f"Content Type [{given}] not allowed. Allowed types: [{', '.join(allowed)}]",
        )


class BodyTooLarge(HttpError):
    """The body, or one part of it, is larger than its setting allows."""

    def __init__(self, what: str, bytes_max: int) -> None:
        super().__init__(
            413,
            "Request Entity Too Large",
            f"Expected at most {bytes_max} bytes of {what}, but there were more.",
        )


#: First match wins: error, status, start of the message.
TABLE: tuple[tuple[type[Exception], int, str], ...] = (
    (InvalidFlow, 422, "Invalid entity"),
    (InvalidInput, 422, "Invalid entity"),
    (InvalidExpression, 422, "Illegal argument"),
    (NotFound, 404, "Not Found"),
    (Conflict, 409, "Illegal state"),
    (Rejected, 422, "Illegal argument"),
    (UserError, 422, "Illegal argument"),
    (RecordTooLarge, 413, "Request Entity Too Large"),
    (LogBusy, 503, "Service Unavailable"),
    (LogUnavailable, 503, "Service Unavailable"),
    (LogError, 503, "Service Unavailable"),
    (TransientError, 503, "Service Unavailable"),
    (TimeoutError, 503, "Service Unavailable"),
)

_NO_LINK: dict[str, Any] = {
    "templated": False,
    "profile": None,
    "deprecation": None,
    "title": None,
    "hreflang": None,
    "type": None,
    "name": None,
}


def error_body(message: str, href: str, violations: Sequence[Violation] = ()) -> dict[str, Any]:
    """The body of an error answer."""
    embedded: list[dict[str, Any]] = [
        {"message": v.message, "logref": None, "path": v.path, "_links": {}, "_embedded": {}}
        for v in violations
    ]
    return {
        "message": message,
        "logref": None,
        "path": None,
        "_links": {"self": {"href": href, **_NO_LINK}},
        "_embedded": {"errors": embedded} if embedded else {},
    }


def error_response(request: web.Request, error: Exception) -> web.Response | None:
    """The answer to an error that the table knows; None for any other."""
    if isinstance(error, HttpError):
        response = _answer(request, error.status, error.reason, str(error))
        if error.retry_after_s is not None:
            response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    if isinstance(error, web.HTTPException):
        return _answer_http(request, error)
    for kind, status, reason in TABLE:
        if isinstance(error, kind):
            violations = _violations(error)
            message = _entity_message(error, violations) if violations else str(error)
            return _answer(request, status, reason, message, violations)
    return None


def _violations(error: Exception) -> tuple[Violation, ...]:
    return error.violations if isinstance(error, InvalidFlow | InvalidInput) else ()


def _entity_message(error: Exception, violations: Sequence[Violation]) -> str:
    if isinstance(error, InvalidInput):
        return "\n".join(f"{v.path}: {v.message}" for v in violations)
    return str(error)


def _answer(
    request: web.Request,
    status: int,
    reason: str,
    message: str,
    violations: Sequence[Violation] = (),
) -> web.Response:
    text = f"{reason}: {message}" if message else reason
    response = json_response(error_body(text, request.path_qs, violations), status)
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _answer_http(request: web.Request, error: web.HTTPException) -> web.Response:
    """aiohttp's own refusals (no such route, no such method, body too large) in our shape."""
    if isinstance(error, web.HTTPRedirection):
        return web.Response(status=error.status, headers={"Location": error.headers["Location"]})
    message = ""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        message = (
            f"Method [{request.method}] not allowed for URI [{request.path_qs}]. "
            f"Allowed methods: [{allowed}]"
        )
    response = _answer(request, error.status, error.reason, message)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The bulkhead of one request: whatever goes wrong in it becomes its answer, and is timed."""
    started = time.monotonic()
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = _answer_http(request, error)
    except Exception as error:  # noqa: BLE001
        response = error_response(request, error) or _internal_error(request, error)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    API_REQUEST_S.labels(request.method, route, str(response.status)).observe(
        time.monotonic() - started
    )
    return response


def _internal_error(request: web.Request, error: Exception) -> web.Response:
    """A fault of ours: the client learns the number under which the log tells more."""
    incident = request.app[INCIDENTS]()
    log.error(
        "request_failed",
        incident=incident,
        method=request.method,
        path=request.path,
        exc_info=error,
    )
    return _answer(request, 500, "Internal server error", f"see incident {incident} in the log")
