"""/executions/{id}/eval: try an expression in an execution.

The answer is `{result}` or `{error, stackTrace}`, with status 200 either way, as Kestra's. With
`?explain=true` it also says the value's type, the place of the error and the variables in reach.
"""

from __future__ import annotations

import random

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.bodies import media_type, read_body
from tiercel_api.errors import HttpError, UnsupportedMediaType
from tiercel_api.eval_lookups import EvalLookups
from tiercel_api.eval_variables import variables_of
from tiercel_api.evaluation import answer_of, evaluate, explained
from tiercel_api.evaluator import EVALUATOR, Expired
from tiercel_api.lookup import find_flow_of, is_fresh, tenant_of
from tiercel_api.paging import is_set
from tiercel_api.reads import READS
from tiercel_api.services import SERVICES
from tiercel_engine.clock import to_datetime
from tiercel_engine.errors import NotFound
from tiercel_engine.expression.analysis import analyse
from tiercel_engine.expression.context import RenderContext
from tiercel_engine.repository.base import JsonObject, LogFilter
from tiercel_engine.sandbox.jq import JqSandbox
from tiercel_engine.storage.kv import KvStore

EXPRESSION_BYTES_MAX = 256 * 1024
#: Lines that `errorLogs()` gives.
ERROR_LOGS_MAX = 100
_TEXT = "text/plain"


async def evaluate_expression(request: web.Request) -> web.Response:
    """POST /executions/{executionId}[/actions]/eval[/{taskRunId}]: the body is the expression."""
    services = request.app[SERVICES]
    template = await _template(request)
    document = await _execution(request)
    flow = await find_flow_of(request, document)
    explain = is_set(request.query, "explain")
    tenant, task_run_id = tenant_of(request), request.match_info.get("taskRunId")

    def answer(expired: Expired) -> JsonObject:
        lookups = EvalLookups(services.storage, KvStore(services.storage, services.clock), document)
        refers = analyse(template)
        errors = None
        if refers.dynamic or not refers.roots.isdisjoint(("error", "errorLogs")):
            where = LogFilter(execution_id=document["id"], min_level="ERROR")
            errors = services.models.logs(where, ERROR_LOGS_MAX)
        variables = variables_of(
            document, flow, tenant, lookups.fetch, task_run_id, services.server, errors
        )
        context = RenderContext(
            now=lambda: to_datetime(services.clock.now_us()),
            rng=random.SystemRandom(),
            lookups=lookups,
            expired=expired,
            run_jq=JqSandbox(expired),
        )
        evaluation = evaluate(template, variables, context)
        found = explained(evaluation, variables) if explain else answer_of(evaluation)
        if lookups.note:
            found["note"] = lookups.note
        return found

    return json_response(await request.app[EVALUATOR].run(answer))


async def _template(request: web.Request) -> str:
    kind = media_type(request)
    if kind not in ("", _TEXT):
        raise UnsupportedMediaType(kind, (_TEXT,))
    body = await read_body(request, "expression", EXPRESSION_BYTES_MAX)
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise HttpError(400, "Bad Request", "Expected the expression in UTF-8.") from None


async def _execution(request: web.Request) -> JsonObject:
    """The execution as it is stored: a large value is fetched only if the expression asks."""
    wait_s = request.app[SERVICES].settings.index_timeout_s if is_fresh(request) else 0.0
    document = await request.app[READS].execution_at(request.match_info["executionId"], 1, wait_s)
    if document is None:
        raise NotFound("")
    return document


ROUTES = (
    ("POST", "/executions/{executionId}/actions/eval", evaluate_expression),
    ("POST", "/executions/{executionId}/actions/eval/{taskRunId}", evaluate_expression),
    ("POST", "/executions/{executionId}/eval/{taskRunId}", evaluate_expression),
)
