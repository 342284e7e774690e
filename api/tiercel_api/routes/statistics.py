"""/stats and /taskruns: executions, task runs and log lines over time, as Kestra 0.21 has it.

Every answer is about one window of time, and about the namespaces that who asks may read. Spans
without anything in them are there, with every state and level at 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from tiercel_api import filter_values
from tiercel_api.answers import json_response
from tiercel_api.bodies import read_json
from tiercel_api.errors import HttpError
from tiercel_api.filter_values import Written
from tiercel_api.generations import as_asked
from tiercel_api.lookup import tenant_of
from tiercel_api.paging import NORMAL, execution_filter, page_of, sort_of
from tiercel_api.reads import READS
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import is_allowed
from tiercel_api.security.narrowing import narrowing, narrows
from tiercel_api.services import SERVICES
from tiercel_api.spans import Window, window_of
from tiercel_engine.flow.duration import format_duration
from tiercel_engine.repository.aggregates import Aggregation, Column, Rows
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.repository.query import LEVELS, TASK_RUNS_PER_RESULT_MAX
from tiercel_engine.repository.terms import Condition, Group, Term
from tiercel_schemas.state import State

#: Flows of one request.
FLOWS_MAX = 1_000
#: Spans of one answer, flow by flow.
SPANS_MAX = 100_000
#: Groups of one answer: spans × states × flows.
GROUPS_MAX = 1_000_000

_MEASURES = (
    Column("count", None, "COUNT"),
    Column("sum", "duration", "SUM"),
    Column("min", "duration", "MIN"),
    Column("max", "duration", "MAX"),
)


@narrows
async def summary(request: web.Request) -> web.Response:
    """POST /stats/summary: how many flows and triggers there are."""
    body = await _body(request)
    namespace = _text(body, "namespace")
    below = () if namespace is None else (Term("namespace", "PREFIX", (namespace,)),)
    conditions = (*below, *narrowing(request))
    catalog, models = request.app[SERVICES].catalog, request.app[SERVICES].models
    latest = await asyncio.to_thread(catalog.latest_all, tenant_of(request))
    triggers = Aggregation("triggers", [Column("count", None, "COUNT")], conditions)
    flows = Aggregation(
        "flows",
        [Column("count", None, "COUNT")],
        conditions,
        flows=[(entry.flow_id, entry.namespace, entry.revision) for entry in latest],
    )
    counts = [await request.app[READS].call(models.aggregate, one) for one in (flows, triggers)]
    return json_response({"flows": counts[0].rows[0][0], "triggers": counts[1].rows[0][0]})


@narrows
async def executions_daily(request: web.Request) -> web.Response:
    """POST /stats/executions/daily: executions over time by state, and how long they took."""
    return json_response(await daily(request, "executions", await _body(request)))


@narrows
async def task_runs_daily(request: web.Request) -> web.Response:
    """POST /stats/taskruns/daily: the same of task runs."""
    return json_response(await daily(request, "taskRuns", await _body(request)))


async def daily(request: web.Request, table: str, body: JsonObject) -> list[JsonObject]:
    """`table` over time, as `body` asks; of the last 30 days when it names no dates."""
    window = _window(request, body)
    found = await _grouped(request, table, body, window, ())
    return _spans(found.rows, window)


@narrows
async def executions_by_flow(request: web.Request) -> web.Response:
    """POST /stats/executions/daily/group-by-flow: the same, flow by flow.

    `flows` names them; `namespaceOnly` takes the flows of a namespace together, under `*`.
    """
    body = await _body(request)
    window = _window(request, body)
    flows = _flows(body)
    together = body.get("namespaceOnly") is True
    groups = ("namespace",) if together else ("namespace", "flowId")
    found = await _grouped(request, "executions", body, window, groups, _any_of(flows, together))
    by_flow: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for row in found.rows:
        namespace, flow_id = (row[0], "*") if together else row[:2]
        by_flow.setdefault((namespace, flow_id), []).append(row[len(groups) :])
    for namespace, flow_id in flows:
        if is_allowed(request, Permission.READ, namespace):
            by_flow.setdefault((namespace, "*" if together else flow_id), [])
    if len(by_flow) * len(set(window.starts().values())) > SPANS_MAX:
        message = f"Expected at most {SPANS_MAX} spans: name fewer flows, or a shorter window."
        raise HttpError(422, "Illegal argument", message)
    return await asyncio.to_thread(_nested, by_flow, window)


def _nested(
    by_flow: Mapping[tuple[str, str], list[tuple[Any, ...]]], window: Window
) -> web.Response:
    """Namespace -> flow -> spans; it may be large, and is written off the event loop."""
    answer: dict[str, dict[str, list[JsonObject]]] = {}
    for (namespace, flow_id), rows in sorted(by_flow.items()):
        answer.setdefault(namespace, {})[flow_id] = _spans(rows, window)
    return json_response(answer)


@narrows
async def executions_by_namespace(request: web.Request) -> web.Response:
    """POST /stats/executions/daily/group-by-namespace: executions by namespace and state."""
    body = await _body(request)
    window = _window(request, body)
    columns = [Column("namespace", "namespace"), Column("state", "state"), _MEASURES[0]]
    found = await _aggregate(request, "executions", body, window, columns)
    answer: dict[str, JsonObject] = {}
    for namespace, state, count in found.rows:
        entry = answer.setdefault(namespace, {"counts": _no_states(), "total": 0})
        entry["counts"][state] = count
        entry["total"] += count
    return json_response(answer)


@narrows
async def latest_by_flow(request: web.Request) -> web.Response:
    """POST /stats/executions/latest/group-by-flow: the newest execution of each given flow."""
    flows = [
        (namespace, flow_id)
        for namespace, flow_id in _flows(await _body(request))
        if is_allowed(request, Permission.READ, namespace)
    ]
    models = request.app[SERVICES].models
    found = await request.app[READS].call(models.latest_executions, flows)
    return json_response([as_asked(request, document) for document in found])


@narrows
async def logs_daily(request: web.Request) -> web.Response:
    """POST /stats/logs/daily: log lines over time by level."""
    body = await _body(request)
    window = _window(request, body)
    columns = [Column("date", "date"), Column("level", "level"), _MEASURES[0]]
    found = await _aggregate(request, "logs", body, window, columns)
    starts = window.starts()
    counts = {start: dict.fromkeys(LEVELS, 0) for start in starts.values()}
    for step, level, count in found.rows:
        counts[starts[step]][LEVELS[level]] += count
    group_by = window.span.name
    return json_response(
        [{"timestamp": at, "counts": of, "groupBy": group_by} for at, of in counts.items()]
    )


@narrows
async def search_task_runs(request: web.Request) -> web.Response:
    """GET /taskruns/search: task runs, the newest first; filters are those of executions.

    `state` is the task run's, dates are about its start, all else is about its execution.
    """
    query = request.query
    page, size = page_of(query)
    conditions = execution_filter(query, request.app[SERVICES].clock.now_us()).terms
    asked = Aggregation(
        "taskRuns",
        [Column("document", "document"), *(Column(name, field) for name, field in _SORTS.items())],
        (*conditions, *narrowing(request)),
        order=sort_of(query),
        page=page,
        size=size,
    )
    found = await request.app[READS].call(request.app[SERVICES].models.aggregate, asked)
    runs = {"taskRunList": [msgspec.json.decode(row[0]) for row in found.rows]}
    return json_response({"results": as_asked(request, runs)["taskRunList"], "total": found.total})


_SORTS = {
    "id": "id",
    "state.current": "state",
    "state.startDate": "startDate",
    "state.duration": "duration",
    "executionId": "executionId",
}


@narrows
async def task_run_limit(request: web.Request) -> web.Response:
    """GET /taskruns/maxTaskRunSetting: how many task runs an execution shows in a search."""
    return json_response(TASK_RUNS_PER_RESULT_MAX)


# -- bodies


async def _body(request: web.Request) -> JsonObject:
    body = await read_json(request) if request.can_read_body else {}
    if not isinstance(body, dict):
        raise HttpError(422, "Illegal argument", "Expected a JSON object.")
    return body


def _text(body: JsonObject, name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise HttpError(422, "Illegal argument", f"Expected text for {name}, but it is {value!r}.")
    return value or None


def _window(request: web.Request, body: JsonObject) -> Window:
    now_us = request.app[SERVICES].clock.now_us()
    return window_of(_text(body, "startDate"), _text(body, "endDate"), now_us)


#: Of a body: field -> what it asks of executions and task runs.
_READERS: Mapping[str, tuple[str, filter_values.Reader]] = {
    "q": ("EQUALS", filter_values.search),
    "scope": ("IN", filter_values.scope),
    "namespace": ("PREFIX", filter_values.text),
    "flowId": ("EQUALS", filter_values.text),
    "triggerId": ("EQUALS", filter_values.text),
    "state": ("IN", filter_values.state),
}
#: Fields that a table does not have.
_MISSING = {"logs": ("state", "scope"), "executions": ("triggerId",), "taskRuns": ("triggerId",)}


def _conditions(table: str, body: JsonObject) -> list[Condition]:
    found: list[Condition] = []
    for name, (operator, reader) in _READERS.items():
        value = body.get(name)
        if value and name not in _MISSING[table]:
            texts = value if isinstance(value, list) else [value]
            if not all(isinstance(text, str) for text in texts):
                raise HttpError(422, "Illegal argument", f"Expected text for {name}.")
            found.append(reader(Written(name, operator, ",".join(texts)), 0))
    level = _text(body, "minLevel") or _text(body, "logLevel")
    if table == "logs" and level is not None:
        if level.upper() not in LEVELS:
            raise HttpError(422, "Illegal argument", f"Expected one of {', '.join(LEVELS)}.")
        least = LEVELS.index(level.upper())
        found.append(Term("level", "GREATER_THAN_OR_EQUAL_TO", (least,)))
    if table == "executions":
        found.append(Term("kind", "IN", (NORMAL,)))
    return found


def _flows(body: JsonObject) -> list[tuple[str, str]]:
    given = body.get("flows") or []
    if not isinstance(given, list) or len(given) > FLOWS_MAX:
        message = f"Expected a list of at most {FLOWS_MAX} flows."
        raise HttpError(422, "Illegal argument", message)
    return [_flow(entry) for entry in given]


def _flow(entry: Any) -> tuple[str, str]:
    given = entry if isinstance(entry, dict) else {}
    namespace, flow_id = given.get("namespace"), given.get("id", given.get("flowId"))
    if not isinstance(namespace, str) or not isinstance(flow_id, str | None):
        raise HttpError(422, "Invalid entity", "expected a namespace and an id of each flow")
    return namespace, flow_id or "*"


def _any_of(flows: Sequence[tuple[str, str]], together: bool) -> tuple[Condition, ...]:
    if not flows:
        return ()
    members: list[Condition] = []
    for namespace, flow_id in flows:
        of_namespace = Term("namespace", "EQUALS", (namespace,))
        if together or flow_id == "*":
            members.append(of_namespace)
        else:
            members.append(Group([of_namespace, Term("flowId", "EQUALS", (flow_id,))]))
    return (Group(members, is_any=True),)


# -- counts


async def _grouped(
    request: web.Request,
    table: str,
    body: JsonObject,
    window: Window,
    groups: Sequence[str],
    more: Sequence[Condition] = (),
) -> Rows:
    """Rows of the groups, the step, the state and the measures."""
    keys = [Column(name, name) for name in (*groups, "startDate", "state")]
    return await _aggregate(request, table, body, window, [*keys, *_MEASURES], more)


async def _aggregate(
    request: web.Request,
    table: str,
    body: JsonObject,
    window: Window,
    columns: Sequence[Column],
    more: Sequence[Condition] = (),
) -> Rows:
    asked = Aggregation(
        table,
        columns,
        (*_conditions(table, body), *more, *narrowing(request)),
        start_us=window.start_us,
        end_us=window.end_us,
        step_us=window.span.step_us,
        offset_us=window.offset_us,
        size=GROUPS_MAX,
    )
    return await request.app[READS].call(request.app[SERVICES].models.aggregate, asked)


def _no_states() -> dict[str, int]:
    return dict.fromkeys((state.value for state in State), 0)


def _spans(rows: Iterable[tuple[Any, ...]], window: Window) -> list[JsonObject]:
    """One entry per span, from rows of (step, state, count, sum, min, max) in microseconds."""
    starts = window.starts()
    states = {start: _no_states() for start in starts.values()}
    totals: dict[str, list[tuple[int, int, int, int]]] = {start: [] for start in states}
    for step, state, count, total_us, least_us, most_us in rows:
        start = starts[step]
        states[start][state] = states[start].get(state, 0) + count
        totals[start].append((count, round(total_us), least_us, most_us))
    return [
        {
            "startDate": start,
            "duration": _duration(totals[start]),
            "executionCounts": counts,
            "groupBy": window.span.name,
        }
        for start, counts in states.items()
    ]


def _duration(parts: Sequence[tuple[int, int, int, int]]) -> JsonObject:
    if not parts:
        return {"count": 0}
    count, total_us = sum(part[0] for part in parts), sum(part[1] for part in parts)
    return {
        "min": format_duration(min(part[2] for part in parts)),
        "avg": format_duration(total_us // count),
        "max": format_duration(max(part[3] for part in parts)),
        "sum": format_duration(total_us),
        "count": count,
    }


ROUTES = (
    ("POST", "/stats/summary", summary),
    ("POST", "/stats/executions/daily", executions_daily),
    ("POST", "/stats/taskruns/daily", task_runs_daily),
    ("POST", "/stats/executions/daily/group-by-flow", executions_by_flow),
    ("POST", "/stats/executions/daily/group-by-namespace", executions_by_namespace),
    ("POST", "/stats/executions/latest/group-by-flow", latest_by_flow),
    ("POST", "/stats/logs/daily", logs_daily),
    ("GET", "/taskruns/search", search_task_runs),
    ("GET", "/taskruns/maxTaskRunSetting", task_run_limit),
)
