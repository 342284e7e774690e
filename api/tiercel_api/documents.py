"""The JSON objects that are answered before, or without, the read model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from tiercel_engine.clock import iso
from tiercel_engine.flow.duration import format_duration
from tiercel_engine.flow.model import Flow
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.commands import CreateExecution
from tiercel_schemas.common import Label
from tiercel_schemas.flows import FlowRevision

CORRELATION_LABEL = "system.correlationId"


def execution_labels(flow: Flow, given: Sequence[Label], execution_id: str) -> list[dict[str, str]]:
    """Labels of the flow, then those given, then the correlation id, as the executor sets them."""
    labels = [{"key": key, "value": value} for key, value in flow.labels]
    labels += [{"key": label.key, "value": label.value} for label in given]
    if all(label["key"] != CORRELATION_LABEL for label in labels):
        labels.append({"key": CORRELATION_LABEL, "value": execution_id})
    return labels


def created_execution(
    command: CreateExecution,
    flow: Flow,
    inputs: JsonObject,
    trigger: JsonObject | None,
    now_us: int,
) -> JsonObject:
    """The execution that `command` creates, as it stands before the executor has seen it."""
    created = iso(command.created_us)
    document: JsonObject = {
        "id": command.execution_id,
        "namespace": command.namespace,
        "flowId": command.flow_id,
        "flowRevision": flow.revision,
    }
    if inputs:
        document["inputs"] = inputs
    document["labels"] = execution_labels(flow, command.labels, command.execution_id)
    document["state"] = {
        "current": "CREATED",
        "histories": [{"state": "CREATED", "date": created}],
        "duration": format_duration(max(0, now_us - command.created_us)),
        "startDate": created,
    }
    document["originalId"] = command.original_id or command.execution_id
    if trigger is not None:
        document["trigger"] = trigger
    if command.scheduled_us is not None:
        document["scheduleDate"] = iso(command.scheduled_us)
    document["deleted"] = False
    document["metadata"] = {"attemptNumber": 1, "originalCreatedDate": created}
    if command.kind != "NORMAL":
        document["kind"] = command.kind
    return document


def as_restarted(document: JsonObject) -> JsonObject:
    """An execution as its last restart left it: what has happened since is cut off.

    The executor goes on in the same transaction, so the read model never shows it so.
    """
    dates = [h["date"] for h in document["state"]["histories"] if h["state"] == "RESTARTED"]
    if not dates:
        return document
    restarted = datetime.fromisoformat(dates[-1])
    runs = [
        _run_until(run, restarted)
        for run in document.get("taskRunList") or ()
        if _began_before(run, restarted)
    ]
    return {**document, "state": _state_until(document["state"]), "taskRunList": runs}


def as_created(document: JsonObject) -> JsonObject:
    """An execution as it stood when it was created: what has happened since is cut off."""
    state = document["state"]
    past = {**state, "current": state["histories"][0]["state"], "histories": state["histories"][:1]}
    past.pop("endDate", None)
    left = {name: value for name, value in document.items() if name != "outputs"}
    return {**left, "state": {**past, "duration": "PT0S"}, "taskRunList": []}


def _began_before(part: JsonObject, moment: datetime) -> bool:
    return datetime.fromisoformat(part["state"]["startDate"]) < moment


def _run_until(run: JsonObject, restarted: datetime) -> JsonObject:
    attempts = [a for a in run.get("attempts") or () if _began_before(a, restarted)]
    state = _state_until(run["state"])
    past = {**run, "state": state, **({"attempts": attempts} if attempts else {})}
    if "submissions" in run and state is not run["state"]:
        length = len(state["histories"])
        past["submissions"] = [one for one in run["submissions"] if one[0] < length]
    return past


def _state_until(state: JsonObject) -> JsonObject:
    """Cut after the last RESTARTED; as it is when that is no part of it."""
    histories = state["histories"]
    ends = [n for n, history in enumerate(histories, 1) if history["state"] == "RESTARTED"]
    if not ends:
        return state
    past = {**state, "current": "RESTARTED", "histories": histories[: ends[-1]]}
    past.pop("endDate", None)
    return past


def flow_document(flow: Flow, source: str | None = None) -> JsonObject:
    """A flow as it is answered; with `source` when that is given."""
    return flow.properties if source is None else {**flow.properties, "source": source}


def unreadable_flow(entry: FlowRevision, reason: str, source: str | None) -> JsonObject:
    """A stored flow that does not read as one any more: what is known of it, and why."""
    document: JsonObject = {
        "id": entry.flow_id,
        "namespace": entry.namespace,
        "revision": entry.revision,
        "disabled": False,
        "deleted": entry.deleted,
        "exception": reason,
    }
    return document if source is None else {**document, "source": source}


_SHOWN = ("id", "namespace", "revision", "inputs", "disabled", "deleted")


def flow_for_execution(flow: Flow) -> JsonObject:
    """What whoever may see an execution may know of its flow: types and ids, no properties."""
    properties = flow.properties
    document: JsonObject = {name: properties[name] for name in _SHOWN if name in properties}
    document["tasks"] = [_task_outline(task) for task in flow.tasks]
    for name, tasks in (
        ("errors", flow.errors),
        ("finally", flow.finally_),
        ("afterExecution", flow.after_execution),
    ):
        if tasks:
            document[name] = [_task_outline(task) for task in tasks]
    if flow.triggers:
        document["triggers"] = [{"id": t.id, "type": t.type} for t in flow.triggers]
    return document


def _task_outline(task: Any) -> JsonObject:
    outline: JsonObject = {"id": task.id, "type": task.type}
    children = [_task_outline(c) for group in task.child_lists().values() for c in group]
    if children:
        outline["tasks"] = children
    return outline


def log_line(entry: JsonObject) -> str:
    """One line of a downloaded log."""
    return f"{entry['timestamp']} {entry['level']} {entry.get('message', '')}"


def log_text(entries: Iterable[JsonObject]) -> str:
    """A downloaded log: lines, the last without a line end."""
    return "\n".join(map(log_line, entries))
