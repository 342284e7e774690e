"""What a template may see, cut to what it refers to.

A job carries only this, so its size does not grow with the execution. Values are spliced in as
JSON text; nothing is parsed on the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from immutables import Map

from tiercel_engine.clock import iso_millis
from tiercel_engine.execution.loop_item import in_loop
from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_engine.expression.analysis import References
from tiercel_engine.flow.task import Task
from tiercel_schemas.common import Payload

#: How many enclosing task runs `parents` shows.
PARENTS_MAX = 100
#: A task that ran for more values than this shows a sibling only the run of the sibling's values:
#: a job's size must not grow with the number of values.
VALUED_RUNS_MAX = 200

#: The root variable that `tasksWithState` names beside `tasks`: it needs every run of each task.
ALL_STATES = "tasksWithState"
#: How the type of a schedule ends, as JSON.
SCHEDULE = b'.Schedule"'

JsonObject = dict[str, Any]
ValuePath = tuple[str, ...]


def job_variables(
    execution: Execution, plan: Plan, task: Task, run: TaskRun, refers: References
) -> JsonObject:
    """The variables of one task run. Values are `msgspec.Raw` JSON; encode, do not read.

    A value behind a claim check stands as `{"$claim": {uri, size_bytes, sha256}}`.
    """
    variables = flow_variables(execution, plan, refers, run.path)
    variables["task"] = {"id": task.id, "type": task.type}
    variables["taskrun"] = _task_run(run)
    if plan.is_in_folder(task.id) and _wants(refers, "workerTaskrun"):
        variables["workerTaskrun"] = _task_run(execution.task_runs[run.parent_id])
    if run.parent_id and _wants(refers, "parent", "parents"):
        parents = _parents(execution, run)
        if parents:
            variables["parents"] = parents
            variables["parent"] = parents[0]
    return variables


def flow_variables(
    execution: Execution, plan: Plan, refers: References, path: ValuePath = ()
) -> JsonObject:
    """The variables that do not depend on a task run; `path`: the values around the asker."""
    flow = plan.flow
    variables: JsonObject = {
        "flow": {
            "id": execution.flow_id,
            "namespace": execution.namespace,
            "revision": execution.flow_revision,
            "tenantId": execution.tenant,
        },
        "execution": {
            "id": execution.id,
            "startDate": iso_millis(execution.created_us),
            "originalId": execution.original_id,
            "state": execution.state,
        },
    }
    variables |= {name: text for name, text in plan.server.encoded.items() if _wants(refers, name)}
    if execution.outputs is not None and _wants(refers, "execution"):
        variables["execution"]["outputs"] = raw(execution.outputs)
    if execution.trace_parent is not None and _wants(refers, "trace"):
        variables["trace"] = {"parent": execution.trace_parent}
    if execution.errors and _wants(refers, "error", "errorLogs"):
        variables |= _errors(execution)
    if execution.is_ended:
        variables["execution"] |= _end(execution)
    if _wants(refers, "inputs") and not _is_empty(execution.inputs):
        variables["inputs"] = raw(execution.inputs)
    if _wants(refers, "trigger", "schedule") and not _is_empty(execution.trigger):
        variables |= _trigger(execution.trigger)
    if (flow.variables or execution.variables) and _wants(refers, "vars"):
        variables["vars"] = _vars(execution, plan)
    if execution.labels and _wants(refers, "labels"):
        variables["labels"] = _labels(execution)
    if execution.task_runs and _wants(refers, "outputs"):
        variables["outputs"] = _outputs(execution, refers, path)
    if execution.task_runs and _wants(refers, "tasks"):
        variables["tasks"] = {
            task_id: _state_of(execution, task_id, run_id, path, refers)
            for task_id, run_id in _selected(execution, refers, "tasks")
        }
    if execution.loop is None:
        return variables
    return in_loop(variables, execution.loop, lambda name: _wants(refers, name))


def task_outputs(execution: Execution, refers: References) -> JsonObject:
    """Outputs of tasks outside eaches, as far as they are referred to, by task id."""
    return _outputs(execution, refers, ()) if _wants(refers, "outputs") else {}


def decoded_vars(execution: Execution, plan: Plan, names: Iterable[str]) -> JsonObject:
    """The present values of these variables, those that there are."""
    values: JsonObject = {}
    for name in names:
        if name in execution.variables:
            text = execution.variables[name]
            if text is not None:
                values[name] = msgspec.json.decode(text)
        elif name in plan.flow.variables:
            values[name] = plan.flow.variables[name]
    return values


def _vars(execution: Execution, plan: Plan) -> Any:
    """The flow's variables, and over them those that tasks have set."""
    if not execution.variables:
        return msgspec.Raw(plan.vars_json().encode())
    values: JsonObject = dict(plan.flow.variables)
    for name, text in execution.variables.items():
        if text is None:
            values.pop(name, None)
        else:
            values[name] = msgspec.Raw(text.encode())
    return values


