"""Tasks on the files of namespaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar, Literal

from pydantic import BaseModel, Field

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.globs import matcher
from tiercel_engine.storage.uri import is_file_uri
from tiercel_worker.task_runner.files import OWN_PREFIX
from tiercel_worker.tasks.properties import flag, text_list, text_map
from tiercel_worker.tasks.versions import (
    NamespacesTask,
    VersionsBehavior,
    pattern_matcher,
    versions_limits,
)

#: One task moves at most so many files: each is an output.
FILES_MAX = 10_000


class FilesOutput(BaseModel):
    """`files`: path -> address of each file."""

    files: dict[str, str]


class UploadFiles(RunnableTask):
    """Put files into a namespace.

    Properties: `namespace`, `files` (globs over the working directory, or a map of paths to
    addresses or contents), `destination` (a folder; the root), `conflict` (OVERWRITE, ERROR or
    SKIP). Outputs: `files`, path to address. Metrics: `uploaded`.

    Example:
        ```yaml
        id: publish
        namespace: docs.tasks
        tasks:
          - id: script
            type: io.kestra.plugin.core.storage.Write
            content: "print('hello')"
          - id: upload
            type: io.kestra.plugin.core.namespace.UploadFiles
            namespace: "{{ flow.namespace }}"
            destination: scripts
            files:
              hello.py: "{{ outputs.script.uri }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.namespace.UploadFiles"
    OUTPUTS: ClassVar[type[BaseModel] | None] = FilesOutput

    namespace: Text
    files: list[Text] | dict[str, Any] | str | None = None
    files_map: dict[str, Any] | str | None = Field(None, alias="filesMap")
    destination: Text = "/"
    conflict: Literal["OVERWRITE", "ERROR", "SKIP"] = "OVERWRITE"

    def run(self, context: RunContext) -> FilesOutput:
        target = context.namespace_files(context.render(self.namespace))
        folder = context.render(self.destination).strip("/")
        uploaded: dict[str, str] = {}
        for name, source in self._sources(context):
            path = "/" + f"{folder}/{name.strip('/')}".strip("/")
            if len(uploaded) == FILES_MAX:
                raise TaskError(f"Expected at most {FILES_MAX} files.")
            if self.conflict != "OVERWRITE" and target.exists(path):
                if self.conflict == "ERROR":
                    raise TaskError(f"Expected no file at {path}, but there is one.")
                context.logger.log("DEBUG", f"{path} is there already and is left as it is")
                continue
            with _opened(context, source) as stream:
                target.put(path, stream)
            uploaded[path] = target.uri(path)
        context.metric("uploaded", len(uploaded))
        return FilesOutput(files=uploaded)

    def _sources(self, context: RunContext) -> Iterator[tuple[str, Path | str]]:
        """Name of each file, and where it is now: a local path, an address, or its content."""
        given = context.render_value(self.files)
        if isinstance(given, Mapping) or (isinstance(given, str) and given.lstrip()[:1] == "{"):
            yield from text_map(context, self.files, "files").items()  # type: ignore[arg-type]
        elif given is not None:
            folder = context.working_directory()
            matches = matcher(text_list(context, self.files, "files"))  # type: ignore[arg-type]
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(folder).as_posix()
                is_ours = name.startswith((OWN_PREFIX, ".kestra-"))
                if path.is_file() and not path.is_symlink() and not is_ours and matches(name):
                    yield name, path
        yield from text_map(context, self.files_map, "filesMap").items()


class DownloadFiles(RunnableTask):
    """Take files of a namespace into the execution.

    Properties: `namespace`, `files` (a glob, or a list of them), `destination` (a folder that the
    names are put into). Outputs: `files`, path to address. Metrics: `downloaded`.

    Example:
        ```yaml
        id: fetch
        namespace: docs.tasks
        tasks:
          - id: scripts
            type: io.kestra.plugin.core.namespace.DownloadFiles
            namespace: "{{ flow.namespace }}"
            files: ["**.py"]
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.namespace.DownloadFiles"
    OUTPUTS: ClassVar[type[BaseModel] | None] = FilesOutput

    namespace: Text
    files: list[Text] | str
    destination: Text = ""

    def run(self, context: RunContext) -> FilesOutput:
        source = context.namespace_files(context.render(self.namespace))
        folder = PurePosixPath(context.render(self.destination).strip("/"))
        matches = matcher(text_list(context, self.files, "files"))
        downloaded: dict[str, str] = {}
        for entry in source.all(matches):
            if len(downloaded) == FILES_MAX:
                raise TaskError(f"Expected at most {FILES_MAX} files.")
            name = str(folder / entry.path.lstrip("/"))
            with source.open(entry.path) as stream:
                downloaded[name] = context.store_stream(stream, name)
        context.metric("downloaded", len(downloaded))
        return FilesOutput(files=dict(sorted(downloaded.items())))


