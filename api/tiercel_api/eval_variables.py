"""The variables of an expression, built from an execution's document.

The same names that a task of the execution sees while it runs. Pure: what lies behind a claim
check is fetched by a function that comes in, when an expression asks for it and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tiercel_engine.errors import NotFound
from tiercel_engine.expression.server import ServerVariables
from tiercel_engine.flow.input_types import SecretInput
from tiercel_engine.flow.model import Flow

#: What stands for a secret wherever it would be seen.
MASK = "********"
#: How many enclosing task runs `parents` shows.
PARENTS_MAX = 100

JsonObject = dict[str, Any]
_CLAIM = "$claim"


@dataclass(frozen=True, slots=True)
class Deferred:
    """A value in storage. `claim`: uri, size_bytes, sha256; `secrets`: inputs to be masked in it;
    `member`: the one member of it that is meant."""

    claim: JsonObject
    member: str | None = None
    secrets: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        return int(self.claim["size_bytes"])


#: Gives the value behind a claim check (uri, size_bytes, sha256).
Fetch = Callable[[JsonObject], Any]


class LazyMap(Mapping[str, Any]):
    """A map some of whose values are `Deferred`, at any depth of maps, and fetched at first use."""

    def __init__(self, data: JsonObject, fetch: Fetch) -> None:
        self._data = data
        self._fetch = fetch

    def __getitem__(self, key: str) -> Any:
        value = self._data[key]
        if isinstance(value, Deferred):
            value = self._data[key] = self._fetched(value)
        return LazyMap(value, self._fetch) if type(value) is dict else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def peek(self, key: str) -> Any:
        """The value, or `Deferred` when it was not asked for yet."""
        value = self._data[key]
        return LazyMap(value, self._fetch) if type(value) is dict else value

    def _fetched(self, deferred: Deferred) -> Any:
        value = self._fetch(deferred.claim)
        if deferred.member is not None:
            value = value.get(deferred.member) or {}
        return _masked(value, deferred.secrets) if deferred.secrets else value


def variables_of(
    document: JsonObject,
    flow: Flow,
    tenant: str,
    fetch: Fetch,
    task_run_id: str | None = None,
    server: ServerVariables | None = None,
    errors: list[JsonObject] | None = None,
) -> Mapping[str, Any]:
    """What an expression sees in an execution, or in one of its task runs.

    `document`: as the read model keeps it, claim checks in it as `{"$claim": …}`; `errors`: its
    log lines of level ERROR, oldest first.

    Raises:
        NotFound: the execution has no such task run.
    """
    runs = {run["id"]: run for run in document.get("taskRunList") or ()}
    variables = (server or ServerVariables()).values() | _of_execution(document, flow, tenant)
    if errors:
        message, task_id = errors[-1].get("message"), errors[-1].get("taskId")
        error = {"taskId": task_id, "message": message, "stackTrace": message}
        variables |= {"error": error, "errorLogs": errors}
    if runs:
        variables["outputs"] = _outputs(runs)
        variables["tasks"] = _tasks(runs)
    if task_run_id is not None:
        if task_run_id not in runs:
            raise NotFound(f"Expected a task run of this execution, but it was {task_run_id!r}.")
        variables |= _of_task_run(runs, runs[task_run_id], flow, fetch)
    return LazyMap(variables, fetch)


def _of_execution(document: JsonObject, flow: Flow, tenant: str) -> JsonObject:
    variables: JsonObject = {
        "flow": {
            "id": document["flowId"],
            "namespace": document["namespace"],
            "revision": document["flowRevision"],
            "tenantId": tenant,
        },
        "execution": {
            "id": document["id"],
            "startDate": document["state"]["startDate"],
            "originalId": document.get("originalId", document["id"]),
            "state": document["state"]["current"],
        },
    }
    if document.get("inputs"):
        secrets = tuple(i.id for i in flow.inputs if isinstance(i, SecretInput))
        variables["inputs"] = _inputs(document["inputs"], secrets)
    if document.get("outputs"):
        variables["execution"]["outputs"] = _value(document["outputs"])
    if document["state"].get("endDate"):
        variables["execution"]["endDate"] = document["state"]["endDate"]
    if document.get("trigger"):
        variables["trigger"] = _trigger(document["trigger"])
        if str(document["trigger"].get("type", "")).endswith(".Schedule"):
            variables["schedule"] = variables["trigger"]
    if flow.variables:
        variables["vars"] = flow.variables
    if document.get("labels"):
        variables["labels"] = _labels(document["labels"])
    return variables


def _inputs(inputs: Any, secrets: tuple[str, ...]) -> Any:
    value = _value(inputs)
    if isinstance(value, Deferred):
        return Deferred(value.claim, secrets=secrets)
    return _masked(value, secrets)


def _masked(inputs: JsonObject, secrets: tuple[str, ...]) -> JsonObject:
    """Inputs with those of type SECRET hidden; dotted ids are nested."""
    for secret in secrets:
        *path, name = secret.split(".")
        holder: Any = inputs
        for part in path:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and holder.get(name) is not None:
            holder[name] = MASK
    return inputs


def _trigger(trigger: JsonObject) -> Any:
    """The trigger's variables."""
    value = _value(trigger)
    if isinstance(value, Deferred):
        return Deferred(value.claim, member="variables")
    return value.get("variables") or {}


