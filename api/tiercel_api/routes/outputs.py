"""/outputs: what an execution and its task runs gave.

Kestra 2.0 has no outputs in its executions; they are asked for here. Values that are SECRET stay
sealed, as everywhere. A task run's outputs are read by its key: what that costs does not depend on
how many task runs the execution has.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.files import CLAIM, FILES
from tiercel_api.lookup import execution_of, unredeemed_execution_of
from tiercel_api.reads import READS
from tiercel_api.services import SERVICES
from tiercel_engine.errors import NotFound
from tiercel_engine.repository.base import JsonObject


async def execution_outputs(request: web.Request) -> web.Response:
    """GET /outputs/executions/{executionId}: the outputs of the flow; none: an empty object."""
    execution = await unredeemed_execution_of(request)
    return await _values(request, execution.get("outputs"))


async def task_outputs_information(request: web.Request) -> web.Response:
    """GET /outputs/tasks/{executionId}: the task runs that have outputs, without their values.

    `inline` tells whether the values lie in the log; larger ones lie in internal storage.
    """
    execution = await unredeemed_execution_of(request)
    runs = execution.get("taskRunList") or ()
    return json_response([_information(run) for run in runs if run.get("outputs")])


async def task_run_outputs(request: web.Request) -> web.Response:
    """GET /outputs/tasks/{executionId}/{taskRunId}: the outputs of one task run."""
    execution_id, run_id = (request.match_info[name] for name in ("executionId", "taskRunId"))
    models = request.app[SERVICES].models
    run = await request.app[READS].call(models.task_run, execution_id, run_id)
    if run is None:
        # It may be that the read model does not know the execution yet.
        execution = await execution_of(request)
        runs = execution.get("taskRunList") or ()
        run = next((one for one in runs if one["id"] == run_id), None)
    if run is None:
        raise NotFound(f"The execution {execution_id} has no task run {run_id}.")
    return await _values(request, run.get("outputs"))


def _information(run: JsonObject) -> JsonObject:
    row = {
        "taskId": run["taskId"],
        "taskRunId": run["id"],
        "value": run.get("value"),
        "iteration": run.get("iteration"),
        "inline": CLAIM not in run["outputs"],
    }
    return {name: value for name, value in row.items() if value is not None}


async def _values(request: web.Request, outputs: Any) -> web.Response:
    """The values; those in storage are taken from there whole, as they were asked for alone."""
    return json_response(await request.app[FILES].value(outputs or {}))


ROUTES = (
    ("GET", "/outputs/executions/{executionId}", execution_outputs),
    ("GET", "/outputs/tasks/{executionId}", task_outputs_information),
    ("GET", "/outputs/tasks/{executionId}/{taskRunId}", task_run_outputs),
    # As the documents of 2.0 had them before its release.
    ("GET", "/outputs/{executionId}", task_outputs_information),
    ("GET", "/outputs/{executionId}/{taskRunId}", task_run_outputs),
)
