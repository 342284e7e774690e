"""The RunContext that a task gets: rendering, logging, metrics, files, cancellation."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from tiercel_engine.clock import Clock
from tiercel_engine.errors import TaskError, UserError
from tiercel_engine.expression.render import Renderer
from tiercel_engine.expression.text import output_text
from tiercel_engine.flow.dialect import Dialect
from tiercel_engine.plugin import context as plugin
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.storage.execution_folders import ExecutionFolders
from tiercel_engine.storage.kv import KvStore
from tiercel_engine.storage.namespace_files import NamespaceFiles
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.sealing import Sealer
from tiercel_engine.storage.uri import (
    LOCAL_SCHEME,
    NAMESPACE_SCHEME,
    execution_root,
    is_claimed,
    namespace_file,
    parse,
    task_file,
)
from tiercel_worker.attempt import Attempt, files_of, run_files_of
from tiercel_worker.local_files import LocalFiles
from tiercel_worker.logs import Metrics, TaskLogger
from tiercel_worker.server_api import ServerApi


class Overlay(Mapping[str, Any]):
    """Two mappings as one; the first wins. Values are asked for one by one, they may be lazy."""

    def __init__(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
        self._first = first
        self._second = second

    def __getitem__(self, key: str) -> Any:
        return self._first[key] if key in self._first else self._second[key]

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._second), **dict.fromkeys(self._first)})

    def __len__(self) -> int:
        return len({*self._first, *self._second})


class AttemptContext:
    """One attempt, as its task's code sees it. See `tiercel_engine.plugin.context.RunContext`."""

    def __init__(
        self,
        attempt: Attempt,
        variables: Mapping[str, Any],
        renderer: Renderer,
        logger: TaskLogger,
        storage: Storage,
        clock: Clock,
        dialect: Dialect,
        sealer: Sealer | None,
        build: Callable[[Mapping[str, Any]], RunnableTask],
        server: ServerApi,
        local: LocalFiles,
        folder: Path | None = None,
    ) -> None:
        job = attempt.job
        self.execution_id = files_of(job)
        self.task_run_id = run_files_of(job)
        self.attempt = job.attempt
        self.namespace = job.namespace
        self.flow_id = job.flow_id
        self.task_id = job.task_id
        self.variables = variables
        self.logger: plugin.TaskLogger = logger
        self._log = logger
        self.dialect = dialect
        self._attempt = attempt
        self._renderer = renderer
        self._storage = storage
        self._clock = clock
        self._sealer = sealer
        self._local = local
        self._build = build
        self._server = server
        self._metrics = Metrics(attempt, clock)
        self._folder = folder
        #: One that was given is shared with other attempts, and removed by whoever gave it.
        self._owns_folder = folder is None

    def render(self, template: Any, extra: Mapping[str, Any] | None = None) -> str:
        if isinstance(template, str) and "{" not in template:
            return template
        variables = self.variables if extra is None else Overlay(extra, self.variables)
        if isinstance(template, str):
            return self._renderer.text(template, variables)
        return output_text(self._renderer.value(template, variables))

    def render_value(self, template: Any) -> Any:
        return self._renderer.value(template, self.variables)

    def render_deep(self, value: Any) -> Any:
        return self._renderer.deep(value, self.variables)

    def now_us(self) -> int:
        return self._clock.now_us()

    def has_secrets(self) -> bool:
        return self._log.has_secrets

    def metric(
        self, name: str, value: float, kind: str = "counter", tags: Mapping[str, str] | None = None
    ) -> None:
        self._metrics.add(name, value, kind, tags)

    def working_directory(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="tiercel-"))
        return self._folder

    def store_file(self, path: Path, name: str | None = None, keep: bool = False) -> str:
        uri = self._file(name or path.name)
        self._storage.put_file(uri, path)
        if not keep:
            path.unlink()
        return uri

    def store_stream(self, source: BinaryIO | Iterable[bytes], name: str) -> str:
        uri = self._file(name)
        self._storage.put_stream(uri, source)
        return uri

    def open_stored(self, uri: str) -> BinaryIO:
        if uri.startswith(LOCAL_SCHEME):
            return self._local.path(uri).open("rb")
        return self._storage.open(self._checked(uri))

    def fetch_stored(self, uri: str, path: Path) -> int:
        if uri.startswith(LOCAL_SCHEME):
            return self._local.fetch(uri, path)
        return self._storage.download(self._checked(uri), path)

    def stored_size(self, uri: str) -> int:
        if uri.startswith(LOCAL_SCHEME):
            return self._local.path(uri).stat().st_size
        return self._storage.size(self._checked(uri))

    def delete_stored(self, uri: str) -> bool:
        return self._storage.delete(self._checked(uri))

    def execution_files(self) -> Iterator[str]:
        root = execution_root(self.namespace, self.flow_id, self.execution_id)
        for file in self._storage.list(root):
            if not is_claimed(file.uri.removeprefix(root)):
                yield file.uri

    def execution_folders(self, namespace: str | None, flow_id: str | None) -> ExecutionFolders:
        return ExecutionFolders(self._storage, namespace, flow_id)

    def namespace_files(self, namespace: str | None = None) -> NamespaceFiles:
        return NamespaceFiles(self._storage, namespace or self.namespace)

    @property
    def pairs(self) -> KvStore:
        return KvStore(self._storage, self._clock)

    def can_seal(self) -> bool:
        return self._sealer is not None

    def seal(self, text: str) -> Mapping[str, str]:
        if self._sealer is None:
            raise TaskError("Expected a server with an encryption_key, but it has none.")
        return self._sealer.seal(text)

    def ask_server(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | Sequence[str]] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        authorization: str | None = None,
    ) -> Any:
        return self._server.call(method, path, query, body, form, authorization)

    def run_task(self, properties: Mapping[str, Any]) -> Any:
        task = self._build({"id": self.task_id, **properties})
        return task.run(self)

    def is_cancelled(self) -> bool:
        return self._attempt.is_cancelled()

    def on_cancel(self, callback: Callable[[], None]) -> None:
        self._attempt.on_cancel(callback)

    def wait_cancelled(self, timeout_s: float) -> bool:
        return self._attempt.wait_cancelled(timeout_s)

    def close(self) -> None:
        """Say the metrics, remove the working directory. For the runner."""
        self._metrics.say_all()
        if self._folder is not None and self._owns_folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, name: str) -> str:
        return task_file(
            self.namespace,
            self.flow_id,
            self.execution_id,
            self.task_id,
            self.task_run_id,
            name,
        )

    def _checked(self, uri: str) -> str:
        """Files of executions and namespaces, but not the engine's own ones."""
        if uri.startswith(NAMESPACE_SCHEME):
            return namespace_file(self.namespace, uri.removeprefix(NAMESPACE_SCHEME))
        segments = parse(uri).split("/")
        if segments[0].startswith("_") or "_kv" in segments:
            raise UserError(f"Expected the address of a file of an execution, but it was {uri}.")
        return uri
