"""/executions/{id}/<verb>: what is done to an execution that exists.

The plain paths answer as Kestra before 2.0, those under `/actions/` as 2.0: with the execution.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from tiercel_api import execution_commands as commands
from tiercel_api.answers import execution_response
from tiercel_api.bodies import read_json
from tiercel_api.breakpoints import breakpoints_of
from tiercel_api.documents import as_created
from tiercel_api.errors import BadRequest, HttpError
from tiercel_api.files import FILES
from tiercel_api.forms import read_form
from tiercel_api.label_bodies import labels_of
from tiercel_api.lookup import document_at, execution_of, find_flow_of
from tiercel_api.paging import is_set, optional_number
from tiercel_api.routes.executions import resolved_inputs
from tiercel_engine.errors import Conflict
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.common import Breakpoint, Payload
from tiercel_schemas.state import State, is_terminated


async def kill_execution(request: web.Request) -> web.Response:
    """DELETE /executions/{executionId}/kill: accepted once the execution is KILLING."""
    await _kill(request)
    return web.Response(status=202)


async def kill_execution_action(request: web.Request) -> web.Response:
    """DELETE /executions/{executionId}/actions/kill: the execution as it is being killed."""
    return await execution_response(request, await _kill(request))


async def _kill(request: web.Request) -> JsonObject:
    document = await execution_of(request)
    cascade = is_set(request.query, "isOnKillCascade", default=True)
    state = document["state"]["current"]
    sequence = await commands.kill(request, document["id"], state, cascade)
    return await document_at(request, document["id"], sequence) if sequence else document


async def restart_execution(request: web.Request) -> web.Response:
    """POST /executions/{executionId}[/actions]/restart: run again from the failed tasks."""
    document = await execution_of(request)
    if not is_terminated(document["state"]["current"]):
        raise Conflict("Execution must be terminated to be restarted")
    revision = optional_number(request.query, "revision")
    running = await commands.restart(request, document["id"], revision)
    return await execution_response(request, await commands.restarted_document(request, running))


async def replay_execution(request: web.Request) -> web.Response:
    """POST /executions/{executionId}[/actions]/replay: run a copy, whole or from a task run."""
    return await _replay(request, await execution_of(request))


async def replay_execution_with_inputs(request: web.Request) -> web.Response:
    """POST /executions/{executionId}/actions/replay-with-inputs: a form with other inputs."""
    document = await execution_of(request)
    if not request.headers.get("Content-Type", "").startswith("multipart/"):
        return await _replay(request, document)
    flow = await find_flow_of(request, document)
    copy_id = commands.new_execution_id(request)
    form = await read_form(request, flow, copy_id)
    if not form.values:
        return await _replay(request, document)
    try:
        inputs = await resolved_inputs(request, flow, form)
        payload = await request.app[FILES].payload(flow, copy_id, "inputs", inputs or None)
        return await _replay(request, document, payload, copy_id)
    except BaseException:
        await form.discard(request)
        raise


async def _replay(
    request: web.Request,
    document: JsonObject,
    inputs: Payload | None = None,
    copy_id: str | None = None,
) -> web.Response:
    task_run_id = request.query.get("taskRunId") or None
    revision = optional_number(request.query, "revision")
    breakpoints: tuple[Breakpoint, ...] = ()
    if "breakpoints" in request.query:
        breakpoints = breakpoints_of(request, await find_flow_of(request, document))
    copied = await commands.replay(
        request, document, task_run_id, revision, inputs, copy_id, breakpoints
    )
    copy = await commands.restarted_document(request, copied)
    return await execution_response(request, as_created(copy) if task_run_id is None else copy)


async def change_status(request: web.Request) -> web.Response:
    """POST /executions/{executionId}[/actions]/change-status?status=: another final state."""
    status = state_parameter(request, "status")

    async def act(document: JsonObject) -> int:
        return await commands.change_status(request, document["id"], status)

    return await _changed(request, act)


async def change_task_run_state(request: web.Request) -> web.Response:
    """POST /executions/{executionId}[/actions]/state: end a task run, and go on from there."""
    body = await read_json(request)
    if not isinstance(body, dict) or not isinstance(body.get("taskRunId"), str):
        raise HttpError(422, "Invalid entity", "taskRunId: must not be null")
    state = _state(body.get("state"))

    async def act(document: JsonObject) -> int:
        run_id = body["taskRunId"]
        return await commands.change_task_run_state(request, document["id"], run_id, state)

    return await _changed(request, act)


async def set_labels(request: web.Request) -> web.Response:
    """POST /executions/{executionId}[/actions]/labels: labels of an ended execution."""
    labels = labels_of(await read_json(request))
    document = await execution_of(request)
    if not is_terminated(document["state"]["current"]):
        return web.Response(status=400, text="The execution is not terminated")
    sequence = await commands.set_labels(request, document["id"], labels)
    return await execution_response(request, await document_at(request, document["id"], sequence))


async def force_run(request: web.Request) -> web.Response:
    """POST /executions/{executionId}[/actions]/force-run: it waits no longer."""

    async def act(document: JsonObject) -> int:
        return await commands.force_run(request, document["id"])

    return await _changed(request, act)


async def unqueue(request: web.Request) -> web.Response:
    """POST /executions/{executionId}[/actions]/unqueue[?state=]: out of its flow's queue."""
    state = state_parameter(request, "state", State.RUNNING)

    async def act(document: JsonObject) -> int:
        return await commands.unqueue(request, document["id"], state)

    return await _changed(request, act)


