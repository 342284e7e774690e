"""Tasks on the files of the attempt, and of the execution that runs."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel

from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_worker.task_runner import files
from tiercel_worker.tasks.properties import text_list


class LocalFilesOutput(BaseModel):
    """`uris`: name -> address of each file that was kept."""

    uris: dict[str, str]


class LocalFiles(RunnableTask):
    """Put files into the working directory, and keep files of it; deprecated, tasks that run
    commands have `inputFiles` and `outputFiles`.

    Properties: `inputs` (name: content or address), `outputs` (globs). Outputs: `uris`, name to
    address.

    Example:
        ```yaml
        id: local
        namespace: docs.tasks
        tasks:
          - id: files
            type: io.kestra.plugin.core.storage.LocalFiles
            inputs:
              names.txt: "Ada"
            outputs: ["*.txt"]
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.storage.LocalFiles"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.core.tasks.storages.LocalFiles",)
    DEPRECATED: ClassVar[bool] = True
    OUTPUTS: ClassVar[type[BaseModel] | None] = LocalFilesOutput

    inputs: dict[str, Any] | str | None = None
    outputs: list[Text] | str | None = None

    def run(self, context: RunContext) -> LocalFilesOutput:
        folder = context.working_directory()
        files.write_inputs(context, self.inputs, folder)
        globs = text_list(context, self.outputs, "outputs")
        return LocalFilesOutput(uris=files.collect_outputs(context, globs, folder))


class PurgeOutput(BaseModel):
    """`uris`: of the files that were deleted."""

    uris: list[str]


class PurgeCurrentExecutionFiles(RunnableTask):
    """Delete the files of the execution that runs: its inputs, and what its tasks have kept.

    Outputs of earlier tasks stay; only the files that they name are gone. Properties: none.
    Outputs: `uris`.

    Example:
        ```yaml
        id: leave-nothing
        namespace: docs.tasks
        tasks:
          - id: file
            type: io.kestra.plugin.core.storage.Write
            content: "for a moment"
          - id: purge
            type: io.kestra.plugin.core.storage.PurgeCurrentExecutionFiles
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.storage.PurgeCurrentExecutionFiles"
    ALIASES: ClassVar[tuple[str, ...]] = (
        "io.kestra.core.tasks.storages.PurgeExecution",
        "io.kestra.plugin.core.storage.PurgeExecution",
    )
    OUTPUTS: ClassVar[type[BaseModel] | None] = PurgeOutput

    def run(self, context: RunContext) -> PurgeOutput:
        uris = sorted(uri for uri in context.execution_files() if context.delete_stored(uri))
        return PurgeOutput(uris=uris)


PLUGINS = (LocalFiles, PurgeCurrentExecutionFiles)
