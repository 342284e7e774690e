"""PurgeStorage: the files of executions that are no more."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.execution_folders import ExecutionFolders, Folder
from tiercel_worker.tasks.properties import flag, instant_us
from tiercel_worker.tasks.purge import PurgeTask

#: Executions that one request to the server asks for.
ASKED_MAX = 500
#: A file that is younger may belong to an execution that is about to begin.
AGE_MIN_US = 3_600 * 1_000_000


class PurgeStorageOutput(BaseModel):
    """Executions that were looked at, those of them whose files went, and how many files."""

    scanned_count: int = Field(0, alias="scannedCount")
    purged_count: int = Field(0, alias="purgedCount")
    deleted_files_count: int = Field(0, alias="deletedFilesCount")


class PurgeStorage(PurgeTask):
    """Delete files that executions left which are no more.

    Files of executions that the server still knows stay. Those that were written within the last
    hour stay, too.

    Properties: `endDate` (executions whose newest file was written until then; a template),
    `startDate` (from then on), `namespace` (with those below it, or just itself beside a
    `flowId`), `flowId`, `dryRun` (true: nothing is deleted, only counted). Outputs:
    `scannedCount`, `purgedCount` (executions), `deletedFilesCount`.

    Example:
        ```yaml
        id: free-storage
        namespace: docs.tasks
        tasks:
          - id: purge
            type: io.kestra.plugin.core.storage.PurgeStorage
            namespace: docs.tasks.none
            endDate: "{{ execution.startDate | dateAdd(-30, 'DAYS') }}"
            dryRun: false
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.storage.PurgeStorage"
    OUTPUTS: ClassVar[type[BaseModel] | None] = PurgeStorageOutput

    dry_run: bool | str = Field(True, alias="dryRun")

    def run(self, context: RunContext) -> PurgeStorageOutput:
        query: dict[str, Any] = self.query(context)
        folders = context.execution_folders(query.get("namespace"), query.get("flowId"))
        start_us = instant_us(query["startDate"], "startDate") if "startDate" in query else 0
        end_us = instant_us(query["endDate"], "endDate")
        end_us = min(end_us, context.now_us() - AGE_MIN_US)
        is_dry, scanned, purged, files = flag(context, self.dry_run), 0, 0, 0
        for some in _batches(folders):
            scanned += len(some)
            for folder in self._orphans(context, some):
                if context.is_cancelled():
                    break
                content = folders.content(folder)
                if start_us <= content.newest_us <= end_us:
                    purged += 1
                    files += content.files if is_dry else folders.delete(folder)
        return PurgeStorageOutput(scannedCount=scanned, purgedCount=purged, deletedFilesCount=files)

    def _orphans(self, context: RunContext, some: list[Folder]) -> list[Folder]:
        """Those whose execution the server does not know."""
        ids = [folder.execution_id for folder in some]
        missing = set(self.ask(context, "POST", "/executions/missing", body=ids)["ids"])
        return [folder for folder in some if folder.execution_id in missing]


def _batches(folders: ExecutionFolders) -> Iterator[list[Folder]]:
    rest = iter(folders)
    while some := list(islice(rest, ASKED_MAX)):
        yield some


PLUGINS = (PurgeStorage,)
