"""States of triggers -> rows. No I/O."""

from __future__ import annotations

import msgspec

from tiercel_engine.eventlog.base import Record
from tiercel_engine.indexer.lines import storable
from tiercel_engine.repository.base import Changes, Row
from tiercel_engine.repository.trigger_documents import trigger_document
from tiercel_schemas.codec import UnreadableRecord, decode_as
from tiercel_schemas.ids import TriggerKey
from tiercel_schemas.triggers import TriggerState

_encode = msgspec.json.Encoder().encode


class TriggerRows:
    """What a batch of records of the triggers topic does: the last record of a trigger counts."""

    def __init__(self) -> None:
        self._rows: dict[TriggerKey, Row | None] = {}

    def add(self, record: Record) -> None:
        """Take a record in.

        Raises:
            UnreadableRecord: it is no state of a trigger.
        """
        try:
            key = TriggerKey.parse(record.key)
        except TypeError:
            raise UnreadableRecord(
                f"Expected the key of a trigger, but it is {record.key!r}."
            ) from None
        row = None if record.value is None else trigger_row(decode_as(TriggerState, record.value))
        self._rows[key] = row

    def collect(self, changes: Changes) -> None:
        """Put what was taken in into `changes`."""
        for key, row in self._rows.items():
            if row is None:
                changes.triggers_removed.append(key._asdict())
            elif key.trigger_id:
                changes.triggers.append(row)


def trigger_row(state: TriggerState) -> Row:
    """The row of a state."""
    return {
        "tenant": storable(state.tenant),
        "namespace": storable(state.namespace),
        "flow_id": storable(state.flow_id),
        "trigger_id": storable(state.trigger_id),
        "disabled": int(state.disabled),
        "locked": int(state.execution_id is not None),
        "next_us": state.next_us,
        "date_us": state.date_us,
        "updated_us": state.updated_us,
        "document": _encode(trigger_document(state)).decode(),
    }
