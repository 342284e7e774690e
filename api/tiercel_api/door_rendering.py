"""Templates that are rendered at the door: of inputs, and of what calls a flow.

What may block is rendered in threads of its own; the rest in the event loop, because it is quick.
Only here `subflow()` runs a flow: the thread that waits for it keeps no worker from running it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from aiohttp import web

from tiercel_api.evaluator import INPUT_EVALUATOR, Expired
from tiercel_api.files import FILES
from tiercel_api.gateway import GATEWAY
from tiercel_api.lookup import execution_at, find_flow, tenant_of
from tiercel_api.services import SERVICES, encryption
from tiercel_engine.clock import to_datetime
from tiercel_engine.errors import NotFound, UserError
from tiercel_engine.expression.analysis import analyse
from tiercel_engine.expression.context import RenderContext
from tiercel_engine.expression.quick import QuickRenderer
from tiercel_engine.expression.render import Renderer
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.flow.input_base import Input
from tiercel_engine.flow.input_types import ChoiceInput
from tiercel_engine.flow.inputs import Render, resolve_inputs
from tiercel_engine.flow.model import Flow
from tiercel_engine.outside.lookups import WorldLookups
from tiercel_engine.plugin.dialects import expression_dialect
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.sandbox.jq import JqSandbox
from tiercel_engine.storage.kv import KvStore
from tiercel_schemas.commands import CreateExecution
from tiercel_schemas.common import Label, Payload
from tiercel_schemas.ids import make_id
from tiercel_schemas.state import State

T = TypeVar("T")

#: Flows inside flows that the inputs of one request run.
SUBFLOWS_DEPTH_MAX = 5
#: How long one is waited for, and how long at most.
SUBFLOW_TIMEOUT_S = 30.0
SUBFLOW_TIMEOUT_S_MAX = 60.0
#: What starting it and reading its outputs may take besides.
AROUND_S = 20.0
#: How often whoever waits for a flow looks whether its own time is over, or the server stops.
EXPIRY_CHECK_S = 2.0
CORRELATION_LABEL = "system.correlationId"


async def with_inputs(
    request: web.Request, flow: Flow, definitions: Sequence[Input], work: Callable[[Render], T]
) -> T:
    """What `work` gives when it renders the templates of these inputs by what it is given.

    Raises:
        TransientError: too many such templates are being rendered.
        TimeoutError: they took too long.
    """
    templates = [_templates(definition) for definition in definitions]
    refers = analyse(templates)
    if not refers.needs_io and not refers.dynamic:
        return work(_rendering(request, flow, QuickRenderer(_context(request, flow))))
    renderer = door_renderer(request, flow)
    return await request.app[INPUT_EVALUATOR].run(
        lambda expired: work(_rendering(request, flow, renderer(expired)))
    )


def _templates(definition: Input) -> list[Any]:
    expression = definition.expression if isinstance(definition, ChoiceInput) else None
    return [definition.defaults, expression, *definition.conditions]


def door_renderer(request: web.Request, flow: Flow) -> Callable[[Expired | None], Renderer]:
    """Makes renderers that may read the world, for threads that may wait. Call it in the loop."""
    loop = asyncio.get_running_loop()

    def make(expired: Expired | None = None) -> Renderer:
        lookups = DoorLookups(request, flow, loop, expired)
        return Renderer(_context(request, flow, lookups, expired))

    return make


def door_variables(request: web.Request, flow: Flow) -> JsonObject:
    """What templates of a flow see where it has no execution."""
    return request.app[SERVICES].server.values() | {
        "flow": {
            "id": flow.id,
            "namespace": flow.namespace,
            "revision": flow.revision,
            "tenantId": flow.tenant,
        },
        "vars": flow.variables,
        "labels": dict(flow.labels),
    }


def door_rendering(request: web.Request, flow: Flow, renderer: Renderer) -> Render:
    """Renders templates of a flow's inputs by a renderer of `door_renderer`."""
    return _rendering(request, flow, renderer)


def _context(
    request: web.Request,
    flow: Flow,
    lookups: WorldLookups | None = None,
    expired: Expired | None = None,
) -> RenderContext:
    clock = request.app[SERVICES].clock
    return RenderContext(
        now=lambda: to_datetime(clock.now_us()),
        rng=random.SystemRandom(),
        lookups=lookups,
        dialect=expression_dialect(flow.dialect),
        expired=expired,
        run_jq=None if lookups is None else JqSandbox(expired or _never),
    )


def _never() -> bool:
    return False


def _rendering(request: web.Request, flow: Flow, renderer: Renderer) -> Render:
    variables = door_variables(request, flow)

    def render(value: Any, inputs: Mapping[str, Any]) -> Any:
        return renderer.value(value, {**variables, **inputs})

    return render


