"""The HTTP door of the server under test: short calls, every wait bounded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from tests.conformance.cases import Case, JsonObject

from tiercel_schemas.state import is_terminated

#: One call, the longest wait for an execution, and how long rows may take to appear.
CALL_TIMEOUT_S = 20.0
END_TIMEOUT_S = 30.0
SETTLE_TIMEOUT_S = 3.0
POLL_S = 0.1
#: A listing asks for as many rows.
PAGE_ROWS = 100


class Hung(Exception):
    """An execution did not reach the state that was waited for; it was killed."""


class Refused(Exception):
    """The server refused to store a flow or to start it. `answer` says why."""

    def __init__(self, what: str, answer: Answer) -> None:
        super().__init__(f"{what} refused, {answer.status}: {answer.message[:300]}")
        self.answer = answer


@dataclass(frozen=True)
class Answer:
    """A response: its status, text, and JSON when it is some."""

    status: int
    text: str
    body: Any

    @property
    def document(self) -> JsonObject:
        return self.body if isinstance(self.body, dict) else {}

    @property
    def message(self) -> str:
        """The error's message and those of its parts."""
        errors = (self.document.get("_embedded") or {}).get("errors") or []
        parts = [str(one.get("message")) for one in errors]
        return "\n".join([str(self.document.get("message", self.text)), *parts])


class Door:
    """Calls one server. Used by several threads."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, **options: Any) -> Answer:
        """`path` stands below /api/v1."""
        response = requests.request(
            method, f"{self.url}/api/v1{path}", timeout=CALL_TIMEOUT_S, **options
        )
        try:
            body = response.json()
        except ValueError:
            body = None
        return Answer(response.status_code, response.text, body)

    # -- flows ---------------------------------------------------------------------------------

    def save(self, namespace: str, flow_id: str, source: str) -> Answer:
        """Store a flow, new or known."""
        options = {"data": source.encode(), "headers": {"Content-Type": "application/x-yaml"}}
        is_known = self.call("GET", f"/flows/{namespace}/{flow_id}").status == 200
        if is_known:
            return self.call("PUT", f"/flows/{namespace}/{flow_id}", **options)
        return self.call("POST", "/flows", **options)

    # -- executions ----------------------------------------------------------------------------

    def start(self, case: Case, query: str = "") -> Answer:
        """Start the case's flow with its inputs."""
        files: list[tuple[str, Any]] = [(name, (None, text)) for name, text in case.texts.items()]
        files += [(name, (up.filename, up.content)) for name, up in case.uploads.items()]
        path = f"/executions/{case.namespace}/{case.flow_id}"
        return self.call("POST", path + query, **({"files": files} if files else {}))

    def started(self, case: Case, query: str = "") -> JsonObject:
        """The execution as just created. Raises Refused."""
        answer = self.start(case, query)
        if answer.status != 200:
            raise Refused("start", answer)
        return answer.document

    def execution(self, execution_id: str) -> JsonObject:
        return self.call("GET", f"/executions/{execution_id}").document

    def reached(self, execution_id: str, states: tuple[str, ...] = ()) -> JsonObject:
        """The execution once it has ended, or is in one of `states`. Raises Hung."""

        def holds(document: JsonObject) -> bool:
            state = state_of(document)
            return is_terminated(state) or state in states

        found: JsonObject = until(lambda: self.execution(execution_id), holds, END_TIMEOUT_S)
        if not holds(found):
            self.call("DELETE", f"/executions/{execution_id}/kill")
            raise Hung(f"{state_of(found) or 'gone'} after {END_TIMEOUT_S:.0f} s {progress(found)}")
        return found

    def executions(self, namespace: str, flow_id: str) -> list[JsonObject]:
        """Those of a flow, newest first."""
        query = f"?namespace={namespace}&flowId={flow_id}&size={PAGE_ROWS}"
        return list(self.call("GET", f"/executions{query}").document.get("results") or [])

    def children(self, parent_id: str, namespace: str, flow_id: str) -> list[JsonObject]:
        """Executions of a flow that an execution started."""
        found = self.executions(namespace, flow_id)
        return [e for e in found if trigger_variables(e).get("executionId") == parent_id]

    def logs(self, execution_id: str) -> list[JsonObject]:
        return list(self.call("GET", f"/logs/{execution_id}").body or [])

    def file(self, execution_id: str, uri: str) -> str:
        return self.call("GET", f"/executions/{execution_id}/file", params={"path": uri}).text

    def stop(self, namespace: str, flow_id: str) -> None:
        """Kill what still runs of a flow, then delete the flow."""
        for execution in self.executions(namespace, flow_id):
            if not is_terminated(state_of(execution)):
                self.call("DELETE", f"/executions/{execution['id']}/kill")
        self.call("DELETE", f"/flows/{namespace}/{flow_id}")


def until(
    look: Callable[[], Any], holds: Callable[[Any], bool], timeout_s: float = SETTLE_TIMEOUT_S
) -> Any:
    """What `look` sees once it `holds`, or what it saw last."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if holds(seen) or time.monotonic() >= deadline:
            return seen
        time.sleep(POLL_S)


def state_of(document: Mapping[str, Any]) -> str:
    return str((document.get("state") or {}).get("current", ""))


def task_runs(document: Mapping[str, Any]) -> list[JsonObject]:
    return list(document.get("taskRunList") or [])


def states_of(document: Mapping[str, Any]) -> list[str]:
    """The states that an execution or task run went through."""
    return [str(one["state"]) for one in (document.get("state") or {}).get("histories") or []]


def trigger_variables(document: Mapping[str, Any]) -> JsonObject:
    return dict((document.get("trigger") or {}).get("variables") or {})


def progress(document: Mapping[str, Any]) -> str:
    """Task runs and their states, for a report."""
    return "[" + ", ".join(f"{run['taskId']} {state_of(run)}" for run in task_runs(document)) + "]"
