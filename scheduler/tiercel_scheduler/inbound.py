"""Starts executions for trigger messages: at most once per message id, each bad one put aside."""

from __future__ import annotations

from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.errors import InvalidFlow
from tiercel_engine.eventlog.base import Record
from tiercel_engine.eventlog.schema_registry import SchemaRegistry
from tiercel_engine.flow.model import Flow
from tiercel_scheduler.messages import BadMessage, inputs_of, read_message, variables_of
from tiercel_scheduler.outbox import Outbox
from tiercel_scheduler.starts import WRONG, Start, Starter
from tiercel_schemas.common import Label
from tiercel_schemas.ids import FlowKey, derive_id
from tiercel_schemas.triggers import TriggerMessage

TRIGGER_ID = "message"
TRIGGER_TYPE = "tiercel.trigger.Message"
#: Tells the execution of a message apart in searches.
MESSAGE_LABEL = "system.messageId"


class Inbound:
    """Takes records of the trigger-messages topic; belongs to the scheduler's thread."""

    def __init__(
        self, catalog: FlowCatalog, starter: Starter, registry: SchemaRegistry | None
    ) -> None:
        self._catalog = catalog
        self._starter = starter
        self._registry = registry

    def take(self, record: Record, outbox: Outbox) -> str | None:
        """Start what the record asks for; returns why it belongs to the dead letters, if it does.

        Raises:
            RegistryUnavailable: the schema registry does not answer; nothing was taken.
        """
        try:
            message = read_message(record.value, self._registry)
            flow = self._flow(message)
            trace = (record.headers or {}).get("traceparent")
            start = Start(
                execution_id=execution_id_of(message),
                variables=variables_of(message),
                labels=(*message.labels, Label(MESSAGE_LABEL, message.message_id)),
                trace_parent=None if trace is None else trace.decode(errors="replace"),
            )
            inputs = self._starter.asked_inputs(flow, inputs_of(message))
            outbox.create(self._starter.create(flow, (TRIGGER_ID, TRIGGER_TYPE), start, inputs))
        except WRONG as error:
            return str(error)
        return None

    def _flow(self, message: TriggerMessage) -> Flow:
        key = FlowKey(message.tenant, message.namespace, message.flow_id)
        if self._catalog.entry(key, message.revision) is None:
            self._catalog.catch_up()
        try:
            flow = self._catalog.flow(key, message.revision)
        except InvalidFlow as error:
            raise BadMessage(f"Expected the flow to be readable, but {error}") from error
        if flow is None:
            raise BadMessage(self._catalog.missing(key, message.revision))
        if flow.disabled:
            raise BadMessage(f"The flow {key.namespace}.{key.flow_id} is disabled.")
        return flow


def execution_id_of(message: TriggerMessage) -> str:
    """The execution that a message starts, however often it comes."""
    key = (message.tenant, message.namespace, message.flow_id)
    return derive_id("message", *key, message.message_id)
