"""What an expression may read while somebody tries it out on the server.

Less than a task may: whoever may look at an execution must learn no secret by it, and the server
must not be made to call others. Files and pairs can be seen anyway, so they can be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from tiercel_api.eval_variables import MASK, JsonObject
from tiercel_engine.errors import UserError
from tiercel_engine.outside.values import free_port, is_public_holiday, kv_value
from tiercel_engine.storage.claims import redeem
from tiercel_engine.storage.kv import KvStore
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.uri import belongs_to, is_storage_uri, namespace_file
from tiercel_schemas.common import ClaimCheck

#: All files and stored values that one evaluation may load.
LOADED_BYTES_MAX = 16 << 20
SECRET_NOTE = f"secret() gives {MASK} here: an evaluation reads no secrets."


class EvalLookups:
    """The world as one evaluation sees it.

    Args:
        pairs: the key-value store.
        document: the execution.
    """

    def __init__(self, storage: Storage, pairs: KvStore, document: JsonObject) -> None:
        self._storage = storage
        self._pairs = pairs
        self._document = document
        self._left_bytes = LOADED_BYTES_MAX
        #: What the answer should say besides the value.
        self.note = ""

    def fetch(self, claim: JsonObject) -> Any:
        """A value behind a claim check. Raises UserError: too much; NotFound: it is gone."""
        self._take(claim["size_bytes"])
        return redeem(ClaimCheck(**claim), self._storage)

    def _take(self, size_bytes: int) -> None:
        if size_bytes > self._left_bytes:
            raise UserError(
                f"Expected an expression to load at most {LOADED_BYTES_MAX} bytes, but it needs "
                f"{size_bytes} more than the {LOADED_BYTES_MAX - self._left_bytes} it has."
            )
        self._left_bytes -= size_bytes

    # ---- files

    def read(self, path: str, revision: int | None, variables: Mapping[str, Any]) -> str:
        uri = self._file(path)
        self._take(self._storage.size(uri))
        return self._storage.get(uri).decode("utf-8", "replace")

    def file_uri(self, path: str, revision: int | None, variables: Mapping[str, Any]) -> str:
        return namespace_file(self._document["namespace"], path)

    def file_size(self, path: str, variables: Mapping[str, Any]) -> int:
        return self._storage.size(self._file(path))

    def file_exists(self, path: str, variables: Mapping[str, Any]) -> bool:
        return self._storage.exists(self._file(path))

    def is_file_empty(self, path: str, variables: Mapping[str, Any]) -> bool:
        return self._storage.size(self._file(path)) == 0

    def _file(self, path: str) -> str:
        document = self._document
        if not is_storage_uri(path):
            return namespace_file(document["namespace"], path)
        if not belongs_to(path, document["namespace"], document["flowId"], document["id"]):
            raise UserError(
                f"Unable to read the file '{path}' as it didn't belong to the current execution"
            )
        return path

    # ---- secrets and the world: an evaluation calls nobody

    def secret(
        self,
        key: str,
        namespace: str | None,
        subkey: str | None,
        full: bool,
        variables: Mapping[str, Any],
    ) -> str:
        # The secret itself must not come in: an expression could hide it from any later mask.
        self.note = SECRET_NOTE
        return MASK

    def kv(
        self, key: str, namespace: str | None, error_on_missing: bool, variables: Mapping[str, Any]
    ) -> Any:
        own = str(self._document["namespace"])
        return kv_value(self._pairs, own, key, namespace, error_on_missing)

    def http(self, request: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
        _refuse("http")

    def subflow(self, call: Mapping[str, Any], variables: Mapping[str, Any]) -> Mapping[str, Any]:
        _refuse("subflow")

    def is_public_holiday(self, day: str, country: str | None, subdivision: str | None) -> bool:
        return is_public_holiday(day, country, subdivision)

    def error_logs(
        self, known: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]
    ) -> Sequence[Mapping[str, Any]]:
        return known

    def free_port(self) -> int:
        return free_port()


def _refuse(function: str) -> NoReturn:
    raise UserError(f"The function {function}() is for tasks: an evaluation does not call it.")
