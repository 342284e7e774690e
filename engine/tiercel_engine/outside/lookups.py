"""What templates may read: files of their execution and namespace, secrets, and the world.

Where there is no execution (the inputs of a flow, the key of a webhook) files of the namespace are
left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tiercel_engine.errors import TaskError, UserError
from tiercel_engine.outside.http import http_value
from tiercel_engine.outside.values import free_port, is_public_holiday, kv_value
from tiercel_engine.storage.kv import KvStore
from tiercel_engine.storage.namespace_files import NamespaceFiles
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.secrets import environment_secret
from tiercel_engine.storage.uri import belongs_to, is_storage_uri, namespace_file, parse

#: A file that a template reads is no larger than this: it becomes text in memory.
READ_BYTES_MAX = 64 << 20


class WorldLookups:
    """The world as the templates of one attempt, or of one request, see it.

    Args:
        storage: internal storage.
        pairs: the key-value store.
        mask: called with every secret that was read.
    """

    def __init__(self, storage: Storage, pairs: KvStore, mask: Callable[[str], None]) -> None:
        self._storage = storage
        self._pairs = pairs
        self._mask = mask

    # ---- files

    def read(self, path: str, revision: int | None, variables: Mapping[str, Any]) -> str:
        uri = self._file(path, variables, "read")
        if revision is not None and not is_storage_uri(path):
            uri = self.file_uri(path, revision, variables)
        size_bytes = self._storage.size(uri)
        if size_bytes > READ_BYTES_MAX:
            raise TaskError(
                f"Expected a file of at most {READ_BYTES_MAX} bytes, but {path} has {size_bytes}."
            )
        return self._storage.get(uri).decode("utf-8", "replace")

    def file_uri(self, path: str, revision: int | None, variables: Mapping[str, Any]) -> str:
        if revision is None:
            return namespace_file(_namespace(variables), path)
        return NamespaceFiles(self._storage, _namespace(variables)).revision_uri(path, revision)

    def file_size(self, path: str, variables: Mapping[str, Any]) -> int:
        return self._storage.size(self._file(path, variables, "get the size from"))

    def file_exists(self, path: str, variables: Mapping[str, Any]) -> bool:
        return self._storage.exists(self._file(path, variables, "check"))

    def is_file_empty(self, path: str, variables: Mapping[str, Any]) -> bool:
        return self._storage.size(self._file(path, variables, "check")) == 0

    @staticmethod
    def _file(path: str, variables: Mapping[str, Any], verb: str) -> str:
        if not is_storage_uri(path):
            return namespace_file(_namespace(variables), path)
        namespace, flow_id = _namespace(variables), str(variables["flow"]["id"])
        if parse(path).startswith(parse(namespace_file(namespace, "_"))[:-1]):
            return path
        execution = variables.get("execution")
        if isinstance(execution, Mapping) and belongs_to(
            path, namespace, flow_id, str(execution["id"])
        ):
            return path
        trigger = variables.get("trigger")
        if isinstance(trigger, Mapping):
            source = [trigger.get(name) for name in ("namespace", "flowId", "executionId")]
            if None not in source and belongs_to(path, *map(str, source)):
                return path
        raise UserError(
            f"Unable to {verb} the file '{path}' as it didn't belong to the current execution"
        )

    # ---- secrets

    def secret(
        self,
        key: str,
        namespace: str | None,
        subkey: str | None,
        full: bool,
        variables: Mapping[str, Any],
    ) -> str:
        value = environment_secret(key, subkey)
        self._mask(value)
        return value

    # ---- beyond

    def kv(
        self, key: str, namespace: str | None, error_on_missing: bool, variables: Mapping[str, Any]
    ) -> Any:
        return kv_value(self._pairs, _namespace(variables), key, namespace, error_on_missing)

    def error_logs(
        self, known: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]
    ) -> Sequence[Mapping[str, Any]]:
        return known

    def http(self, request: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
        return http_value(request)

    def subflow(self, call: Mapping[str, Any], variables: Mapping[str, Any]) -> Mapping[str, Any]:
        # A slot that waits for an execution that waits for a slot would wait for ever.
        raise UserError(
            "The 'subflow' function can only be used where the inputs of a flow are rendered (such"
            " as the `expression` of a SELECT); use the task Subflow here."
        )

    def is_public_holiday(self, day: str, country: str | None, subdivision: str | None) -> bool:
        return is_public_holiday(day, country, subdivision)

    def free_port(self) -> int:
        return free_port()


class StoredLookups(WorldLookups):
    """The same for whoever must not wait for strangers: it sends no requests."""

    def http(self, request: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
        raise UserError(
            "The 'http' function cannot be called by a trigger, which must start executions on "
            "time: call it in a task."
        )


def _namespace(variables: Mapping[str, Any]) -> str:
    return str(variables["flow"]["namespace"])