async def resume_from_breakpoint(request: web.Request) -> web.Response:
    """POST /executions/{executionId}/actions/resume-from-breakpoint?breakpoints: it goes on.

    With `breakpoints` (which may be empty) it is suspended before these from here on.
    """

    async def act(document: JsonObject) -> int:
        if is_terminated(document["state"]["current"]):
            raise Conflict("Execution is not suspended at a breakpoint")
        given = None
        if "breakpoints" in request.query:
            given = breakpoints_of(request, await find_flow_of(request, document))
        return await commands.resume_from_breakpoint(request, document["id"], given)

    return await _changed(request, act)


async def delete_execution(request: web.Request) -> web.Response:
    """DELETE /executions/{executionId}: it is stopped when it runs."""
    document = await execution_of(request)
    await commands.delete(request, document, include_running=True, **what_goes(request))
    return web.Response(status=204)


def what_goes(request: web.Request) -> dict[str, bool]:
    """What a deletion takes along: everything, unless the query says otherwise."""
    names = {"logs": "deleteLogs", "metrics": "deleteMetrics", "storage": "deleteStorage"}
    return {name: is_set(request.query, text, default=True) for name, text in names.items()}


async def _changed(
    request: web.Request, act: Callable[[JsonObject], Awaitable[int]]
) -> web.Response:
    """Do something to the execution of the path, and answer with what came of it."""
    document = await execution_of(request)
    sequence = await act(document)
    changed = await document_at(request, document["id"], sequence) if sequence else document
    return await execution_response(request, changed)


def state_parameter(request: web.Request, name: str, default: str | None = None) -> str:
    """A state that the query names. Raises HttpError: none, or no state."""
    text = request.query.get(name, default)
    if not text:
        raise BadRequest(f"Required argument [{name}] not specified")
    return _state(text)


def _state(value: object) -> str:
    if not isinstance(value, str) or value not in State.__members__:
        raise HttpError(422, "Illegal argument", f"Expected a state, but it was {value!r}.")
    return value


def _both(verb: str) -> tuple[str, str]:
    return f"/executions/{{executionId}}/{verb}", f"/executions/{{executionId}}/actions/{verb}"


#: Verbs that answer with the execution under both paths.
_VERBS = {
    "restart": restart_execution,
    "replay": replay_execution,
    "replay-with-inputs": replay_execution_with_inputs,
    "change-status": change_status,
    "state": change_task_run_state,
    "labels": set_labels,
    "force-run": force_run,
    "unqueue": unqueue,
    "resume-from-breakpoint": resume_from_breakpoint,
}

ROUTES = (
    ("DELETE", "/executions/{executionId}/kill", kill_execution),
    ("DELETE", "/executions/{executionId}/actions/kill", kill_execution_action),
    *(("POST", path, handler) for verb, handler in _VERBS.items() for path in _both(verb)),
    ("DELETE", "/executions/{executionId}", delete_execution),
)
