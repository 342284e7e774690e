"""Flows that wait for others or look at an address, of which only a sentence says what must hold.

What such a flow listens to is run beside it, and what it asks of the internet is asked of a server
of the runner's own. Also set-ups of triggers that a case names.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml
from tests.conformance.actions import Problems, Step
from tests.conformance.cases import Case, JsonObject, identity_of
from tests.conformance.door import (
    END_TIMEOUT_S,
    Refused,
    state_of,
    trigger_variables,
    until,
)

#: Sentences that say that nothing starts, and one that says what does.
NOTHING = re.compile(r"no execution is created|can never complete")
WARNS = re.compile(r"warning logged")
ON_SUCCESS = re.compile(r"fires on any SUCCESS")
DISABLED = re.compile(r'trigger "([^"]+)" saved disabled=true')
#: After everything has ended, how long nothing must start.
SETTLED_S = 3.0
ANSWER = json.dumps({"id": "a1", "value": "words"}).encode()
PROBE = """id: {flow_id}
namespace: {namespace}
tasks:
  - {{id: only, type: io.kestra.plugin.core.{kind}}}
"""
PROBES = {"probe-works": "debug.Return", "probe-fails": "execution.Fail"}


def driver(case: Case) -> Callable[[Step], Problems] | None:
    """What to do about a case whose flow is only stored; None: nothing is known."""
    kinds = [str(one.get("type")) for one in _triggers(case)]
    notes = str(case.expected.get("notes", ""))
    if any(kind.endswith("http.Trigger") for kind in kinds):
        return _looks
    if any(kind.endswith((".Flow", "types.Flow")) for kind in kinds):
        return _hears if NOTHING.search(notes) or ON_SUCCESS.search(notes) else None
    return None


def prepared(step: Step) -> None:
    """Do what the case wants done before. Raises Refused."""
    match = DISABLED.search(str(step.case.row.get("setup", "")))
    if match is None:
        return
    until(lambda: _row(step, match[1]), bool, END_TIMEOUT_S)
    body = {**_key(step.case), "triggerId": match[1], "disabled": True}
    answer = step.door.call("PUT", "/triggers", json=body)
    if answer.status != 200:
        raise Refused("set-up", answer)


def undone(step: Step) -> Problems:
    """Whether the flow has undone what was prepared, as its case says."""
    match = DISABLED.search(str(step.case.row.get("setup", "")))
    if match is None:
        return
    row = until(
        lambda: _row(step, match[1]), lambda found: found.get("disabled") is False, END_TIMEOUT_S
    )
    if row.get("disabled") is not False:
        yield f"trigger {match[1]}: expected it to be enabled again, got {row}"


def _row(step: Step, trigger_id: str) -> JsonObject:
    path = f"/triggers/{step.case.namespace}/{step.case.flow_id}"
    rows = step.door.call("GET", path).document.get("results") or []
    return next((dict(row) for row in rows if row.get("triggerId") == trigger_id), {})


def _key(case: Case) -> JsonObject:
    return {"namespace": case.namespace, "flowId": case.flow_id}


def _triggers(case: Case) -> list[JsonObject]:
    return list(yaml.safe_load(case.source).get("triggers") or ())


def _looks(step: Step) -> Problems:
    """A flow with an HTTP trigger starts by what it finds."""
    case = step.case
    with _site() as url:
        source = re.sub(r"(uri:\s*)https?://[^/\s]+", rf"\g<1>{url}", case.source)
        answer = step.door.save(case.namespace, case.flow_id, source)
        if answer.status != 200:
            raise Refused("flow", answer)
        found = until(
            lambda: step.door.executions(case.namespace, case.flow_id), bool, END_TIMEOUT_S
        )
    if not found:
        yield "expected an execution by the trigger, got none"
        return
    variables = trigger_variables(found[0])
    wanted, unwanted = ("body", "encryptedBody")
    if "encryptedBody" in str(case.expected.get("notes")):
        wanted, unwanted = unwanted, wanted
    if not variables.get(wanted) or variables.get(unwanted):
        yield f"trigger: expected {wanted} and no {unwanted}, got {sorted(variables)}"


def _hears(step: Step) -> Problems:
    """A flow with a Flow trigger, while what it listens to runs to its end."""
    case, door = step.case, step.door
    notes = str(case.expected.get("notes"))
    known = len(door.executions(case.namespace, case.flow_id))
    sources = list(case.extra_sources.values()) or [
        PROBE.format(namespace=case.namespace, flow_id=flow_id, kind=kind)
        for flow_id, kind in PROBES.items()
    ]
    states = {}
    for source in sources:
        key = identity_of(source)
        door.save(*key, source)
        created = door.call("POST", f"/executions/{key[0]}/{key[1]}").document
        states[created["id"]] = state_of(door.reached(created["id"]))
    wanted = set() if NOTHING.search(notes) else {x for x, s in states.items() if s == "SUCCESS"}

    def started() -> set[Any]:
        found = door.executions(case.namespace, case.flow_id)[: -known or None]
        return {trigger_variables(one).get("executionId") for one in found}

    until(started, lambda found: found > wanted, SETTLED_S)
    if not started() >= wanted or (started() & states.keys()) != wanted:
        yield f"expected starts by {sorted(wanted)}, got {started()}"
    if WARNS.search(notes):
        path = f"/logs/search?namespace={case.namespace}&flowId={case.flow_id}&minLevel=WARN"
        if not until(lambda: door.call("GET", path).document.get("total"), bool):
            yield "expected a warning in the trigger's log, got none"
    for source in sources:
        door.stop(*identity_of(source))


@contextmanager
def _site() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