def _labels(labels: list[JsonObject]) -> JsonObject:
    """First of duplicates wins; `system.x` stands under `system`."""
    found: JsonObject = {}
    for label in labels:
        prefix, dot, rest = label["key"].partition(".")
        if dot and prefix == "system":
            found.setdefault("system", {}).setdefault(rest, label["value"])
        else:
            found.setdefault(label["key"], label["value"])
    return found


def _tasks(runs: Mapping[str, JsonObject]) -> JsonObject:
    """States by task id; inside an each by the run's value."""
    tasks: JsonObject = {}
    for run in runs.values():
        state = {"state": run["state"]["current"]}
        if run.get("value") is None:
            tasks[run["taskId"]] = state
        else:
            tasks.setdefault(run["taskId"], {})[run["value"]] = state
    return tasks


def _outputs(runs: Mapping[str, JsonObject]) -> JsonObject:
    """Outputs by task id; with eaches around it: value -> ... -> outputs, outermost first."""
    outputs: JsonObject = {}
    paths: dict[str, tuple[str, ...]] = {}
    for run in runs.values():
        path = paths.get(run.get("parentTaskRunId", ""), ())
        if run.get("value") is not None:
            path = (*path, run["value"])
        paths[run["id"]] = path
        value = _value(run.get("outputs") or {})
        if not path:
            outputs[run["taskId"]] = value
            continue
        place = outputs.setdefault(run["taskId"], {})
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = value
    return outputs


def _of_task_run(
    runs: Mapping[str, JsonObject], run: JsonObject, flow: Flow, fetch: Fetch
) -> JsonObject:
    task = flow.task(run["taskId"])
    view: JsonObject = {
        "id": run["id"],
        "startDate": run["state"]["startDate"],
        "attemptsCount": max(len(run.get("attempts") or ()) - 1, 0),
    }
    for name, key in (("parentId", "parentTaskRunId"), ("value", "value"), ("iteration",) * 2):
        if run.get(key) is not None:
            view[name] = run[key]
    variables: JsonObject = {"task": {"id": run["taskId"]}, "taskrun": view}
    if task is not None:
        variables["task"]["type"] = task.type
    parents = _parents(runs, run)
    if parents:
        variables["parents"] = [LazyMap(parent, fetch) for parent in parents]
        variables["parent"] = variables["parents"][0]
    return variables


def _parents(runs: Mapping[str, JsonObject], run: JsonObject) -> list[JsonObject]:
    """Nearest first; only ancestors that have a value or outputs."""
    parents: list[JsonObject] = []
    parent = runs.get(run.get("parentTaskRunId", ""))
    while parent is not None and len(parents) < PARENTS_MAX:
        view: JsonObject = {}
        if parent.get("value") is not None:
            view["taskrun"] = {"value": parent["value"]}
        if parent.get("outputs"):
            view["outputs"] = _value(parent["outputs"])
        if view:
            parents.append(view)
        parent = runs.get(parent.get("parentTaskRunId", ""))
    return parents


def _value(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1 and _CLAIM in value:
        return Deferred(value[_CLAIM])
    return value