class DeleteFiles(RunnableTask):
    """Delete files of a namespace.

    Properties: `namespace`, `files` (a glob, or a list of them). A folder that becomes empty goes,
    too. Outputs: `files`, path to the address that was. Metrics: `deleted`.

    Example:
        ```yaml
        id: clean
        namespace: docs.tasks
        tasks:
          - id: old
            type: io.kestra.plugin.core.namespace.DeleteFiles
            namespace: "{{ flow.namespace }}"
            files: ["tmp/**"]
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.namespace.DeleteFiles"
    OUTPUTS: ClassVar[type[BaseModel] | None] = FilesOutput

    namespace: Text
    files: list[Text] | str
    delete_parent_folder: bool | str = Field(True, alias="deleteParentFolder")

    def run(self, context: RunContext) -> FilesOutput:
        target = context.namespace_files(context.render(self.namespace))
        patterns = text_list(context, self.files, "files")
        if not patterns:
            raise TaskError("Expected at least one pattern in files, but there was none.")
        keeps_parents = not flag(context, self.delete_parent_folder)
        deleted: dict[str, str] = {}
        for entry in list(target.all(matcher(patterns))):
            if keeps_parents:
                target.make_folder(entry.path.rpartition("/")[0])
            if target.delete(entry.path):
                deleted[entry.path] = target.uri(entry.path)
        context.metric("deleted", len(deleted))
        return FilesOutput(files=dict(sorted(deleted.items())))


class PurgeFilesOutput(BaseModel):
    """`size`: how many earlier contents were deleted."""

    size: int


class PurgeFiles(NamespacesTask):
    """Delete earlier contents of files of namespaces; the files themselves stay.

    Properties: `namespaces` (the flow's own) or `namespacePattern` (a glob),
    `includeChildNamespaces` (true), `filePattern` (a glob), `behavior` (`type: version`, `before`,
    a date, and `keepAmount`, contents that stay of each file, its present one among them; 1 when
    neither is given). Outputs: `size`.

    Example:
        ```yaml
        id: forget-drafts
        namespace: docs.tasks
        tasks:
          - id: purge
            type: io.kestra.plugin.core.namespace.PurgeFiles
            filePattern: "**.sql"
            behavior:
              type: version
              keepAmount: 3
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.namespace.PurgeFiles"
    OUTPUTS: ClassVar[type[BaseModel] | None] = PurgeFilesOutput

    file_pattern: Text | None = Field(None, alias="filePattern")
    behavior: VersionsBehavior | None = None

    def run(self, context: RunContext) -> PurgeFilesOutput:
        matches = pattern_matcher(context, self.file_pattern)
        before_us, kept_max = versions_limits(context, self.behavior)
        size = 0
        for namespace in self.all_namespaces(context, context.namespace_files().namespaces):
            files = context.namespace_files(namespace)
            for entry in files.all(matches):
                size += files.purge_revisions(entry.path, before_us, kept_max)
        return PurgeFilesOutput(size=size)


def _opened(context: RunContext, source: Path | str) -> BinaryIO:
    if isinstance(source, Path):
        return source.open("rb")
    if is_file_uri(source.strip()):
        return context.open_stored(source.strip())
    path = context.working_directory() / f"{OWN_PREFIX}content"
    path.write_text(source)
    return path.open("rb")


PLUGINS = (UploadFiles, DownloadFiles, DeleteFiles, PurgeFiles)
