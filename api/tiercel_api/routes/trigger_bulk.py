"""/triggers/…/by-triggers and …/by-query: the same request to many triggers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web
from multidict import MultiDict, MultiDictProxy

from tiercel_api.answers import json_response
from tiercel_api.bodies import read_json
from tiercel_api.body_filters import in_query
from tiercel_api.errors import HttpError
from tiercel_api.lookup import tenant_of
from tiercel_api.paging import is_set, trigger_filter
from tiercel_api.reads import READS
from tiercel_api.routes.triggers import ask, command_id_of, exists, key_in_body
from tiercel_api.security.narrowing import narrowing, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import UserError
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas import triggers as t
from tiercel_schemas.ids import TriggerKey

log = get_logger(component="api")

#: Triggers of one request.
TRIGGERS_MAX = 10_000
#: Triggers that are asked at the same time.
AT_ONCE = 50

Make = Callable[[str, TriggerKey, bool], Any]


def _bulk(title: str, make: Make, by_query: bool) -> Any:
    """A handler that asks each trigger what `make` makes of its key.

    As in Kestra, a trigger to which it does not apply (unlocking one that is not locked, deleting
    one that its flow still has) is left as it is and not counted. One that is not there is told,
    and then none is asked.
    """

    async def handler(request: web.Request) -> web.Response:
        if by_query:
            keys, disabled = await _queried(request), is_set(request.query, "disabled", True)
        else:
            body = await read_json(request)
            keys, disabled = _listed(request, body), _disabled(body)
            unknown = [key for key in keys if not await exists(request, key)]
            if unknown:
                return _refused(request, title, unknown)
        done = await _ask_all(request, keys, make, disabled)
        return json_response({"count": done, "totalItems": done})

    return narrows(handler)


async def _ask_all(request: web.Request, keys: list[TriggerKey], make: Make, disabled: bool) -> int:
    """How many took it."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(key: TriggerKey) -> bool:
        async with free:
            try:
                await ask(request, key, make(command_id_of(request), key, disabled))
            except (UserError, HttpError) as error:
                log.info("bulk_refused", trigger=str(key), reason=str(error))
                return False
            return True

    return sum(await asyncio.gather(*(one(key) for key in keys)))


def _refused(request: web.Request, title: str, unknown: list[TriggerKey]) -> web.Response:
    """The answer when some are not there, as that to a bulk of executions."""
    invalids = [
        {
            "message": "trigger not found",
            "invalidValue": f"{key.namespace}.{key.flow_id}.{key.trigger_id}",
            "rootBeanClass": "java.lang.String",
        }
        for key in unknown
    ]
    body = {"message": f"invalid bulk {title}", "invalids": invalids}
    return json_response(body, 422 if "tenant" in request.match_info else 400)


def _listed(request: web.Request, body: Any) -> list[TriggerKey]:
    """A list of triggers, or `{triggers: [...], disabled}`."""
    rows = body.get("triggers") if isinstance(body, dict) else body
    if not isinstance(rows, list) or len(rows) > TRIGGERS_MAX:
        raise HttpError(400, "Bad Request", f"Expected a list of at most {TRIGGERS_MAX} triggers.")
    found = (key_in_body(request, row if isinstance(row, dict) else {}) for row in rows)
    return list(dict.fromkeys(found))


def _disabled(body: Any) -> bool:
    given = body if isinstance(body, dict) else {}
    if given.get("recoverMissedSchedules") is not None:
        raise HttpError(
            422,
            "Illegal argument",
            "Expected no recoverMissedSchedules: what the trigger itself says of it holds.",
        )
    return given.get("disabled", True) is not False


async def _queried(request: web.Request) -> list[TriggerKey]:
    """The triggers that match the query, or the `filters` of a body."""
    services = request.app[SERVICES]
    query = request.query
    if request.body_exists:
        body = await read_json(request)
        written = body.get("filters") if isinstance(body, dict) else body
        if written is not None:
            query = MultiDictProxy(MultiDict([*query.items(), *in_query(written).items()]))
    where = trigger_filter(query, services.clock.now_us(), narrowing(request))
    found = await request.app[READS].call(
        services.models.search_triggers, where, 1, TRIGGERS_MAX, ()
    )
    if found.total > TRIGGERS_MAX:
        raise HttpError(
            422,
            "Illegal argument",
            f"Expected at most {TRIGGERS_MAX} triggers at once, but there are {found.total}: "
            "narrow the request.",
        )
    tenant = tenant_of(request)
    return [
        TriggerKey(tenant, row["namespace"], row["flowId"], row["triggerId"])
        for row in found.results
    ]


#: Method, path, and what one trigger is asked.
_MAKERS: tuple[tuple[str, str, Make], ...] = (
    ("POST", "/triggers/unlock", lambda c, key, _: t.UnlockTrigger(c, *key)),
    ("POST", "/triggers/set-disabled", lambda c, key, off: t.SetTriggerDisabled(c, *key, off)),
    ("DELETE", "/triggers/delete", lambda c, key, _: t.DeleteTrigger(c, *key)),
    ("POST", "/triggers/backfill/delete", lambda c, key, _: t.EndBackfill(c, *key)),
    ("POST", "/triggers/backfill/pause", lambda c, key, _: t.SetBackfillPaused(c, *key, True)),
    ("POST", "/triggers/backfill/unpause", lambda c, key, _: t.SetBackfillPaused(c, *key, False)),
)


def _title(path: str) -> str:
    """`/triggers/backfill/pause` -> `backfill pause`."""
    return path.removeprefix("/triggers/").replace("/", " ").replace("-", " ")


ROUTES = tuple(
    (method, f"{path}/by-{kind}", _bulk(_title(path), make, kind == "query"))
    for method, path, make in _MAKERS
    for kind in ("triggers", "query")
)
