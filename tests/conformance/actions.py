"""The second step of a case: what is done to its execution, and what must hold then.

An action is a sentence; `ACTIONS` maps its form to a function. Here are those on an execution that
has ended or is paused, see `starts` for those that start the flow themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.conformance.cases import FILE_TEXT, Case, JsonObject
from tests.conformance.checks import execution_problems
from tests.conformance.door import (
    Answer,
    Door,
    state_of,
    task_runs,
    until,
)
from tests.conformance.matching import shown

Problems = Iterator[str]
UNKNOWN_ID = "nobody"


@dataclass(frozen=True)
class Step:
    """An action about to be done. `execution` is the case's own; empty in `START` actions."""

    door: Door
    case: Case
    execution: JsonObject

    @property
    def id(self) -> str:
        return str(self.execution["id"])

    @property
    def http(self) -> JsonObject:
        return dict(self.case.expected.get("http", {}))

    def verb(self, method: str, verb: str, **options: Any) -> Answer:
        return self.door.call(method, f"/executions/{self.id}{verb}", **options)

    def checked(self, what: str, answer: Answer, status: int = 200) -> Problems:
        """Whether the answer has the status that the case says, else `status`."""
        yield from status_problems(what, answer, self.http.get("status", status))
        for text in _texts(self.http.get("body_contains", ())):
            if text not in answer.text:
                yield f"{what}: expected {text!r} in the answer, got {answer.message[:200]!r}"

    def twins(self, count: int) -> list[str]:
        """Ids of `count` ended executions of the flow, the case's own among them."""
        others = [self.door.started(self.case)["id"] for _ in range(count - 1)]
        for one in others:
            self.door.reached(one)
        return [self.id, *others]


def status_problems(what: str, answer: Answer, expected: Any) -> Problems:
    """Whether an answer has a status; "4xx" stands for any client error."""
    fits = answer.status // 100 == 4 if expected == "4xx" else answer.status == expected
    if not fits:
        yield f"{what}: expected HTTP {expected}, got {answer.status} {answer.message[:160]!r}"


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


Actions = tuple[tuple[str, Callable[[Step], Problems]], ...]


# -- verbs on one execution --------------------------------------------------------------------


def _restart(step: Step) -> Problems:
    after = step.case.after
    if "SUCCESS" in step.case.action:
        yield from step.checked("restart", step.verb("POST", "/restart"))
        return
    for _ in range(len(re.findall(r"\brestart\b", step.case.action))):
        answer = step.verb("POST", "/restart")
        yield from status_problems("restart", answer, 200)
        if answer.status != 200:
            return
        final = step.door.reached(step.id)
    is_response = after.get("state") in ("RESTARTED", "CREATED")
    response = after.get("response", after if is_response else {})
    last = after.get("final", {} if is_response or "response" in after else after)
    yield from _restarted(step, answer, response)
    yield from (f"after: {p}" for p in execution_problems(step.door, final, last))


def _restarted(step: Step, answer: Answer, expected: JsonObject) -> Problems:
    rest = {key: value for key, value in expected.items() if key != "same_id"}
    yield from (f"answer: {p}" for p in execution_problems(step.door, answer.document, rest))
    if expected.get("same_id") and answer.document.get("id") != step.id:
        yield f"answer: expected the id {step.id}, got {answer.document.get('id')}"


def _replay(step: Step) -> Problems:
    wanted = step.case.action.partition("taskRunId=")[2].split()[0]
    if match := re.fullmatch(r"<(\w+)>", wanted):
        runs = [run["id"] for run in task_runs(step.execution) if run["taskId"] == match[1]]
        wanted = runs[0] if runs else wanted
    answer = step.verb("POST", "/replay", params={"taskRunId": wanted})
    yield from step.checked("replay", answer)
    if answer.status != 200:
        return
    after = step.case.after
    yield from _restarted(step, answer, after.get("response", {}))
    final = step.door.reached(answer.document["id"])
    found = execution_problems(step.door, final, after.get("final", {}))
    yield from (f"after: {p}" for p in found)


def _resume(step: Step) -> Problems:
    answer = step.verb("POST", "/resume")
    if answer.status not in (200, 204):
        yield f"resume: expected HTTP 204, got {answer.status} {answer.message[:160]!r}"
        return
    final = step.door.reached(step.id)
    expected = step.case.after.get("final", step.case.after)
    yield from (f"after: {p}" for p in execution_problems(step.door, final, expected))


def _change_status(step: Step) -> Problems:
    state = step.case.after["state"]
    answer = step.verb("POST", "/change-status", params={"status": state})
    yield from step.checked("change-status", answer)
    if answer.status == 200:
        yield from _becomes(step, step.id, state)


def _becomes(step: Step, execution_id: str, state: str) -> Problems:
    found = until(lambda: state_of(step.door.execution(execution_id)), lambda s: bool(s == state))
    if found != state:
        yield f"after: expected {state}, got {found}"


def _delete(step: Step) -> Problems:
    yield from step.checked("delete", step.verb("DELETE", ""), 204)
    if "unknown_id" in step.http:
        answer = step.door.call("DELETE", f"/executions/{UNKNOWN_ID}")
        yield from status_problems("delete of an unknown id", answer, step.http["unknown_id"])