def _end(execution: Execution) -> JsonObject:
    """What only those see who run after the end."""
    view: JsonObject = {"endDate": iso_millis(execution.ended_us or execution.created_us)}
    if execution.outputs is not None:
        view["outputs"] = raw(execution.outputs)
    return view


def decoded(variables: JsonObject) -> JsonObject:
    """The same variables as values, for rendering in this process."""
    value: JsonObject = msgspec.json.decode(msgspec.json.encode(variables))
    return value


def sibling(x: Execution, run: TaskRun, task_id: str) -> TaskRun | None:
    """The newest run of another task of the same list, around the same values."""
    runs = x.valued_runs.get(task_id) if run.path else None
    found = x.runs_of_task.get(task_id) if runs is None else runs.get(run.path)
    other = x.task_runs.get(found) if found is not None else None
    return other if other is not None and other.parent_id == run.parent_id else None


def decoded_outputs(run: TaskRun) -> JsonObject:
    """A run's outputs as values; nothing when they are not in the log."""
    text = None if run.outputs is None else run.outputs.json
    value: JsonObject = {} if text is None else msgspec.json.decode(text)
    return value


def raw(payload: Payload | None) -> Any:
    """A payload as it stands in a job."""
    if payload is None:
        return {}
    if payload.claim is not None:
        return {"$claim": msgspec.to_builtins(payload.claim)}
    return msgspec.Raw((payload.json or "null").encode())


def _wants(refers: References, *roots: str) -> bool:
    return refers.dynamic or not refers.roots.isdisjoint(roots)


def _is_empty(payload: Payload) -> bool:
    return payload.json is None and payload.claim is None


def _selected(execution: Execution, refers: References, root: str) -> list[tuple[str, str]]:
    """(task id, task run id) of the tasks that `root.<task id>` is asked of."""
    names = set()
    for path in refers.paths:
        if path[0] == root:
            if len(path) == 1:
                return sorted(execution.runs_of_task.items(), key=lambda pair: pair[1])
            names.add(str(path[1]))
    if refers.dynamic:
        return sorted(execution.runs_of_task.items(), key=lambda pair: pair[1])
    found = []
    for name in sorted(names):
        run_id = execution.runs_of_task.get(name)
        if run_id is not None:
            found.append((name, run_id))
    return found


def _outputs(execution: Execution, refers: References, path: ValuePath) -> JsonObject:
    return {
        task_id: _outputs_of(execution, task_id, run_id, path)
        for task_id, run_id in _selected(execution, refers, "outputs")
    }


def _outputs_of(execution: Execution, task_id: str, run_id: str, path: ValuePath) -> Any:
    """A task's outputs; with eaches around it: value -> ... -> outputs, outermost first."""
    runs = execution.valued_runs.get(task_id)
    if runs is None:
        payload = execution.task_runs[run_id].outputs
        return {} if payload is None else raw(payload)
    nested: JsonObject = {}
    for values, valued_id in _near(runs, path):
        payload = execution.task_runs[valued_id].outputs
        place = nested
        for value in values[:-1]:
            place = place.setdefault(value, {})
        place[values[-1]] = {} if payload is None else raw(payload)
    return nested


