"""/executions/{id}/pause and /resume: holding an execution, and letting it go on.

The plain paths answer as Kestra before 2.0, those under `/actions/` as 2.0: with the execution.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from tiercel_api.answers import execution_response, json_response
from tiercel_api.door_rendering import with_inputs
from tiercel_api.files import FILES
from tiercel_api.forms import Form, read_form
from tiercel_api.gateway import GATEWAY
from tiercel_api.lookup import document_at, execution_of, find_flow_of
from tiercel_api.services import SERVICES, encryption
from tiercel_engine.errors import Conflict, Rejected, UserError
from tiercel_engine.flow.input_base import Input
from tiercel_engine.flow.inputs import examine, resolve
from tiercel_engine.flow.model import Flow
from tiercel_engine.plugin.flowables import Pause
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.commands import PauseExecution, ResumeExecution
from tiercel_schemas.common import Payload
from tiercel_schemas.state import State, is_terminated


async def pause_execution(request: web.Request) -> web.Response:
    """POST /executions/{executionId}/pause: nothing new starts until it is resumed."""
    await _pause(request)
    return web.Response()


async def pause_execution_action(request: web.Request) -> web.Response:
    """POST /executions/{executionId}/actions/pause: the paused execution."""
    return await execution_response(request, await _pause(request))


async def _pause(request: web.Request) -> JsonObject:
    gateway = request.app[GATEWAY]
    document = await execution_of(request)
    execution_id, state = document["id"], document["state"]["current"]
    if is_terminated(state):
        raise Rejected(f"Execution is not running, can't pause it: it is {state}")
    watch = await gateway.ask(execution_id, PauseExecution(gateway.command_id(), execution_id))
    return await document_at(request, execution_id, watch.last_seq)


async def resume_execution(request: web.Request) -> web.Response:
    """POST /executions/{executionId}/resume: a form with the values that `onResume` asks for."""
    await _resume(request)
    return web.Response(status=204)


async def resume_execution_action(request: web.Request) -> web.Response:
    """POST /executions/{executionId}/actions/resume: the execution as it goes on."""
    return await execution_response(request, await _resume(request))


async def _resume(request: web.Request) -> JsonObject:
    gateway = request.app[GATEWAY]
    document, flow, run_id, definitions = await _paused(request)
    execution_id = document["id"]
    form = await read_form(request, flow, execution_id, definitions)
    try:
        outputs = await _outputs(request, flow, execution_id, form, run_id, definitions)
        command = ResumeExecution(gateway.command_id(), execution_id, outputs, run_id)
        watch = await gateway.ask(execution_id, command)
    except UserError:
        await form.discard(request)
        raise
    return await document_at(request, execution_id, watch.last_seq)


async def validate_resume(request: web.Request) -> web.Response:
    """POST /executions/{executionId}/resume/validate: what the values would give."""
    _, flow, _, definitions = await _paused(request)
    form = await read_form(request, flow, None, definitions)
    encrypt = encryption(request.app[SERVICES])
    outcomes = await with_inputs(
        request,
        flow,
        definitions,
        lambda render: examine(definitions, form.values, render=render, encrypt=encrypt),
    )
    rows = [
        {
            "input": {"id": outcome.input.id, "type": outcome.input.type},
            "value": outcome.value,
            "enabled": outcome.enabled,
            "errors": [{"message": outcome.problem}] if outcome.problem else [],
        }
        for outcome in outcomes
    ]
    return json_response({"id": flow.id, "namespace": flow.namespace, "inputs": rows})


async def _paused(
    request: web.Request,
) -> tuple[JsonObject, Flow, str | None, Sequence[Input]]:
    """(execution, its flow, the first paused task run, what that asks for).

    Raises:
        Conflict: it is not paused.
    """
    document = await execution_of(request)
    runs = document.get("taskRunList") or []
    run = next((run for run in runs if run["state"]["current"] == State.PAUSED), None)
    if run is None and document["state"]["current"] != State.PAUSED:
        raise Conflict("Execution is not paused, can't resume it")
    flow = await find_flow_of(request, document)
    task = None if run is None else flow.task(run["taskId"])
    definitions = task.asked if isinstance(task, Pause) else ()
    return document, flow, None if run is None else run["id"], definitions


async def _outputs(
    request: web.Request,
    flow: Flow,
    execution_id: str,
    form: Form,
    run_id: str | None,
    definitions: Sequence[Input],
) -> Payload:
    """The task run's outputs. Raises InvalidInput."""
    if not definitions:
        return Payload()
    encrypt = encryption(request.app[SERVICES])
    values = await with_inputs(
        request,
        flow,
        definitions,
        lambda render: resolve(definitions, form.values, render=render, encrypt=encrypt),
    )
    name = f"resume-{run_id}"
    return await request.app[FILES].payload(flow, execution_id, name, {"onResume": values})


ROUTES = (
    ("POST", "/executions/{executionId}/pause", pause_execution),
    ("POST", "/executions/{executionId}/actions/pause", pause_execution_action),
    ("POST", "/executions/{executionId}/resume", resume_execution),
    ("POST", "/executions/{executionId}/actions/resume", resume_execution_action),
    ("POST", "/executions/{executionId}/resume/validate", validate_resume),
    ("POST", "/executions/{executionId}/actions/resume/validate", validate_resume),
)
