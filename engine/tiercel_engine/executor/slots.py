"""The slots of flows on one partition: commands in, records out. See `execution.slots`."""

from __future__ import annotations

from typing import Any

import structlog

from tiercel_engine.execution import slots as core
from tiercel_engine.execution.slots import GrantSlots, LimitSaved, SlotStep
from tiercel_engine.executor.outbox import Outbox
from tiercel_engine.executor.partition import Partition
from tiercel_engine.flow.model import Flow
from tiercel_schemas.concurrency import ReleaseSlot, RequestSlot
from tiercel_schemas.ids import FlowKey

SLOT_COMMANDS = (RequestSlot, ReleaseSlot, LimitSaved, GrantSlots)

log = structlog.get_logger(__name__)


def handle(partition: Partition, command: Any, at_us: int, outbox: Outbox) -> None:
    """Process one command for the slots of a flow, and put out what comes of it."""
    key = core.key_of(command)
    step = core.decide(partition.slots_of(key), command, at_us)
    _keep(partition, step, type(command).__name__, outbox)
    if step.more:
        partition.add_timer(at_us, GrantSlots(key))


def _keep(partition: Partition, step: SlotStep, cause: str, outbox: Outbox) -> None:
    if step.changes:
        outbox.add_slots(partition.number, step.batch(cause))
        partition.slots[step.slots.key] = step.slots
    for to, command in step.commands:
        outbox.add_command(to, command)


def flow_saved(partition: Partition, flow: Flow, at_us: int, outbox: Outbox) -> None:
    """A new revision may let more executions run at once than the one before."""
    key = FlowKey(flow.tenant, flow.namespace, flow.id)
    if key not in partition.slots:
        return
    limit = flow.concurrency.limit if flow.concurrency is not None else None
    behavior = flow.concurrency.behavior if flow.concurrency is not None else "QUEUE"
    handle(partition, LimitSaved(key, flow.revision, limit, behavior), at_us, outbox)