def _near(runs: Map[ValuePath, str], path: ValuePath) -> Iterable[tuple[ValuePath, str]]:
    """The runs to show: all, or of very many only the one around the same values."""
    if len(runs) > VALUED_RUNS_MAX:
        for length in range(len(path), 0, -1):
            if path[:length] in runs:
                return ((path[:length], runs[path[:length]]),)
    return runs.items()


def _state_of(
    execution: Execution, task_id: str, run_id: str, path: ValuePath, refers: References
) -> JsonObject:
    """`{state}`; inside an each: value of the run -> `{state}`, as in Kestra not nested."""
    runs = execution.valued_runs.get(task_id)
    if runs is None:
        run = execution.task_runs[run_id]
        state = {"state": run.state}
        return state if run.value is None else {run.value: state}
    shown = runs.items() if ALL_STATES in refers.roots else _near(runs, path)
    return {values[-1]: {"state": execution.task_runs[run].state} for values, run in shown}


def _errors(execution: Execution) -> JsonObject:
    """`error`: the last failure; `errorLogs`: all that are remembered, oldest first."""
    lines = [
        {
            "namespace": execution.namespace,
            "flowId": execution.flow_id,
            "taskId": line.task_id,
            "executionId": execution.id,
            "taskRunId": line.task_run_id,
            "attemptNumber": line.attempt - 1,
            "timestamp": iso_millis(line.at_us),
            "level": "ERROR",
            "message": line.message,
        }
        for line in execution.errors
    ]
    last = execution.errors[-1]
    error = {"taskId": last.task_id, "message": last.message, "stackTrace": last.message}
    return {"error": error, "errorLogs": lines}


def _task_run(run: TaskRun) -> JsonObject:
    view: JsonObject = {
        "id": run.id,
        "startDate": iso_millis(run.created_us),
        "attemptsCount": max(run.attempt - 1, 0),
    }
    if run.parent_id:
        view["parentId"] = run.parent_id
    if run.value is not None:
        view["value"] = run.value
    if run.iteration is not None:
        view["iteration"] = run.iteration
    return view


def _parents(execution: Execution, run: TaskRun) -> list[JsonObject]:
    """Nearest first; only ancestors that have a value or outputs."""
    parents: list[JsonObject] = []
    parent_id = run.parent_id
    while parent_id and len(parents) < PARENTS_MAX:
        parent = execution.task_runs[parent_id]
        view: JsonObject = {}
        if parent.value is not None:
            view["taskrun"] = {"value": parent.value}
        if parent.outputs is not None:
            view["outputs"] = raw(parent.outputs)
        if view:
            parents.append(view)
        parent_id = parent.parent_id
    return parents


def _labels(execution: Execution) -> JsonObject:
    """First of duplicates wins; `system.x` stands under `system`."""
    labels: JsonObject = {}
    for label in execution.labels:
        prefix, dot, rest = label.key.partition(".")
        if dot and prefix == "system":
            labels.setdefault("system", {}).setdefault(rest, label.value)
        else:
            labels.setdefault(label.key, label.value)
    return labels


def _trigger(payload: Payload) -> JsonObject:
    """`trigger`: what stands under `variables` in its JSON object; after a schedule `schedule`."""
    if payload.claim is not None:
        claim = {"$claim": msgspec.to_builtins(payload.claim), "$member": "variables"}
        return {"trigger": claim}
    trigger = msgspec.json.decode(payload.json or "{}", type=dict[str, msgspec.Raw])
    values: Any = trigger.get("variables", {})
    if bytes(trigger.get("type", b"")).endswith(SCHEDULE):
        return {"trigger": values, "schedule": values}
    return {"trigger": values}