class DoorLookups(WorldLookups):
    """The world as the templates of one request see it; used in a thread beside the event loop."""

    def __init__(
        self,
        request: web.Request,
        flow: Flow,
        loop: asyncio.AbstractEventLoop,
        expired: Expired | None,
        depth: int = 0,
    ) -> None:
        services = request.app[SERVICES]
        pairs = KvStore(services.storage, services.clock)
        # Nothing is logged here that a secret would have to be hidden in.
        super().__init__(services.storage, pairs, lambda secret: None)
        self._request, self._flow, self._loop = request, flow, loop
        self._expired, self._depth = expired, depth

    def subflow(self, call: Mapping[str, Any], variables: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._expired is None or "trigger" in variables:
            return super().subflow(call, variables)
        namespace, flow_id = str(call["namespace"]), str(call["id"])
        if self._depth >= SUBFLOWS_DEPTH_MAX:
            raise UserError(
                f"The 'subflow' function exceeded the maximum nesting depth of {SUBFLOWS_DEPTH_MAX}"
                " (a subflow's inputs likely call subflow() recursively)."
            )
        timeout_s = _timeout_s(call.get("timeout"))
        child = self._wait(self._find(namespace, flow_id, call.get("revision")), AROUND_S)
        inputs = self._inputs(child, call.get("inputs") or {})
        running = self._run(child, inputs, _labels(call.get("labels") or {}), timeout_s)
        answer: JsonObject = self._wait(running, timeout_s + AROUND_S)
        return answer

    def _wait(self, work: Any, timeout_s: float) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    async def _find(self, namespace: str, flow_id: str, revision: Any) -> Flow:
        try:
            flow = await find_flow(self._request, namespace, flow_id, revision)
        except NotFound:
            raise NotFound(f"Unable to find flow '{namespace}'.'{flow_id}'.") from None
        if flow.disabled:
            raise UserError(f"Cannot execute flow '{namespace}'.'{flow_id}': it is disabled.")
        return flow

    def _inputs(self, child: Flow, given: Mapping[str, Any]) -> JsonObject:
        lookups = DoorLookups(self._request, child, self._loop, self._expired, self._depth + 1)
        renderer = Renderer(_context(self._request, child, lookups, self._expired))
        render = _rendering(self._request, child, renderer)
        encrypt = encryption(self._request.app[SERVICES])
        try:
            return resolve_inputs(child, given, render=render, encrypt=encrypt)
        except UserError as error:
            raise UserError(
                f"Invalid inputs for subflow '{child.namespace}'.'{child.id}': {error}"
            ) from error

    async def _run(
        self, child: Flow, inputs: JsonObject, labels: tuple[Label, ...], timeout_s: float
    ) -> JsonObject:
        app = self._request.app
        gateway, clock = app[GATEWAY], app[SERVICES].clock
        created_us = clock.now_us()
        execution_id = make_id(created_us, gateway.random_bits())
        if all(label.key != CORRELATION_LABEL for label in labels):
            labels = (*labels, Label(CORRELATION_LABEL, execution_id))
        command = CreateExecution(
            command_id=gateway.command_id(),
            execution_id=execution_id,
            tenant=tenant_of(self._request),
            namespace=child.namespace,
            flow_id=child.id,
            flow_revision=child.revision,
            inputs=await app[FILES].payload(child, execution_id, "inputs", inputs or None),
            labels=labels,
            trigger=Payload(),
            created_us=created_us,
            depth=self._depth + 1,
        )
        deadline = time.monotonic() + timeout_s
        async with gateway.watching(execution_id) as watch:
            await gateway.send(execution_id, command)
            while not watch.is_terminated and (left_s := deadline - time.monotonic()) > 0:
                watch.raise_refusal(command.command_id)
                if self._expired is not None and self._expired():
                    break
                await watch.changed(min(left_s, EXPIRY_CHECK_S))
        name = f"'{child.namespace}'.'{child.id}'"
        if not watch.is_terminated:
            raise UserError(
                f"Failed to run subflow {name}: execution {execution_id} has not ended within "
                f"{timeout_s:g} s."
            )
        if watch.state not in (State.SUCCESS, State.WARNING):
            raise UserError(
                f"Subflow {name} ended in state {watch.state} (execution {execution_id})."
            )
        document = await execution_at(self._request, execution_id, watch.last_seq) or {}
        return {
            "id": execution_id,
            "state": watch.state,
            "outputs": document.get("outputs") or {},
            "labels": {label["key"]: label["value"] for label in document.get("labels") or ()},
        }


def _timeout_s(written: Any) -> float:
    if written is None:
        return SUBFLOW_TIMEOUT_S
    try:
        timeout_s = parse_duration_s(written)
    except ValueError as error:
        raise UserError(f"The 'subflow' function 'timeout': {error}") from None
    if timeout_s > SUBFLOW_TIMEOUT_S_MAX:
        raise UserError(
            f"The 'subflow' function 'timeout' ({written}) exceeds the maximum allowed "
            f"({SUBFLOW_TIMEOUT_S_MAX:g} s)."
        )
    return timeout_s


def _labels(given: Any) -> tuple[Label, ...]:
    if not isinstance(given, Mapping):
        raise UserError("The 'subflow' function 'labels' must be a map of string keys to values.")
    for key in given:
        if str(key).startswith("system.") and key != CORRELATION_LABEL:
            raise UserError(
                f"The 'subflow' function cannot set the system label '{key}'; system labels are "
                f"reserved (except '{CORRELATION_LABEL}')."
            )
    own = tuple(Label(str(key), str(value)) for key, value in given.items() if value is not None)
    return (*own, Label("system.from", "subflow"))
