"""Topologies: of a stored flow, of a source, of an execution."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.errors import HttpError
from tiercel_api.flow_writes import load, read_source
from tiercel_api.generations import as_asked
from tiercel_api.lookup import execution_at, execution_of, find_flow, find_flow_of
from tiercel_api.paging import optional_number
from tiercel_api.reads import READS
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import allow
from tiercel_api.security.narrowing import is_within, narrows
from tiercel_api.services import SERVICES
from tiercel_api.topology import Expand, TooManyNodes, draw
from tiercel_engine.errors import Conflict, InvalidFlow, NotFound
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.child_flows import Subflow
from tiercel_engine.repository.base import JsonObject, TriggerFilter

#: Subflows of one graph that are opened, and triggers of its flow whose state is told.
EXPANDED_MAX = 50
TRIGGERS_MAX = 1_000


async def flow_graph(request: web.Request) -> web.Response:
    """GET /flows/{namespace}/{id}/graph?revision&subflows."""
    info = request.match_info
    revision = optional_number(request.query, "revision")
    try:
        flow = await find_flow(request, info["namespace"], info["id"], revision)
    except InvalidFlow as error:
        raise Conflict(f"Unable to generate the graph: {error}") from None
    return await _answer(request, flow, None)


@narrows
async def source_graph(request: web.Request) -> web.Response:
    """POST /flows/graph: of the flow in the body."""
    flow = await load(request, await read_source(request), None)
    return await _answer(request, flow, None)


async def execution_graph(request: web.Request) -> web.Response:
    """GET /executions/{executionId}/graph?subflows."""
    document = as_asked(request, await execution_of(request))
    return await _answer(request, await find_flow_of(request, document), document)


async def _answer(request: web.Request, flow: Flow, execution: JsonObject | None) -> web.Response:
    runs: list[JsonObject] | None = None
    if execution is not None:
        runs = execution.get("taskRunList") or []
    wanted = [uid for text in request.query.getall("subflows", []) for uid in text.split(",")]
    if len(wanted) > EXPANDED_MAX:
        raise HttpError(422, "Illegal argument", f"Expected at most {EXPANDED_MAX} subflows.")
    opened: dict[str, Flow] = {}
    try:
        while True:
            missing: dict[str, tuple[Task, JsonObject | None]] = {}
            graph = draw(flow, runs, _expander(wanted, opened, missing), execution is not None)
            if not missing:
                await _add_states(request, flow, graph)
                return json_response(graph)
            for uid, (task, run) in missing.items():
                found = await _flow_of(request, task, run)
                allow(request, Permission.READ, found.namespace)
                opened[uid] = found
    except TooManyNodes as error:
        raise HttpError(422, "Illegal argument", str(error)) from None


async def _add_states(request: web.Request, flow: Flow, graph: JsonObject) -> None:
    """Put where each trigger of the flow stands into its node."""
    if not flow.triggers or not is_within(request, flow.namespace):
        return
    where = TriggerFilter(namespace=flow.namespace, flow_id=flow.id)
    found = await request.app[READS].call(
        request.app[SERVICES].models.search_triggers, where, 1, TRIGGERS_MAX, ()
    )
    states = {state["triggerId"]: state for state in found.results}
    for node in graph["nodes"]:
        state = states.get(node.get("triggerDeclaration", {}).get("id"))
        # Flows opened inside this one have triggers of their own.
        if state is not None and node["uid"] == f"root.Triggers.{state['triggerId']}":
            node["trigger"] = state


def _expander(wanted: list[str], opened: dict[str, Flow], missing: dict[str, Any]) -> Expand:
    """Opens what is known, and notes what is wanted and not known yet."""

    def expand(uid: str, task: Task, run: JsonObject | None) -> Flow | None:
        if uid in wanted and uid not in opened:
            missing[uid] = (task, run)
        return opened.get(uid)

    return expand


async def _flow_of(request: web.Request, task: Task, run: JsonObject | None) -> Flow:
    """The flow that a Subflow runs: as it was run, else as it is written.

    Raises:
        HttpError: it is a template, and there is no run of it.
    """
    assert isinstance(task, Subflow)
    child_id = ((run or {}).get("outputs") or {}).get("executionId")
    if isinstance(child_id, str):
        child = await execution_at(request, child_id, 1, 0.0)
        if child is not None:
            return await find_flow_of(request, child)
    if "{{" in task.namespace + task.flow_id or "{%" in task.namespace + task.flow_id:
        raise HttpError(
            422,
            "Illegal argument",
            f"Unable to expand the subflow of task {task.id}: its flow is only known when it runs.",
        )
    try:
        return await find_flow(request, task.namespace, task.flow_id, task.revision)
    except NotFound:
        name = f"{task.namespace}.{task.flow_id}"
        raise NotFound(f"Unable to find flow {name} of task {task.id}") from None


ROUTES = (
    ("POST", "/flows/graph", source_graph),
    ("GET", "/flows/{namespace}/{id}/graph", flow_graph),
    ("GET", "/executions/{executionId}/graph", execution_graph),
)
