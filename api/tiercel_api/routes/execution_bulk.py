"""/executions/<verb>/by-ids and /by-query: the same verb for many executions.

All or nothing: when one of them cannot be, none is. Follows Kestra's messages; the status of a
refusal is 400 on the paths without a tenant, as before 2.0, and 422 on the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tiercel_api import execution_commands as commands
from tiercel_api.answers import json_response
from tiercel_api.bodies import read_json
from tiercel_api.errors import HttpError
from tiercel_api.label_bodies import labels_of
from tiercel_api.lookup import execution_at, is_fresh_id
from tiercel_api.paging import execution_filter, is_set, optional_number
from tiercel_api.reads import READS
from tiercel_api.routes.execution_verbs import state_parameter, what_goes
from tiercel_api.security.narrowing import narrowing, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import UserError
from tiercel_engine.repository.base import ExecutionFilter, JsonObject, LogFilter
from tiercel_engine.repository.terms import Term
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.state import State, is_terminated

log = get_logger(component="api")

#: Executions of one request, and how many of them are worked on at a time.
EXECUTIONS_MAX = 10_000
AT_ONCE = 64
#: What became of an execution that was not as expected any more.
REFUSED = object()

Problem = Callable[[web.Request, str], str | None]
Act = Callable[[web.Request, str, str], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb for many.

    Attributes:
        title: what a refusal calls it.
        problem: why an execution in this state cannot be part of it; None: it can.
        act: does it to one, of its id and state; a Counter is summed up and answered.
    """

    title: str
    problem: Problem
    act: Act
    method: str = "POST"


def _in_state(state: str) -> Problem:
    return lambda _, found: None if found == state else f"execution not in state {state}"


def _ended(message: str) -> Problem:
    return lambda _, found: None if is_terminated(found) else message


def _deletable(request: web.Request, state: str) -> str | None:
    allowed = is_terminated(state) or is_set(request.query, "includeNonTerminated")
    return None if allowed else "execution not found"


async def _delete(request: web.Request, execution_id: str, state: str) -> Counter[str]:
    """What went along, where the query asks for `counts`."""
    document = await execution_at(request, execution_id, 1)
    if document is None:
        return Counter()
    going = what_goes(request)
    is_counted = is_set(request.query, "counts")
    counts = await _lines_of(request, execution_id, going) if is_counted else Counter()
    files = await commands.delete(request, document, include_running=True, **going)
    if is_counted:
        counts["storagesCount"] = files
    return counts


async def _lines_of(
    request: web.Request, execution_id: str, going: Mapping[str, bool]
) -> Counter[str]:
    models, read = request.app[SERVICES].models, request.app[READS].call
    counts = Counter(logsCount=0, metricsCount=0)
    if going["logs"]:
        where = LogFilter(execution_id=execution_id)
        counts["logsCount"] = (await read(models.search_logs, where, 1, 1)).total
    if going["metrics"]:
        counts["metricsCount"] = (await read(models.metrics, execution_id, 1, 1)).total
    return counts


async def _replay(request: web.Request, execution_id: str, state: str) -> None:
    document = await execution_at(request, execution_id, 1)
    if document is None:
        return
    newest = is_set(request.query, "latestRevision")
    revision = await commands.newest_revision(request, document) if newest else None
    await commands.replay(request, document, revision=revision)


async def _change_status(request: web.Request, execution_id: str, state: str) -> None:
    await commands.change_status(request, execution_id, state_parameter(request, "newStatus"))


async def _unqueue(request: web.Request, execution_id: str, state: str) -> None:
    name = "state" if "state" in request.query else "newState"
    to = state_parameter(request, name, State.RUNNING)
    await commands.unqueue(request, execution_id, to)


#: Path segment -> verb. The empty one is a deletion.
VERBS: dict[str, Verb] = {
    "kill": Verb(
        "kill",
        lambda _, state: "execution already finished" if is_terminated(state) else None,
        commands.kill,
        "DELETE",
    ),
    "": Verb("delete", _deletable, _delete, "DELETE"),
    "pause": Verb("pause", _in_state(State.RUNNING), lambda r, id, _: commands.pause(r, id)),
    "resume": Verb("resume", _in_state(State.PAUSED), lambda r, id, _: commands.resume(r, id)),
    "restart": Verb("restart", _in_state(State.FAILED), lambda r, id, _: commands.restart(r, id)),
    "replay": Verb("replay", lambda *_: None, _replay),
    "force-run": Verb(
        "force run",
        lambda _, state: "execution in a terminated state" if is_terminated(state) else None,
        lambda r, id, _: commands.force_run(r, id),
    ),
    "unqueue": Verb("unqueue", _in_state(State.QUEUED), _unqueue),
    "change-status": Verb(
        "change execution status", _ended("execution not in a terminated state"), _change_status
    ),
}
LABELS = Verb("set labels", _ended("execution is not terminated"), _replay)


