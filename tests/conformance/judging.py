"""Runs one case against a server and says how it went.

The flow and its companions are stored, the flow is refused, drawn or run as the case says, its
action is done, and everything expected is compared. Nothing is left behind but ended executions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests
from tests.conformance import listening, peer_tasks
from tests.conformance.actions import ACTIONS, Step, find, status_problems
from tests.conformance.cases import Case, JsonObject, identity_of
from tests.conformance.checks import UNCHECKED, execution_problems
from tests.conformance.door import (
    END_TIMEOUT_S,
    Answer,
    Door,
    Hung,
    Refused,
    state_of,
    until,
)
from tests.conformance.starts import START

from tiercel_schemas.state import is_terminated

PASS, FAIL, NOT_RUN = "pass", "FAIL", "not run"
NO_ANSWER = "the server did not answer"
#: Keys that ask for no execution.
STATIC = UNCHECKED | {"graph", "validation_errors"}
#: Settings of the peer that a case may name and that change nothing here.
IGNORED_CONFIG = frozenset({"kestra.templates.enabled"})
#: What is expected of the peer's limits that are none here.
BY_DESIGN = re.compile(r"1 MiB queue message limit|Message of size")
ENCRYPTION_KEY = "kestra.encryption.secret-key"


@dataclass(frozen=True)
class Outcome:
    """How a case went. `errors`: what failed attempts logged, for finding the cause."""

    case: Case
    verdict: str
    problems: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def is_answered(self) -> bool:
        """Whether the server answered to the end."""
        return not self.problems or not self.problems[0].startswith(NO_ANSWER)

    def line(self) -> str:
        text = "; ".join(self.problems).replace("\n", " | ")
        return f"{self.verdict:7} {self.case.name}" + (f": {text}" if text else "")


class NotRun(Exception):
    """The runner cannot run the case."""


def judge(door: Door, case: Case, settings: frozenset[str] = frozenset()) -> Outcome:
    """Run the case. `settings`: those of the wanted ones that the server has."""
    try:
        return _judged(_Trial(door, case), case, settings)
    except requests.RequestException as error:
        return Outcome(case, FAIL, (f"{NO_ANSWER}: {error}",))


def _judged(trial: _Trial, case: Case, settings: frozenset[str]) -> Outcome:
    try:
        _check_runnable(case, settings)
        problems = list(trial.problems())
    except NotRun as error:
        trial.clean()
        return Outcome(case, NOT_RUN, (str(error),))
    except (Hung, Refused) as error:
        problems = [f"hangs: {error}" if isinstance(error, Hung) else str(error)]
    try:
        errors = tuple(trial.errors()) if problems else ()
    finally:
        trial.clean()
    return Outcome(case, FAIL if problems else PASS, tuple(problems), errors)


def _check_runnable(case: Case, settings: frozenset[str]) -> None:
    """Raises NotRun for what this runner cannot bring about."""
    missing = sorted(set(case.row.get("requires_test_plugin", ())) - peer_tasks.NAMES)
    if missing:
        raise NotRun(f"needs a task type of the peer's tests {missing}")
    if case.is_contradicted:
        raise NotRun("must be refused here, and run in other cases of the same file")
    if BY_DESIGN.search(f"{case.expected.get('notes')} {case.expected.get('error_contains')}"):
        raise NotRun("a limit of the peer's queue: here large values go to internal storage")
    if case.row.get("setup") and not listening.DISABLED.search(str(case.row["setup"])):
        raise NotRun(f"needs a set-up by hand: {case.row['setup']}")
    for name in case.row.get("config", {}):
        if name == ENCRYPTION_KEY and "encryption_key" in settings:
            raise NotRun("needs a server without encryption key")
        if name != ENCRYPTION_KEY and name not in IGNORED_CONFIG:
            raise NotRun(f"needs the setting {name}")
    if case.action and not (find(ACTIONS, case.action) or find(START, case.action)):
        raise NotRun(f"no driver for the action {case.action!r}")


class _Trial:
    """One case under way."""

    def __init__(self, door: Door, case: Case) -> None:
        self._door = door
        self._case = case
        self._expected = case.expected
        self._stored: list[tuple[str, str]] = []
        self._execution: JsonObject = {}

    def problems(self) -> Iterator[str]:
        """Everything that does not hold."""
        for source in self._case.extra_sources.values():
            self._save(identity_of(source), source)
        if self._is_flow_refused():
            yield from self._refusal()
            return
        self._save((self._case.namespace, self._case.flow_id), self._case.source)
        listening.prepared(self._step())
        if not self._is_checkable():
            listen = listening.driver(self._case)
            if listen is None:
                raise NotRun("the flow is stored; the rest is told to people only")
            yield from listen(self._step())
            return
        if "graph" in self._expected:
            yield from self._graph()
        do = None if find(ACTIONS, self._case.action) else find(START, self._case.action)
        if do is not None:
            yield from do(self._step())
        elif self._is_executed():
            yield from self._run()
            yield from listening.undone(self._step())

    def errors(self) -> Iterator[str]:
        """What the execution logged at ERROR."""
        if self._execution:
            for entry in self._door.logs(self._execution["id"]):
                if entry.get("level") == "ERROR":
                    yield str(entry.get("message"))

    def clean(self) -> None:
        for namespace, flow_id in self._stored:
            self._door.stop(namespace, flow_id)

    # -- what kind of case ---------------------------------------------------------------------

    def _is_checkable(self) -> bool:
        return "graph" in self._expected or self._is_executed()

    def _is_executed(self) -> bool:
        others = ("executions", "executions_terminal_states", "triggered")
        return bool(
            set(self._expected) - STATIC
            or self._case.action
            or any(key in self._case.row for key in others)
        )

    def _is_flow_refused(self) -> bool:
        """Whether storing it must fail: errors are expected, but no call and no inputs."""
        is_bare = not self._case.row.get("inputs") and not self._case.action
        return "validation_errors" in self._expected or (
            "error_contains" in self._expected and is_bare and "http" not in self._expected
        )

    # -- flows ---------------------------------------------------------------------------------

    def _save(self, key: tuple[str, str], source: str) -> None:
        answer = self._door.save(*key, source)
        if answer.status != 200:
            raise Refused(f"flow {key[1]}", answer)
        self._stored.append(key)

    def _refusal(self) -> Iterator[str]:
        key = (self._case.namespace, self._case.flow_id)
        answer = self._door.save(*key, self._case.source)
        if answer.status == 200:
            self._stored.append(key)
            yield "flow: expected it to be refused, but it was stored"
            return
        found = len((answer.document.get("_embedded") or {}).get("errors") or [])
        wanted = self._expected.get("validation_errors", found)
        if found != wanted:
            yield f"flow: expected {wanted} violations, got {found}: {answer.message[:200]!r}"
        yield from self._texts("flow", answer)

    def _texts(self, what: str, answer: Answer) -> Iterator[str]:
        for text in self._expected.get("error_contains", ()):
            if text not in answer.message:
                yield f"{what}: expected the message {text!r}, got {answer.message[:240]!r}"

    def _graph(self) -> Iterator[str]:
        expected = self._expected["graph"]
        path = f"/flows/{self._case.namespace}/{self._case.flow_id}/graph"
        if "with an execution" in str(self._expected.get("notes", "")):
            execution = self._door.reached(self._door.started(self._case)["id"])
            path = f"/executions/{execution['id']}/graph"
        elif "nodes" not in expected:
            raise NotRun("a graph with subflows expanded")
        answer = self._door.call("GET", path)
        yield from status_problems("graph", answer, 200)
        for part in ("nodes", "edges", "clusters"):
            found = len(answer.document.get(part) or [])
            if answer.status == 200 and found != expected.get(part, found):
                yield f"graph: expected {expected[part]} {part}, got {found}"

    # -- executions ----------------------------------------------------------------------------

    def _step(self) -> Step:
        return Step(self._door, self._case, self._execution)

    def _run(self) -> Iterator[str]:
        queries = {k: v for k, v in self._http().items() if "=" in k or "+" in k}
        if queries:
            yield from self._queries(queries)
            return
        answer = self._door.start(self._case)
        is_refused = "error_contains" in self._expected or (
            "status" in self._http() and not self._case.action
        )
        if is_refused:
            yield from self._start_refusal(answer)
            return
        if answer.status != 200:
            raise Refused("start", answer)
        self._execution = answer.document
        yield from self._end()

    def _http(self) -> JsonObject:
        return dict(self._expected.get("http", {}))

    def _start_refusal(self, answer: Answer) -> Iterator[str]:
        if answer.status == 200:
            self._execution = answer.document
        if "status" in self._http():
            yield from status_problems("start", answer, self._http()["status"])
        elif answer.status < 400:
            yield f"start: expected a refusal, got {answer.status}"
        yield from self._texts("start", answer)
        contained = self._http().get("body_contains", ())
        for text in [contained] if isinstance(contained, str) else contained:
            if text not in answer.text:
                yield f"start: expected {text!r} in the answer, got {answer.message[:240]!r}"

    def _queries(self, queries: JsonObject) -> Iterator[str]:
        """Statuses of refused query strings, of the start (labels) or of a search (the rest)."""
        for query, status in queries.items():
            if query.startswith("labels="):
                answer = self._door.start(self._case, f"?{query}")
            else:
                texts = {"startDate+timeRange": "startDate=2024-01-01T00:00:00Z&timeRange=PT1H"}
                path = f"/executions/search?{texts.get(query, query)}"
                answer = self._door.call("GET", path)
            yield from status_problems(query, answer, status)

    def _end(self) -> Iterator[str]:
        wanted = self._expected.get("state")
        states = () if wanted is None or is_terminated(wanted) else (wanted,)
        execution_id = self._execution["id"]
        self._execution = self._door.reached(execution_id, states)
        act = find(ACTIONS, self._case.action)
        # Labels are what the action is to set.
        expected = {k: v for k, v in self._expected.items() if not (act and k == "labels")}
        if "subflow" in expected:
            expected["subflow"] = {"flow_id": self._subflow_id(), **expected["subflow"]}

        def look() -> list[str]:
            self._execution = self._door.execution(execution_id)
            return execution_problems(self._door, self._execution, expected)

        yield from until(look, _is_empty)
        yield from self._others()
        if act is not None:
            yield from act(self._step())

    def _subflow_id(self) -> str:
        names = [identity_of(source)[1] for source in self._case.extra_sources.values()]
        return names[0] if names else ""

    def _others(self) -> Iterator[str]:
        """Executions that the case's own one starts."""
        if "executions_terminal_states" in self._case.row:
            yield from self._terminal_states(self._case.row["executions_terminal_states"])
        for flow_id, expected in self._case.row.get("triggered", {}).items():
            yield from self._triggered(flow_id, expected)

    def _terminal_states(self, wanted: list[str]) -> Iterator[str]:
        """Every execution of the flow since this one, itself included."""

        def look() -> Counter[str]:
            found = self._door.executions(self._case.namespace, self._case.flow_id)
            return Counter(state_of(one) for one in found if one["id"] >= self._execution["id"])

        found = until(look, lambda states: bool(states == Counter(wanted)), END_TIMEOUT_S)
        if found != Counter(wanted):
            states = sorted(found.elements())
            yield f"executions of the flow: expected {sorted(wanted)}, got {states}"

    def _triggered(self, flow_id: str, expected: JsonObject) -> Iterator[str]:
        parent_id = self._execution["id"]

        def look() -> list[str]:
            found = self._door.children(parent_id, self._case.namespace, flow_id)
            if not found:
                return [f"executions of {flow_id}: expected one by the trigger, got none"]
            named = _with_parent(expected, parent_id)
            return execution_problems(self._door, found[0], named)

        yield from (f"{flow_id}: {p}" for p in until(look, _is_empty, END_TIMEOUT_S / 2))


def _is_empty(problems: list[str]) -> bool:
    return not problems


def _with_parent(value: Any, parent_id: str) -> Any:
    """The expectation with the parent's id in place of its placeholder."""
    if isinstance(value, str):
        return value.replace("<parent id>", parent_id)
    if isinstance(value, dict):
        return {key: _with_parent(one, parent_id) for key, one in value.items()}
    return [_with_parent(one, parent_id) for one in value] if isinstance(value, list) else value
