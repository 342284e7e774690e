"""Actions that start the flow themselves: held, queued, labelled, by a webhook, or several."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tests.conformance.actions import (
    UNKNOWN_ID,
    Actions,
    Problems,
    Step,
    refusals,
    total_becomes,
)
from tests.conformance.checks import execution_problems
from tests.conformance.door import Door, state_of, states_of, until
from tests.conformance.matching import shown

FAR_FUTURE = "2999-01-01T00:00:00Z"


def _two(step: Step) -> Problems:
    expected = step.case.row.get("executions", {})
    first = step.door.started(step.case)["id"]
    _wait_for_start(step.door, first)
    second = step.door.started(step.case)["id"]
    ends = {"first": step.door.reached(first), "second": step.door.reached(second)}
    for name, document in ends.items():
        if state_of(document) != expected.get(name, state_of(document)):
            yield f"{name}: expected {expected[name]}, got {state_of(document)}"
    history, wanted = states_of(ends["second"]), expected.get("second_histories", [])
    if not _is_history(history, wanted):
        yield f"history of the second: expected {wanted}, got {history}"


def _wait_for_start(door: Door, execution_id: str) -> None:
    until(lambda: state_of(door.execution(execution_id)), lambda s: bool(s != "CREATED"))


def _is_history(history: list[str], wanted: list[str]) -> bool:
    """Whether the states are as wanted; "..." stands for any."""
    if "..." not in wanted:
        return not wanted or history == wanted
    at = wanted.index("...")
    tail = wanted[at + 1 :]
    return history[:at] == wanted[:at] and history[len(history) - len(tail) :] == tail


def _unqueue(step: Step) -> Problems:
    first = step.door.started(step.case)["id"]
    _wait_for_start(step.door, first)
    second = step.door.started(step.case)["id"]
    queued = until(lambda: state_of(step.door.execution(second)), lambda s: bool(s == "QUEUED"))
    if queued != "QUEUED":
        yield f"second: expected QUEUED, got {queued}"
    answer = step.door.call("POST", f"/executions/{second}/unqueue")
    yield from step.checked("unqueue", answer)
    unknown = step.door.call("POST", f"/executions/{UNKNOWN_ID}/unqueue")
    yield from refusals(step, "unknown_id", unknown)
    step.door.reached(first)
    ended = step.door.call("POST", f"/executions/{first}/unqueue")
    yield from refusals(step, "not_queued", ended)
    step.door.reached(second)


def _force_run(step: Step) -> Problems:
    held = step.door.started(step.case, f"?scheduleDate={FAR_FUTURE}")["id"]
    answer = step.door.call("POST", f"/executions/{held}/force-run")
    yield from step.checked("force-run", answer)
    unknown = step.door.call("POST", f"/executions/{UNKNOWN_ID}/force-run")
    yield from refusals(step, "unknown_id", unknown)
    if answer.status == 200:
        step.door.reached(held)
        again = step.door.call("POST", f"/executions/{held}/force-run")
        yield from refusals(step, "terminated", again)
    else:
        step.door.call("DELETE", f"/executions/{held}/kill")


def _scheduled(step: Step) -> Problems:
    match = re.search(r"now\+(\d+)s", step.case.action)
    at = datetime.now(UTC) + timedelta(seconds=int(match[1]) if match else 1)
    created = step.door.started(step.case, f"?scheduleDate={at:%Y-%m-%dT%H:%M:%S.%fZ}")
    if state_of(created) != "CREATED" or not created.get("scheduleDate"):
        yield f"answer: expected CREATED with a scheduleDate, got {state_of(created)}"
    final = step.door.reached(created["id"])
    yield from execution_problems(step.door, final, step.case.expected)


def _labelled_start(step: Step) -> Problems:
    query = "?" + step.case.action.partition("?")[2].replace("<encoded>", "http%3A%2F%2Fa%2Fb")
    answer = step.door.start(step.case, query)
    yield from step.checked("start", answer)
    if answer.status == 200:
        found = execution_problems(step.door, answer.document, step.case.expected)
        yield from (f"answer: {p}" for p in found)


def _waiting_start(step: Step) -> Problems:
    created = step.door.started(step.case, "?wait=true")
    yield from execution_problems(step.door, created, step.case.expected)


def _started_url(step: Step) -> Problems:
    created = step.door.started(step.case)
    wanted = f"/ui/executions/{step.case.namespace}/{step.case.flow_id}/{created['id']}"
    if not str(created.get("url", "")).endswith(wanted):
        yield f"url: expected one ending with {wanted}, got {created.get('url')}"
    step.door.reached(created["id"])


def _one_more(step: Step) -> Problems:
    before = len(step.door.executions(step.case.namespace, step.case.flow_id))
    step.door.reached(step.door.started(step.case)["id"])
    yield from total_becomes(step, before + 1)


def _validate_inputs(step: Step) -> Problems:
    path = f"/executions/{step.case.namespace}/{step.case.flow_id}/validate"
    files = {name: (None, text) for name, text in step.case.texts.items()}
    answer = step.door.call("POST", path, files=files)
    yield from step.checked("validate", answer)
    rows = answer.document.get("inputs") or []
    if not rows or not all(row.get("enabled") for row in rows):
        yield f"validate: expected every input enabled, got {shown(answer.document)}"


def _webhook(step: Step) -> Problems:
    method, path = step.case.action.split()
    answer = step.door.call(method, path)
    yield from step.checked("webhook", answer)
    if answer.document.get("id"):
        step.door.reached(answer.document["id"])


#: Form of the sentence -> what to do.
START: Actions = (
    (r"start #1", _two),
    (r"POST /executions/\{id\}/unqueue", _unqueue),
    (r"POST /executions/\{id\}/force-run", _force_run),
    (r"POST \.\.\.\?scheduleDate=", _scheduled),
    (r"(POST )?\S*\?labels=", _labelled_start),
    (r"POST /executions/\S+\?labels=", _labelled_start),
    (r"same with &wait=true", _waiting_start),
    (r"GET /executions\?.*one POST", _one_more),
    (r"POST /executions/\S+/validate", _validate_inputs),
    (r"GET /executions/webhook/", _webhook),
    (r"POST /executions/\S+$", _started_url),
)
