"""What must hold of an execution: one function per key of a case's `expected`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.conformance.cases import JsonObject
from tests.conformance.door import (
    Door,
    progress,
    state_of,
    states_of,
    task_runs,
    trigger_variables,
)
from tests.conformance.matching import Matcher, shown

Problems = Iterator[str]

#: Keys that say something to people, or that another part of the runner reads.
UNCHECKED = frozenset({"notes", "timing"})
ELSEWHERE = frozenset({"graph", "http", "error_contains", "validation_errors"})


def matcher_of(door: Door, document: JsonObject) -> Matcher:
    """Compares values of this execution."""
    execution_id = str(document.get("id", ""))
    names = dict.fromkeys(("<execution id>", "<parent id>"), execution_id)
    labels = [run["id"] for run in task_runs(document) if run["taskId"] == "labels"]
    if labels:
        names["<task run id of labels>"] = labels[0]
    return Matcher(names, lambda uri: door.file(execution_id, uri))


def execution_problems(door: Door, document: JsonObject, expected: JsonObject) -> list[str]:
    """Everything in `expected` that does not hold of the execution."""
    matcher = matcher_of(door, document)
    found: list[str] = []
    for key, value in expected.items():
        check = CHECKS.get(key)
        if check is not None:
            found += check(door, matcher, document, value)
        elif key not in UNCHECKED | ELSEWHERE:
            found.append(f"the runner does not know the expectation {key!r}")
    return found


def _state(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    if state_of(document) != expected:
        yield f"state: expected {expected}, got {state_of(document)} {progress(document)}"


def _count(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    if len(task_runs(document)) != expected:
        yield (
            f"task run count: expected {expected}, got {len(task_runs(document))} "
            f"{progress(document)}"
        )


def _count_min(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    if len(task_runs(document)) < expected:
        yield f"task run count: expected at least {expected}, got {len(task_runs(document))}"


def _task_runs(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    for one in expected:
        candidates = _candidates(document, one)
        if not candidates:
            yield f"task run {_name(one)}: expected one, got none in {progress(document)}"
            continue
        verdicts = [list(run_problems(matcher, run, one)) for run in candidates]
        yield from min(verdicts, key=len)


def _candidates(document: JsonObject, expected: JsonObject) -> list[JsonObject]:
    runs = task_runs(document)
    if "index" in expected:
        index = expected["index"]
        return [runs[index]] if -len(runs) <= index < len(runs) else []
    found = [run for run in runs if run["taskId"] == expected["task_id"]]
    if "value" in expected:
        found = [run for run in found if values_of(document, run) == expected["value"]]
    return found


def values_of(document: JsonObject, run: JsonObject) -> list[str]:
    """The each-values of a task run, outermost first, its own last."""
    parents = {one["id"]: one for one in task_runs(document)}
    values: list[str] = []
    current: JsonObject | None = run
    while current is not None:
        if current.get("value") is not None:
            values.insert(0, current["value"])
        current = parents.get(current.get("parentTaskRunId", ""))
    return values


def _name(expected: JsonObject) -> str:
    parts = [str(expected[key]) for key in ("index", "task_id", "value") if key in expected]
    return " ".join(parts)


def run_problems(matcher: Matcher, run: JsonObject, expected: JsonObject) -> Problems:
    """What does not hold of one task run."""
    where = f"task run {_name(expected)}"
    attempts = run.get("attempts") or []
    first = attempts[0] if attempts else {}
    actual = {
        "task_id": run["taskId"],
        "state": state_of(run),
        "attempts_count": len(attempts),
        "attempt0_state": state_of(first),
        "attempt0_logFile": first.get("logFile"),
        "outputs": run.get("outputs") or {},
        "histories_count": len(states_of(run)),
        "states": states_of(run),
        "iteration": run.get("iteration"),
    }
    for key, value in expected.items():
        if key in ("index", "value") or (key == "task_id" and "index" not in expected):
            continue
        if key == "attempts_count_min":
            if len(attempts) < value:
                yield f"{where} attempts: expected at least {value}, got {len(attempts)}"
        elif key not in actual:
            yield f"the runner does not know the expectation {key!r} of a task run"
        elif key == "attempts_count" and len(attempts) != value:
            yield f"{where} attempts: expected {value}, got {len(attempts)}"
        else:
            yield from matcher.problems(f"{where} {key}", value, actual[key])


def _histories(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    runs = task_runs(document)
    index = expected["index"]
    states = states_of(runs[index]) if index < len(runs) else []
    for state, count in expected.items():
        if state != "index" and states.count(state) != count:
            yield f"history of task run {index}: expected {count} {state}, got {states}"


def _labels(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    labels = {one["key"]: one["value"] for one in document.get("labels") or []}
    yield from matcher.problems("labels", expected, labels)


def _flow_outputs(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    outputs = document.get("outputs") or {}
    yield from matcher.problems("flow outputs", expected, outputs)
    if outputs.keys() - expected.keys():
        yield f"flow outputs: expected {shown(expected)}, got {shown(outputs)}"


def _inputs(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    inputs = document.get("inputs") or {}
    yield from matcher.problems("inputs", expected, inputs)
    for name in expected.keys() - inputs.keys():
        if expected[name] is None:
            yield f"inputs.{name}: expected null, got nothing"


def _logs(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    entries = door.logs(document["id"])
    for wanted in expected:
        if not any(_is_line(matcher, entry, wanted) for entry in entries):
            messages = [entry.get("message") for entry in entries]
            yield f"logs: expected {shown(wanted)}, got {shown(messages)}"


def _is_line(matcher: Matcher, entry: JsonObject, wanted: JsonObject) -> bool:
    message = str(entry.get("message", ""))
    return (
        entry.get("level") == wanted.get("level", entry.get("level"))
        and message.endswith(wanted.get("endswith", ""))
        and matcher.fits(wanted.get("equals", wanted.get("message", message)), message)
    )


def _subflow(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    flow_id = expected["flow_id"]
    children = door.children(document["id"], document["namespace"], flow_id)
    if len(children) != expected.get("count", 1):
        yield f"executions of {flow_id}: expected {expected.get('count', 1)}, got {len(children)}"
    for child in children:
        wanted = {key: expected[key] for key in ("state", "taskrun_count") if key in expected}
        yield from (f"subflow {p}" for p in execution_problems(door, child, wanted))
        if "labels_exact_set" in expected:
            yield from _exact_labels(matcher, child, expected["labels_exact_set"])


def _exact_labels(matcher: Matcher, child: JsonObject, expected: Any) -> Problems:
    actual = sorted(child.get("labels") or [], key=lambda label: str(label["key"]))
    wanted = sorted(expected, key=lambda label: str(label["key"]))
    if not matcher.fits(wanted, actual):
        yield f"labels of the subflow: expected {shown(wanted)}, got {shown(actual)}"


def _attempts(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    wanted = [{"index": int(i), "attempts_count": count} for i, count in expected.items()]
    yield from _task_runs(door, matcher, document, wanted)


def _all_task_runs(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    if {state_of(run) for run in task_runs(document)} - {expected}:
        yield f"task runs: expected all {expected}, got {progress(document)}"


def _first_three(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    if {state_of(run) for run in task_runs(document)[:3]} != {expected}:
        yield f"first task runs: expected {expected}, got {progress(document)}"


def _states_count(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    if len(states_of(document)) != expected:
        yield f"history: expected {expected} states, got {states_of(document)}"


def _parent(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    if not document.get("parentId"):
        yield "parentId: expected one, got none"


def _trigger(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    yield from matcher.problems("trigger.variables", expected, trigger_variables(document))


def _trigger_flow(door: Door, matcher: Matcher, document: JsonObject, expected: Any) -> Problems:
    wanted = {"flowId": expected}
    yield from matcher.problems("trigger.variables", wanted, trigger_variables(document))


CHECKS: dict[str, Callable[[Door, Matcher, JsonObject, Any], Problems]] = {
    "state": _state,
    "taskrun_count": _count,
    "taskrun_count_min": _count_min,
    "taskruns": _task_runs,
    "histories": _histories,
    "histories_count": _states_count,
    "labels": _labels,
    "flow_outputs": _flow_outputs,
    "inputs_out": _inputs,
    "logs": _logs,
    "subflow": _subflow,
    "attempts_count": _attempts,
    "all_taskruns": _all_task_runs,
    "first3": _first_three,
    "parentId": _parent,
    "trigger.variables": _trigger,
    "trigger.variables.flowId": _trigger_flow,
}
