"""What the templates of an attempt may read: the world, and of the server what others have said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tiercel_engine.errors import TaskError
from tiercel_engine.outside.lookups import WorldLookups
from tiercel_engine.storage.kv import KvStore
from tiercel_engine.storage.objects import Storage
from tiercel_worker.logs import TaskLogger
from tiercel_worker.server_api import ServerApi

#: The newest lines that `errorLogs()` gives.
ERROR_LOGS_MAX = 1_000


class AttemptLookups(WorldLookups):
    """The world as the templates of one attempt see it."""

    def __init__(
        self, storage: Storage, pairs: KvStore, logger: TaskLogger, server: ServerApi
    ) -> None:
        super().__init__(storage, pairs, logger.mask)
        self._logger = logger
        self._server = server
        self._errors: Sequence[Mapping[str, Any]] | None = None

    def error_logs(
        self, known: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]
    ) -> Sequence[Mapping[str, Any]]:
        """Asked for once. A task that tells of a failure does so without the server, too."""
        execution = variables.get("execution")  # A trigger that looks has none.
        if self._errors is None and execution is not None and self._server.is_known:
            try:
                self._errors = self._asked(str(execution["id"]))
            except TaskError as error:
                self._logger.log("WARN", f"errorLogs() tells of failed task runs alone: {error}")
                self._errors = known
        return known if self._errors is None else self._errors

    def _asked(self, execution_id: str) -> Sequence[Mapping[str, Any]]:
        query = {
            "filters[executionId][EQUALS]": execution_id,
            "minLevel": "ERROR",
            "sort": "timestamp:desc",
            "size": str(ERROR_LOGS_MAX),
            "indexed": "true",
        }
        found = self._server.call("GET", "/logs/search", query)
        newest_first: list[Mapping[str, Any]] = found["results"]
        return newest_first[::-1]
