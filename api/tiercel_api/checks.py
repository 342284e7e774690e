"""Checks of a flow, shown before an execution is started. The executor acts on them."""

from __future__ import annotations

import asyncio

from tiercel_api.errors import HttpError
from tiercel_engine.expression.context import RenderContext
from tiercel_engine.expression.render import Renderer
from tiercel_engine.flow.checks import FailedCheck, failed
from tiercel_engine.flow.model import Flow
from tiercel_engine.plugin.dialects import expression_dialect
from tiercel_engine.repository.base import JsonObject


def failed_checks(flow: Flow, inputs: JsonObject) -> list[FailedCheck]:
    """The checks that do not hold for these inputs, in their order. Blocks while it renders."""
    renderer = Renderer(RenderContext(dialect=expression_dialect(flow.dialect)))
    variables = {
        "flow": {"id": flow.id, "namespace": flow.namespace, "revision": flow.revision},
        "inputs": inputs,
        "vars": flow.variables,
        "labels": dict(flow.labels),
    }
    return list(failed(flow.checks, renderer.text, renderer.truthy, variables))


async def refuse_if_blocked(flow: Flow, inputs: JsonObject) -> None:
    """Say at once what the executor would only log: a check lets no such execution start.

    Raises:
        HttpError: 422, with the messages of the checks that block it.
    """
    if not flow.checks:
        return
    failed_ones = await asyncio.to_thread(failed_checks, flow, inputs)
    messages = [check.message for check in failed_ones if check.behavior == "BLOCK_EXECUTION"]
    if messages:
        reason = f"A check of the flow does not hold: {', '.join(messages)}"
        raise HttpError(422, "Illegal argument", reason)