def by_ids(verb: Verb) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of a verb whose body lists ids."""

    async def handler(request: web.Request) -> web.Response:
        return await _bulk(request, verb, ids_of(await read_json(request)))

    handler.__doc__ = f"{verb.method} …/by-ids: {verb.title} the executions that the body lists."
    return narrows(handler)


def by_query(verb: Verb) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of a verb whose query says which executions."""

    async def handler(request: web.Request) -> web.Response:
        return await _bulk(request, verb, await _found(request))

    handler.__doc__ = f"{verb.method} …/by-query: {verb.title} the executions that match."
    return narrows(handler)


@narrows
async def labels_by_ids(request: web.Request) -> web.Response:
    """POST /executions/labels/by-ids: `{executionsId, executionLabels}`."""
    body = await read_json(request)
    if not isinstance(body, dict):
        raise HttpError(422, "Invalid entity", "executionsId: must not be null")
    verb = _labelling(body.get("executionLabels"))
    return await _bulk(request, verb, ids_of(body.get("executionsId")))


@narrows
async def labels_by_query(request: web.Request) -> web.Response:
    """POST /executions/labels/by-query: the body lists labels."""
    verb = _labelling(await read_json(request))
    return await _bulk(request, verb, await _found(request))


def _labelling(body: Any) -> Verb:
    labels = labels_of(body)
    return Verb(
        LABELS.title,
        LABELS.problem,
        lambda request, id, _: commands.set_labels(request, id, labels),
    )


def ids_of(body: Any) -> list[str]:
    """A list of ids, each once. Raises HttpError: it is none, or too long."""
    if not isinstance(body, list) or not all(isinstance(entry, str) for entry in body):
        raise HttpError(422, "Invalid entity", "executionsId: expected a list of ids")
    ids = list(dict.fromkeys(body))
    if len(ids) > EXECUTIONS_MAX:
        raise _too_many(len(ids))
    return ids


def _too_many(count: int) -> HttpError:
    return HttpError(
        422,
        "Illegal argument",
        f"Expected at most {EXECUTIONS_MAX} executions at once, but there are {count} or more: "
        "narrow the request.",
    )


async def _found(request: web.Request) -> list[str]:
    services = request.app[SERVICES]
    where = execution_filter(request.query, services.clock.now_us(), narrowing(request))
    find = services.models.find_executions
    limit = optional_number(request.query, "limit")
    if limit is not None:
        return await request.app[READS].call(find, where, min(limit, EXECUTIONS_MAX))
    ids = await request.app[READS].call(find, where, EXECUTIONS_MAX + 1)
    if len(ids) > EXECUTIONS_MAX:
        raise _too_many(len(ids))
    return ids


async def _bulk(request: web.Request, verb: Verb, ids: Sequence[str]) -> web.Response:
    states = await _states(request, ids)
    problems = {one: _problem(request, verb, states.get(one)) for one in ids}
    invalids = [_invalid(message, one) for one, message in problems.items() if message]
    if invalids:
        status = 422 if "tenant" in request.match_info else 400
        body = {"message": f"invalid bulk {verb.title}", "invalids": invalids}
        return json_response(body, status)
    room = asyncio.Semaphore(AT_ONCE)

    async def one(execution_id: str) -> Any:
        async with room:
            try:
                return await verb.act(request, execution_id, states[execution_id])
            except UserError as error:
                # Its state has changed since it was looked at: the others must not suffer.
                log.info("bulk_refused", execution_id=execution_id, reason=str(error))
                if len(ids) == 1:
                    raise
                return REFUSED

    answers = await asyncio.gather(*(one(execution_id) for execution_id in ids))
    done = [answer for answer in answers if answer is not REFUSED]
    counts: Counter[str] = Counter()
    for answer in done:
        if isinstance(answer, Counter):
            counts.update(answer)
    return json_response({"count": len(done), **counts})


def _problem(request: web.Request, verb: Verb, state: str | None) -> str | None:
    return "execution not found" if state is None else verb.problem(request, state)


def _invalid(message: str, execution_id: str) -> JsonObject:
    return {
        "message": message,
        "rootBean": execution_id,
        "rootBeanClass": "java.lang.String",
        "leafBean": execution_id,
        "invalidValue": execution_id,
    }


async def _states(request: web.Request, ids: Sequence[str]) -> dict[str, str]:
    """State of each execution that is there; fresh ones are waited for."""
    models, read = request.app[SERVICES].models, request.app[READS].call
    states = await read(models.execution_states, ids)
    for execution_id in ids:
        if execution_id not in states and is_fresh_id(request, execution_id):
            document = await execution_at(request, execution_id, 1)
            if document is not None:
                states[execution_id] = document["state"]["current"]
    within = narrowing(request)
    if not within or not states:
        return states
    where = ExecutionFilter(terms=[Term("id", "IN", tuple(states)), *within])
    visible = await read(models.find_executions, where, len(states))
    return {execution_id: states[execution_id] for execution_id in visible}


def _path(name: str, kind: str) -> str:
    return f"/executions/{name}/{kind}" if name else f"/executions/{kind}"


ROUTES = (
    *((verb.method, _path(name, "by-ids"), by_ids(verb)) for name, verb in VERBS.items()),
    *((verb.method, _path(name, "by-query"), by_query(verb)) for name, verb in VERBS.items()),
    ("POST", "/executions/labels/by-ids", labels_by_ids),
    ("POST", "/executions/labels/by-query", labels_by_query),
)
