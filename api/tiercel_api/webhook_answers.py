"""What the caller of a webhook is answered: the execution as it starts, as it ended, its outputs.

Follows the webhook of Kestra 2.0: after `wait` the status is 500 when the execution FAILED, unless
`responseCode` says another one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from tiercel_api.answers import encode_execution, encode_json, execution_response
from tiercel_api.door_rendering import door_renderer
from tiercel_api.errors import HttpError
from tiercel_api.eval_lookups import EvalLookups
from tiercel_api.eval_variables import variables_of
from tiercel_api.files import FILES
from tiercel_api.lookup import tenant_of
from tiercel_api.services import SERVICES
from tiercel_engine.errors import TaskError, UserError
from tiercel_engine.flow.base import Rule
from tiercel_engine.flow.model import Flow
from tiercel_engine.plugin.triggers import Webhook, status_of
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.storage.kv import KvStore
from tiercel_schemas.state import State, is_terminated

JSON = "application/json"


async def answer_call(
    request: web.Request, flow: Flow, webhook: Webhook, document: JsonObject
) -> web.Response:
    """The answer, once the execution has started or, with `wait`, ended.

    Raises:
        HttpError: its responseCode is no status.
        NotFound: its outputs are gone from storage.
    """
    if not webhook.wait:
        return await execution_response(request, document)
    if not is_terminated(document["state"]["current"]):
        # It goes on; `url` says where to look for it.
        body = await encode_execution(request, document)
        return web.Response(body=body, status=202, content_type=JSON)
    status = await _status(request, flow, webhook, document)
    if not webhook.return_outputs:
        body = await encode_execution(request, document)
        return web.Response(body=body, status=status, content_type=JSON)
    outputs = await request.app[FILES].value(document.get("outputs") or {})
    kind = webhook.response_content_type or JSON
    return web.Response(body=_body(outputs, kind), status=status, content_type=kind)


def _body(outputs: JsonObject, kind: str) -> bytes:
    """Outputs as JSON; a single text, where JSON is not asked for, as it is."""
    values: list[Any] = list(outputs.values())
    if kind != JSON and len(values) == 1 and isinstance(values[0], str):
        return values[0].encode()
    return encode_json(outputs)


async def _status(request: web.Request, flow: Flow, webhook: Webhook, document: JsonObject) -> int:
    code = webhook.response_code
    if code is None:
        return 500 if document["state"]["current"] == State.FAILED else 200
    services, renderer = request.app[SERVICES], door_renderer(request, flow)(None)
    lookups = EvalLookups(services.storage, KvStore(services.storage, services.clock), document)
    known = variables_of(document, flow, tenant_of(request), lookups.fetch, server=services.server)
    try:
        return status_of(await asyncio.to_thread(renderer.text, str(code), known))
    except (UserError, TaskError, Rule) as error:
        raise HttpError(500, "Internal Server Error", str(error)) from error
