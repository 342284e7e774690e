"""Functions that read the world, through `Lookups`. Without one, each says it is not available."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiercel_engine.expression.arguments import text
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.frame import Frame
from tiercel_engine.expression.lookups import Lookups
from tiercel_engine.expression.table import function, parameter

#: What these functions read of the variables besides their arguments: whose file it may be.
_OWNER = ("flow", "execution", "trigger", "namespace")


def _lookups(frame: Frame, name: str) -> Lookups:
    if frame.context.lookups is None:
        raise Fault(f"Function [{name}] is not available here: it reads what is outside")
    return frame.context.lookups


def _optional(value: Any, name: str) -> str | None:
    return None if value is None else text(value, name)


def _revision(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int):
        raise Fault("Expected a whole number as revision")
    return int(value)


_REVISION = parameter("revision", None, "version")


@function("read", parameter("path"), _REVISION, needs_io=True, reads=_OWNER)
def read(frame: Frame, path: Any, revision: Any) -> Any:
    """The text of a file: a URI of this execution, or the path of a namespace file."""
    lookups = _lookups(frame, "read")
    return lookups.read(text(path, "path"), _revision(revision), frame.root)


@function("fileURI", parameter("path"), _REVISION, needs_io=True, reads=_OWNER)
def file_uri(frame: Frame, path: Any, revision: Any) -> str:
    """The URI of a namespace file."""
    lookups = _lookups(frame, "fileURI")
    return lookups.file_uri(text(path, "path"), _revision(revision), frame.root)


@function("fileSize", parameter("path"), needs_io=True, reads=_OWNER)
def file_size(frame: Frame, path: Any) -> int:
    """The size of a file in bytes."""
    return _lookups(frame, "fileSize").file_size(text(path, "path"), frame.root)


@function("fileExists", parameter("path"), needs_io=True, reads=_OWNER, since="0.24")
def file_exists(frame: Frame, path: Any) -> bool:
    """Whether a file is there."""
    return _lookups(frame, "fileExists").file_exists(text(path, "path"), frame.root)


@function(
    "isFileEmpty", parameter("path"), needs_io=True, reads=_OWNER, since="0.24", also=("fileEmpty",)
)
def is_file_empty(frame: Frame, path: Any) -> bool:
    """Whether a file has no bytes."""
    return _lookups(frame, "isFileEmpty").is_file_empty(text(path, "path"), frame.root)


@function(
    "secret",
    parameter("key"),
    parameter("namespace", None),
    parameter("subkey", None),
    parameter("full", False),
    needs_io=True,
    reads=_OWNER,
)
def secret(frame: Frame, key: Any, namespace: Any, subkey: Any, full: Any) -> Any:
    """The value of a secret; it is masked in the logs from then on."""
    return _lookups(frame, "secret").secret(
        text(key, "key"),
        _optional(namespace, "namespace"),
        _optional(subkey, "subkey"),
        bool(full),
        frame.root,
    )


@function(
    "kv",
    parameter("key"),
    parameter("namespace", None),
    parameter("errorOnMissing", None),
    needs_io=True,
    reads=_OWNER,
)
def kv(frame: Frame, key: Any, namespace: Any, error_on_missing: Any) -> Any:
    """The value of a key of the namespace's key-value store."""
    strict = frame.context.dialect.kv_error_on_missing
    return _lookups(frame, "kv").kv(
        text(key, "key"),
        _optional(namespace, "namespace"),
        strict if error_on_missing is None else bool(error_on_missing),
        frame.root,
    )


@function("errorLogs", reads=("errorLogs", "execution"))
def error_logs(frame: Frame) -> Any:
    """The execution's log lines of level ERROR: `{taskId, message, ...}`, oldest first.

    In tasks the newest 1,000; where the executor itself renders, why the last 50 task runs failed.
    """
    known = list(frame.root.get("errorLogs", ()))
    lookups = frame.context.lookups
    return known if lookups is None else lookups.error_logs(known, frame.root)


@function("tasksWithState", parameter("state"), reads=("tasks", "tasksWithState"), since="1.0")
def tasks_with_state(frame: Frame, state: Any) -> Any:
    """The task runs in a state: a list of `{taskId, state, value?}`."""
    wanted = text(state, "state").upper()
    found: list[dict[str, Any]] = []
    for task_id, of_task in frame.root.get("tasks", {}).items():
        for value, inner in of_task.items():
            current = inner.get("state") if isinstance(inner, Mapping) else inner
            if current == wanted:
                row = {"taskId": task_id, "state": wanted}
                found.append(row if current is inner else {**row, "value": value})
    return found


_HTTP = ("uri", "method", "query", "body", "contentType", "headers", "options", "accept")


@function(
    "http",
    parameter("uri"),
    *(parameter(name, None) for name in _HTTP[1:]),
    needs_io=True,
    reads=_OWNER,
    since="0.23",
)
def http(frame: Frame, *values: Any) -> Any:
    """The parsed body of an HTTP request's response."""
    given = dict(zip(_HTTP, values, strict=True))
    request = {name: value for name, value in given.items() if value is not None}
    return _lookups(frame, "http").http(request, frame.root)


_SUBFLOW = ("namespace", "id", "inputs", "revision", "labels", "timeout")


@function(
    "subflow",
    parameter("namespace"),
    parameter("id"),
    *(parameter(name, None) for name in _SUBFLOW[2:]),
    needs_io=True,
    reads=_OWNER,
    since="1.3",
)
def subflow(frame: Frame, *values: Any) -> Any:
    """Another flow run to its end: `{id, state, outputs, labels}`."""
    given = dict(zip(_SUBFLOW, values, strict=True))
    call = {name: value for name, value in given.items() if value is not None}
    return _lookups(frame, "subflow").subflow(call, frame.root)


@function("env", parameter("name"), parameter("default", None), reads=("envs",), since="2.0")
def env(frame: Frame, name: Any, default: Any) -> Any:
    """A variable of `envs` by a name that may be computed; `default` when missing or empty."""
    return frame.root.get("envs", {}).get(text(name, "name").lower()) or default


@function("randomPort", needs_io=True, since="0.22")
def random_port(frame: Frame) -> int:
    """A TCP port that nobody listens on."""
    return _lookups(frame, "randomPort").free_port()
