"""The function `http()` of templates: one bounded request, its body as a value.

Follows Kestra's function of that name. It blocks, so only threads that may wait call it.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import aiohttp
import msgspec
import yaml
from multidict import CIMultiDict
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from tiercel_engine.errors import TaskError, UserError
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.text import json_text, output_text
from tiercel_engine.flow.duration import parse_duration_s

#: What one call may take, whatever its options say, and the body that it may bring.
TIMEOUT_S = 30.0
BODY_BYTES_MAX = 10 << 20
REDIRECTS_MAX = 20
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
_YAML = frozenset({"application/yaml", "application/x-yaml", "text/yaml"})


class _Options(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class _Timeout(_Options):
    connect_timeout: str | float | None = None
    read_idle_timeout: str | float | None = None


class _Auth(_Options):
    type: Annotated[
        Literal["BASIC", "BEARER", "DIGEST"], BeforeValidator(lambda name: str(name).upper())
    ] = "BASIC"
    username: str = ""
    password: str = ""
    token: str = ""


class _Ssl(_Options):
    insecure_trust_all_certificates: bool = False


class HttpOptions(_Options):
    """The argument `options`."""

    timeout: _Timeout = Field(default_factory=_Timeout)
    auth: _Auth | None = None
    ssl: _Ssl = Field(default_factory=_Ssl)
    follow_redirects: bool = True
    allow_failed: bool = False


def http_value(call: Mapping[str, Any]) -> Any:
    """The body of the answer: the value when it is JSON, else its text; null when there is none.

    Args:
        call: the arguments given: uri, method, query, body, contentType, headers, options, accept.

    Raises:
        TaskError: no answer came in time, it tells a failure, or it is too large.
        UserError: an argument does not hold.
    """
    try:
        options = HttpOptions.model_validate(call.get("options") or {})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(f"Expected options of the function http(), but {wrong}.") from None
    return asyncio.run(_fetch(call, options))


async def _fetch(call: Mapping[str, Any], options: HttpOptions) -> Any:
    method, uri = str(call.get("method") or "GET").upper(), str(call["uri"])
    body, headers = _body(call), _headers(call, options)
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            aiohttp.ClientSession(
                timeout=_timeout(options), middlewares=_middlewares(options)
            ) as session,
            session.request(
                method,
                uri,
                params={k: output_text(v) for k, v in (call.get("query") or {}).items()},
                data=body,
                headers=headers,
                allow_redirects=options.follow_redirects,
                max_redirects=REDIRECTS_MAX,
                ssl=not options.ssl.insecure_trust_all_certificates,
            ) as response,
        ):
            if response.status >= 400 and not options.allow_failed:
                raise TaskError(
                    "Failed to execute HTTP Request, server respond with status "
                    f"{response.status} : {response.reason}"
                )
            return _value(response, await _content(response))
    except (aiohttp.ClientError, ssl.SSLError, TimeoutError, ValueError, OSError) as error:
        reason = str(error) or f"no answer within {TIMEOUT_S:g} s"
        raise TaskError(f"Failed to execute HTTP request {method} {uri}: {reason}") from error


def _headers(call: Mapping[str, Any], options: HttpOptions) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict({"Accept": str(call.get("accept") or JSON)})
    for name, given in (call.get("headers") or {}).items():
        headers.popall(name, None)
        for value in given if isinstance(given, list) else [given]:
            headers.add(name, output_text(value))
    headers.popall("Content-Type", None)
    if call.get("body") is not None:
        headers["Content-Type"] = str(call.get("contentType") or JSON)
    if options.auth is not None and options.auth.type != "DIGEST":
        headers["Authorization"] = _authorization(options.auth)
    return headers


def _middlewares(options: HttpOptions) -> list[aiohttp.ClientMiddlewareType]:
    auth = options.auth
    if auth is None or auth.type != "DIGEST":
        return []
    return [aiohttp.DigestAuthMiddleware(auth.username, auth.password)]


def _authorization(auth: _Auth) -> str:
    if auth.type == "BEARER":
        return f"Bearer {auth.token}"
    return f"Basic {base64.b64encode(f'{auth.username}:{auth.password}'.encode()).decode()}"


def _body(call: Mapping[str, Any]) -> bytes | None:
    body, kind = call.get("body"), str(call.get("contentType") or JSON).partition(";")[0]
    if body is None:
        return None
    if isinstance(body, bytes):
        return body
    try:
        if kind == FORM and isinstance(body, Mapping):
            return urlencode({key: output_text(value) for key, value in body.items()}).encode()
        if kind in _YAML and not isinstance(body, str):
            return yaml.safe_dump(msgspec.json.decode(json_text(body)), sort_keys=False).encode()
        return (body if isinstance(body, str) else json_text(body)).encode()
    except Fault as fault:
        raise UserError(f"The body of the function http(): {fault.message}") from fault


def _timeout(options: HttpOptions) -> aiohttp.ClientTimeout:
    try:
        connect_s, read_s = (
            None if written is None else parse_duration_s(written)
            for written in (options.timeout.connect_timeout, options.timeout.read_idle_timeout)
        )
    except ValueError as error:
        raise UserError(f"The timeout of the function http(): {error}") from None
    return aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=connect_s, sock_read=read_s)


async def _content(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for block in response.content.iter_any():
        content += block
        if len(content) > BODY_BYTES_MAX:
            raise TaskError(
                f"Expected an answer of at most {BODY_BYTES_MAX} bytes, but it has more: download"
                " it in a task."
            )
    return bytes(content)


def _value(response: aiohttp.ClientResponse, content: bytes) -> Any:
    if not content:
        return None
    kind = response.content_type
    if kind == JSON or kind.endswith("+json"):
        try:
            return msgspec.json.decode(content)
        except (msgspec.DecodeError, RecursionError) as error:
            raise TaskError(f"Expected an answer of JSON, but {error}.") from None
    return content.decode(response.charset or "utf-8", "replace")
