"""Changes of flows' slots -> rows. No I/O."""

from __future__ import annotations

from tiercel_engine.indexer.lines import storable
from tiercel_engine.repository.base import Changes, Row
from tiercel_schemas.concurrency import SlotBatch
from tiercel_schemas.ids import FlowKey


class SlotRows:
    """What a batch of records does to slots: the last change of an execution, and of a limit."""

    def __init__(self) -> None:
        self._limits: dict[FlowKey, Row] = {}
        #: Whether it holds a slot; None: it has neither slot nor place in the queue any more.
        self._held: dict[tuple[FlowKey, str], bool | None] = {}

    def add(self, batch: SlotBatch) -> None:
        """Take a record in. The kinds are those of `execution.slots`."""
        names = (batch.tenant, batch.namespace, batch.flow_id)
        key = FlowKey(*(storable(name) for name in names))
        for change in batch.changes:
            if change.kind == "LIMIT":
                self._limits[key] = {
                    **key._asdict(),
                    "executions_max": change.limit,
                    "behavior": change.behavior,
                }
            else:
                held = {"GRANTED": True, "QUEUED": False}.get(change.kind)
                self._held[key, change.execution_id] = held

    def collect(self, changes: Changes) -> None:
        """Put what was taken in into `changes`."""
        changes.flow_limits.extend(self._limits.values())
        for (key, execution_id), held in self._held.items():
            row: Row = {**key._asdict(), "execution_id": execution_id}
            if held is None:
                changes.flow_slots_removed.append(row)
            else:
                changes.flow_slots.append({**row, "is_held": int(held)})
