"""/triggers/…/by-triggers and …/by-query: the same request to many triggers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.bodies import read_body
from tiercel_api.errors import HttpError
from tiercel_api.lookup import tenant_of
from tiercel_api.paging import is_set, trigger_filter
from tiercel_api.reads import READS
from tiercel_api.routes.triggers import ask, command_id_of, key_in_body
from tiercel_api.services import SERVICES
from tiercel_engine.errors import UserError
from tiercel_schemas import triggers as t
from tiercel_schemas.ids import TriggerKey

#: Triggers of one request.
TRIGGERS_MAX = 10_000
#: Triggers that are asked at the same time.
AT_ONCE = 50

Make = Callable[[str, TriggerKey, bool], Any]


def _bulk(make: Make, by_query: bool) -> Any:
    """A handler that asks each trigger what `make` makes of its key."""

    async def handler(request: web.Request) -> web.Response:
        keys, disabled = await (_queried(request) if by_query else _listed(request))
        failures = [one for one in await _ask_all(request, keys, make, disabled) if one]
        if failures:
            raise HttpError(400, "Bad Request", "; ".join(failures[:20]))
        return json_response({"count": len(keys), "totalItems": len(keys)})

    return handler


async def _ask_all(
    request: web.Request, keys: list[TriggerKey], make: Make, disabled: bool
) -> list[str | None]:
    free = asyncio.Semaphore(AT_ONCE)

    async def one(key: TriggerKey) -> str | None:
        async with free:
            try:
                await ask(request, key, make(command_id_of(request), key, disabled))
            except (UserError, HttpError) as error:
                return f"{key.namespace}.{key.flow_id}.{key.trigger_id}: {error}"
            return None

    return list(await asyncio.gather(*(one(key) for key in keys)))


async def _listed(request: web.Request) -> tuple[list[TriggerKey], bool]:
    """A list of triggers, or `{triggers: [...], disabled}`."""
    text = await read_body(request, "JSON", request.app[SERVICES].settings.body_bytes_max)
    try:
        body = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise HttpError(400, "Bad Request", f"Expected JSON, but {error}.") from None
    disabled = bool(body.get("disabled", True)) if isinstance(body, dict) else True
    rows = body.get("triggers") if isinstance(body, dict) else body
    if not isinstance(rows, list) or len(rows) > TRIGGERS_MAX:
        raise HttpError(400, "Bad Request", f"Expected a list of at most {TRIGGERS_MAX} triggers.")
    keys = [key_in_body(request, row) for row in rows if isinstance(row, dict)]
    return keys, disabled


async def _queried(request: web.Request) -> tuple[list[TriggerKey], bool]:
    services = request.app[SERVICES]
    where = trigger_filter(request.query, services.clock.now_us())
    found = await request.app[READS].call(
        services.models.search_triggers, where, 1, TRIGGERS_MAX, ()
    )
    tenant = tenant_of(request)
    keys = [
        TriggerKey(tenant, row["namespace"], row["flowId"], row["triggerId"])
        for row in found.results
    ]
    return keys, is_set(request.query, "disabled", True)


_MAKERS: tuple[tuple[str, str, Make], ...] = (
    ("POST", "/triggers/unlock", lambda c, key, _: t.UnlockTrigger(c, *key)),
    ("POST", "/triggers/set-disabled", lambda c, key, off: t.SetTriggerDisabled(c, *key, off)),
    ("DELETE", "/triggers/delete", lambda c, key, _: t.DeleteTrigger(c, *key)),
    ("POST", "/triggers/backfill/delete", lambda c, key, _: t.EndBackfill(c, *key)),
    ("POST", "/triggers/backfill/pause", lambda c, key, _: t.SetBackfillPaused(c, *key, True)),
    ("POST", "/triggers/backfill/unpause", lambda c, key, _: t.SetBackfillPaused(c, *key, False)),
)

ROUTES = tuple(
    (method, f"{path}/by-{kind}", _bulk(make, kind == "query"))
    for method, path, make in _MAKERS
    for kind in ("triggers", "query")
)
