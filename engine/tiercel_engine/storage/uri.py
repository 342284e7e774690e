"""kestra:/// addresses: how they are built, read, and who may read what lies there.

An address is `kestra:///` and a path of percent-encoded segments; the same path, without its
leading slash, is the object's key in internal storage, so whatever a file is called its key is
plain ASCII without any `..`.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256
from urllib.parse import quote, unquote

from tiercel_engine.errors import UserError

SCHEME = "kestra://"
#: In front of the path of a file of the flow's own namespace.
NAMESPACE_SCHEME = "nsfile:///"
#: In front of the path of a file of the worker's machine.
LOCAL_SCHEME = "file:///"
#: An address is no longer than this.
URI_CHARS_MAX = 4_096

_NOT_SLUG = re.compile(r"[^a-z0-9\s_-]")
_BETWEEN_WORDS = re.compile(r"[\s_-]+")

_OUTPUTS = re.compile(r"/tasks/[^/]+/[^/]+/outputs-[0-9]+-[0-9]+\.json")


def slugify(name: str) -> str:
    """A name as one segment: lower-case ASCII words joined by dashes; "_" when there are none."""
    plain = _NOT_SLUG.sub("", unicodedata.normalize("NFD", name).lower())
    return _BETWEEN_WORDS.sub("-", plain).strip("-") or "_"


def execution_root(namespace: str, flow_id: str, execution_id: str) -> str:
    """The folder of everything that belongs to one execution; no slash at its end."""
    return f"{_flow_root(namespace, flow_id)}/executions/{_segment(execution_id)}"


def task_file(
    namespace: str, flow_id: str, execution_id: str, task_id: str, task_run_id: str, name: str
) -> str:
    """Where a task run keeps a file. `name` may have folders.

    Raises:
        UserError: the name leaves its folder.
    """
    root = execution_root(namespace, flow_id, execution_id)
    return f"{root}/tasks/{slugify(task_id)}/{_segment(task_run_id)}/{_relative(name)}"


def cache_file(namespace: str, flow_id: str, task_id: str, value: str | None) -> str:
    """Where a WorkingDirectory keeps its cache. `value`: of the nearest each around it."""
    root = f"{_flow_root(namespace, flow_id)}/cache/{slugify(task_id)}"
    if value is None:
        return f"{root}/cache.zip"
    return f"{root}/{sha256(value.encode()).hexdigest()[:32]}/cache.zip"


def outputs_name(attempt: int, epoch: int) -> str:
    """The name of the file, among those of a task run, that holds outputs too large for the log."""
    return f"outputs-{attempt}-{epoch}.json"


def is_claimed(path: str) -> bool:
    """Whether a file of an execution stands for a value of the log, so that none may delete it.

    `path`: below the execution's folder, with a leading slash.
    """
    return path.startswith("/values/") or _OUTPUTS.fullmatch(path) is not None


def input_file(namespace: str, flow_id: str, execution_id: str, input_id: str, name: str) -> str:
    """Where an input of type FILE lies. Raises UserError as `task_file`."""
    root = execution_root(namespace, flow_id, execution_id)
    return f"{root}/inputs/{_segment(input_id)}/{_relative(name)}"


def trigger_file(
    namespace: str, flow_id: str, execution_id: str, trigger_id: str, name: str
) -> str:
    """Where a trigger keeps a file for its execution. Raises UserError as `task_file`."""
    root = execution_root(namespace, flow_id, execution_id)
    return f"{root}/trigger/{slugify(trigger_id)}/{_relative(name)}"


def execution_value(namespace: str, flow_id: str, execution_id: str, name: str) -> str:
    """Where a value of the execution too large for the log lies, such as its inputs."""
    return f"{execution_root(namespace, flow_id, execution_id)}/values/{_relative(name)}"


def namespace_file(namespace: str, path: str) -> str:
    """Where a namespace file lies. Raises UserError as `task_file`."""
    return f"{namespace_folder(namespace, '_files')}/{_relative(path)}"


def kv_file(namespace: str, key: str) -> str:
    """Where a key-value pair lies. Raises UserError: the key is no single segment."""
    return f"{namespace_folder(namespace, '_kv')}/{_segment(key)}.ion"


def namespace_folder(namespace: str, room: str) -> str:
    """A folder of a namespace, such as its `_files` or `_kv`; no slash at its end."""
    return f"{SCHEME}/{_namespace_path(namespace)}/{room}"


def is_storage_uri(text: object) -> bool:
    """Whether a value is the address of an object in internal storage."""
    return isinstance(text, str) and text.startswith(SCHEME + "/")


def is_file_uri(text: object) -> bool:
    """Whether tasks read files at an address: of storage, the namespace, the worker's machine."""
    schemes = (NAMESPACE_SCHEME, LOCAL_SCHEME)
    return is_storage_uri(text) or (isinstance(text, str) and text.startswith(schemes))


def parse(uri: str) -> str:
    """The key of the object at an address, in canonical encoding.

    Raises:
        UserError: it is no such address, or leaves its folder.
    """
    if not is_storage_uri(uri) or len(uri) > URI_CHARS_MAX:
        raise UserError(
            f"Expected an address such as kestra:///path/file, but it was {uri[:200]!r}."
        )
    path = uri[len(SCHEME) + 1 :]
    if path.endswith("/"):
        path = path[:-1]
    return "/".join(_segment(unquote(part)) for part in path.split("/"))


def file_name(uri: str) -> str:
    """The last segment of an address (of storage, the namespace, the machine), decoded."""
    if uri.startswith(LOCAL_SCHEME):
        return unquote(uri.rsplit("/", 1)[-1])
    if uri.startswith(NAMESPACE_SCHEME):
        return uri.rsplit("/", 1)[-1]
    return unquote(parse(uri).rsplit("/", 1)[-1])


def belongs_to(uri: str, namespace: str, flow_id: str, execution_id: str) -> bool:
    """Whether the object at an address belongs to this execution.

    Raises:
        UserError: it is no address of internal storage.
    """
    return parse(uri).startswith(parse(execution_root(namespace, flow_id, execution_id)) + "/")


def _flow_root(namespace: str, flow_id: str) -> str:
    return f"{SCHEME}/{_namespace_path(namespace)}/{slugify(flow_id)}"


def _namespace_path(namespace: str) -> str:
    return "/".join(_segment(part) for part in namespace.split("."))


def _relative(name: str) -> str:
    return "/".join(_segment(part) for part in name.strip("/").split("/"))


def _segment(name: str) -> str:
    """One segment, percent-encoded. `name` is not encoded yet."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise UserError(f"Expected the name of a file inside its folder, but it was {name!r}.")
    return quote(name, safe="")
