"""A trigger's state as the API answers it: old names and new in one JSON object."""

from __future__ import annotations

from typing import Any

import msgspec

from tiercel_engine.clock import iso
from tiercel_schemas.triggers import Backfill, TriggerState

#: The last instant that ISO 8601 text with four digits of year can name.
INSTANT_MAX_US = 253_402_300_799_999_999


def trigger_document(state: TriggerState) -> dict[str, Any]:
    """A state as the API answers it; parts without a value are left out."""
    named = {
        "namespace": state.namespace,
        "flowId": state.flow_id,
        "triggerId": state.trigger_id,
        "kind": state.kind,
        "flowRevision": state.flow_revision,
        "date": _iso(state.date_us),
        "lastTriggeredDate": _iso(state.date_us),
        "nextExecutionDate": _iso(state.next_us),
        "nextEvaluationDate": _iso(state.next_us),
        "evaluatedAt": _iso(state.evaluated_us),
        "updatedDate": _iso(state.updated_us),
        "updatedAt": _iso(state.updated_us),
        "backfill": None if state.backfill is None else _backfill(state.backfill, state.next_us),
        "disabled": state.disabled,
        "locked": state.execution_id is not None,
        "executionId": state.execution_id,
        "lastExecutionId": state.last_execution_id,
        "workerId": state.worker_id,
    }
    return {name: value for name, value in named.items() if value is not None}


def _backfill(backfill: Backfill, next_us: int | None) -> dict[str, Any]:
    inputs = None if backfill.inputs_json is None else msgspec.json.decode(backfill.inputs_json)
    named = {
        "start": _iso(backfill.start_us),
        "end": _iso(backfill.end_us),
        "currentDate": _iso(backfill.current_us),
        "previousNextExecutionDate": _iso(next_us),
        "paused": backfill.paused,
        "inputs": inputs,
        "labels": [{"key": label.key, "value": label.value} for label in backfill.labels],
    }
    return {name: value for name, value in named.items() if value is not None}


def _iso(instant_us: int | None) -> str | None:
    return None if instant_us is None else iso(min(max(instant_us, 0), INSTANT_MAX_US))
