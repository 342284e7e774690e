"""The command that starts an execution for a trigger: inputs, labels, `{{ trigger }}`."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from tiercel_engine.clock import Clock, to_datetime
from tiercel_engine.errors import TaskError, UserError
from tiercel_engine.expression.context import RenderContext
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.render import Renderer
from tiercel_engine.expression.text import json_text
from tiercel_engine.flow.base import Rule
from tiercel_engine.flow.inputs import Encrypt, resolve, resolve_inputs, without_missing
from tiercel_engine.flow.model import Flow, read_labels
from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.outside.lookups import StoredLookups
from tiercel_engine.plugin.dates import flow_variables
from tiercel_engine.storage import uri as addresses
from tiercel_engine.storage.claims import INLINE_BYTES_MAX, pack
from tiercel_engine.storage.kv import KvStore
from tiercel_engine.storage.objects import Storage
from tiercel_schemas.commands import CreateExecution
from tiercel_schemas.common import Label, Payload, ReplyTo
from tiercel_schemas.ids import TriggerKey

CORRELATION_LABEL = "system.correlationId"
#: What may be wrong with what an author or a producer wrote.
WRONG = (UserError, Rule, Fault, TaskError)


class Start(msgspec.Struct, frozen=True):
    """An execution that a trigger wants.

    Attributes:
        execution_id: derived from what must start once only.
        variables: of `{{ trigger }}`.
        known: what templates of the trigger see besides.
        inputs: over those of the trigger.
        labels: besides those of the trigger.
        locks: the trigger waits for its end.
        failure: why it cannot run.
        asks_nothing: without inputs of the trigger a required one may be missing.
    """

    execution_id: str
    variables: Mapping[str, Any]
    known: Mapping[str, Any] = {}
    inputs: Mapping[str, Any] = {}
    labels: tuple[Label, ...] = ()
    scheduled_us: int | None = None
    locks: bool = False
    failure: str | None = None
    depth: int = 0
    asks_nothing: bool = False
    trace_parent: str | None = None


class Starter:
    """Builds commands. Large values go to internal storage."""

    def __init__(self, storage: Storage, clock: Clock, encrypt: Encrypt | None) -> None:
        self._storage = storage
        self._clock = clock
        self._encrypt = encrypt
        self.renderer = Renderer(
            RenderContext(
                now=lambda: to_datetime(clock.now_us()),
                rng=random.SystemRandom(),
                lookups=StoredLookups(storage, KvStore(storage, clock), lambda secret: None),
            )
        )

    def command(self, flow: Flow, trigger: Trigger, start: Start) -> CreateExecution:
        """Start what a trigger of the flow wants.

        What is wrong with inputs or labels makes the execution fail, visibly.
        """
        variables = {**flow_variables(flow), **start.known, "trigger": dict(start.variables)}
        failure, inputs, labels = start.failure, {}, start.labels
        if failure is None:
            try:
                labels = self._labels(trigger, variables) + labels
                if start.asks_nothing and not trigger.inputs:
                    inputs = self.asked_inputs(flow, start.inputs)
                else:
                    inputs = self.inputs(flow, trigger.inputs, start.inputs, variables)
            except WRONG as error:
                failure = str(error)
        key = TriggerKey(flow.tenant, flow.namespace, flow.id, trigger.id)
        reply_to = ReplyTo("", "", trigger=str(key)) if start.locks else None
        command = self.create(flow, (trigger.id, trigger.type), start, inputs)
        return replace(
            command,
            labels=with_correlation(labels, start.execution_id),
            reply_to=reply_to,
            failure=failure,
        )

    def create(
        self, flow: Flow, trigger: tuple[str, str], start: Start, inputs: Mapping[str, Any]
    ) -> CreateExecution:
        """The command with these inputs; `trigger` is its id and type."""
        execution_id = start.execution_id
        variables = {"id": trigger[0], "type": trigger[1], "variables": dict(start.variables)}
        return CreateExecution(
            command_id=execution_id,
            execution_id=execution_id,
            tenant=flow.tenant,
            namespace=flow.namespace,
            flow_id=flow.id,
            flow_revision=flow.revision,
            inputs=self.payload(flow, execution_id, "inputs", dict(inputs) or None),
            labels=with_correlation(start.labels, execution_id),
            trigger=self.payload(flow, execution_id, "trigger", variables),
            scheduled_us=start.scheduled_us,
            created_us=self._clock.now_us(),
            deduplicate=True,
            depth=start.depth,
            trace_parent=start.trace_parent,
        )

    def asked_inputs(self, flow: Flow, given: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs given from outside, and defaults. A required one may be missing here: the flow
        reads the trigger instead, as with webhooks.

        Raises:
            InvalidInput: one that is given does not have its type.
        """
        own = flow_variables(flow)

        def render(value: Any, inputs: Mapping[str, Any]) -> Any:
            return self.renderer.value(value, {**own, **inputs})

        asked = without_missing(flow.inputs, given)
        return resolve(asked, given, render=render, encrypt=self._encrypt)

    def inputs(
        self,
        flow: Flow,
        written: Mapping[str, Any] | None,
        given: Mapping[str, Any],
        variables: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The flow's inputs from the trigger's templates and what was given on top.

        Raises:
            UserError: one does not render or does not have its type.
        """
        rendered = self.renderer.value(dict(written), variables) if written else {}
        own = flow_variables(flow)

        def render(value: Any, inputs: Mapping[str, Any]) -> Any:
            return self.renderer.value(value, {**own, **inputs})

        return resolve_inputs(flow, {**rendered, **given}, render=render, encrypt=self._encrypt)

    def payload(self, flow: Flow, execution_id: str, name: str, value: Any) -> Payload:
        """How a value travels in the log: as it is, or as a claim check when it is large."""
        if value is None:
            return Payload()
        text = json_text(value)
        if len(text) <= INLINE_BYTES_MAX // 4:
            return Payload(json=text)
        uri = addresses.execution_value(flow.namespace, flow.id, execution_id, f"{name}.json")
        return pack(msgspec.json.decode(text), self._storage, uri)

    def _labels(self, trigger: Trigger, variables: Mapping[str, Any]) -> tuple[Label, ...]:
        if not trigger.labels:
            return ()
        return tuple(
            Label(key, value)
            for key, value in read_labels(self.renderer.value(trigger.labels, variables))
        )


def with_correlation(labels: tuple[Label, ...], execution_id: str) -> tuple[Label, ...]:
    """Labels with a correlation id: the given one, else the execution's own id."""
    if any(label.key == CORRELATION_LABEL for label in labels):
        return labels
    return (*labels, Label(CORRELATION_LABEL, execution_id))