def _label(step: Step) -> Problems:
    wanted = step.case.expected.get("labels", {"key": "value"})
    body = [{"key": key, "value": value} for key, value in wanted.items()]
    yield from step.checked("labels", step.verb("POST", "/labels", json=body))
    answer = step.door.call("POST", f"/executions/{UNKNOWN_ID}/labels", json=body)
    yield from refusals(step, "unknown_id", answer)
    wrong = {"null_label": [{"key": None, "value": None}], "system_label": _label_of("system.x")}
    for name, labels in wrong.items():
        yield from refusals(step, name, step.verb("POST", "/labels", json=labels))
    labelled = until(
        lambda: step.door.execution(step.id),
        lambda e: not execution_problems(step.door, e, {"labels": wanted}),
    )
    yield from execution_problems(step.door, labelled, {"labels": wanted})


def _label_of(key: str) -> list[JsonObject]:
    return [{"key": key, "value": "value"}]


def refusals(step: Step, name: str, answer: Answer) -> Problems:
    if name in step.http:
        yield from status_problems(name, answer, step.http[name])


def _follow(step: Step) -> Problems:
    answer = step.verb("GET", "/follow")
    events = [line[5:] for line in answer.text.splitlines() if line.startswith("data:")]
    documents = [json.loads(text) for text in events if text.strip().startswith("{")]
    if not documents or state_of(documents[-1]) != step.case.expected["state"]:
        yield f"follow: expected the last event to be of the end, got {shown(events[-1:])}"


def _file(step: Step) -> Problems:
    path = (step.execution.get("inputs") or {}).get("file", "")
    answer = step.verb("GET", "/file", params={"path": path})
    yield from status_problems("file", answer, 200)
    if answer.text != step.http.get("body", FILE_TEXT):
        yield f"file: expected {step.http.get('body')!r}, got {answer.text[:100]!r}"
    size = step.verb("GET", "/file/metas", params={"path": path}).document.get("size")
    if size != step.http.get("metas.size", size):
        yield f"file metas: expected size {step.http['metas.size']}, got {size}"
    if "path_of_other_execution" in step.http:
        other = path.replace(step.id, UNKNOWN_ID)
        answer = step.verb("GET", "/file", params={"path": other})
        yield from refusals(step, "path_of_other_execution", answer)


def _preview(step: Step) -> Problems:
    path = (step.execution.get("inputs") or {}).get("file", "")
    good = {"path": path, "encoding": "ISO-8859-1"}
    yield from status_problems("preview", step.verb("GET", "/file/preview", params=good), 200)
    bad = {"path": path, "encoding": "none-such"}
    yield from refusals(step, "bad_encoding", step.verb("GET", "/file/preview", params=bad))


# -- several executions ------------------------------------------------------------------------


def _by_ids(step: Step) -> Problems:
    ids = step.twins(step.case.after["count"])
    method, path, body = _bulk(step.case, ids)
    before = len(step.door.executions(step.case.namespace, step.case.flow_id))
    answer = step.door.call(method, path, json=body)
    yield from status_problems(path, answer, 200)
    if answer.status != 200:
        return
    if answer.document.get("count") != step.case.after.get("count"):
        yield f"{path}: expected the count {step.case.after['count']}, got {answer.text[:160]}"
    if "state" in step.case.after:
        for one in ids:
            yield from _becomes(step, one, step.case.after["state"])
    if "search_total" in step.case.after:
        wanted = before + step.case.after["search_total"] - len(ids)
        yield from total_becomes(step, wanted)
    if "null_label" in step.http:
        labels = [{"key": None, "value": None}]
        wrong = {"executionsId": ids, "executionLabels": labels}
        yield from refusals(step, "null_label", step.door.call(method, path, json=wrong))


def _bulk(case: Case, ids: list[str]) -> tuple[str, str, Any]:
    match = re.match(r"(\w+) (/executions/[\w/-]*by-ids)", case.action)
    assert match is not None, f"Expected a bulk action, but it was {case.action!r}."
    method, path = match.groups()
    if "labels" in path:
        return method, path, {"executionsId": ids, "executionLabels": _label_of("key")}
    query = f"?newStatus={case.after['state']}" if "change-status" in path else ""
    return method, path + query, ids


def total_becomes(step: Step, wanted: int) -> Problems:
    found = until(
        lambda: len(step.door.executions(step.case.namespace, step.case.flow_id)),
        lambda total: bool(total == wanted),
    )
    if found != wanted:
        yield f"after: expected {wanted} executions of the flow, got {found}"


#: Form of the sentence -> what to do with an execution that has ended or is paused.
ACTIONS: Actions = (
    (r"restart\b", _restart),
    (r"resume\b", _resume),
    (r"(POST /executions/\{id\}/)?replay\?", _replay),
    (r"\w+ /executions/[\w/-]*by-ids", _by_ids),
    (r"POST /executions/\{id\}/change-status", _change_status),
    (r"POST /executions/\{id\}/labels", _label),
    (r"DELETE /executions/\{id\}$", _delete),
    (r"GET /executions/\{id\}/follow", _follow),
    (r"GET /executions/\{id\}/file/preview", _preview),
    (r"GET /executions/\{id\}/file\?", _file),
)


def find(table: Actions, action: str) -> Callable[[Step], Problems] | None:
    """What does the action, None when nothing here can."""
    return next((do for form, do in table if re.match(form, action)), None)
