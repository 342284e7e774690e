"""What a running task may do: the seam between a task type and the worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tiercel_engine.flow.dialect import Dialect
from tiercel_engine.storage.execution_folders import ExecutionFolders
from tiercel_engine.storage.kv import KvStore
from tiercel_engine.storage.namespace_files import NamespaceFiles


class TaskLogger(Protocol):
    """Writes the task's log: data of its execution, not the process's own log."""

    def log(self, level: str, message: str) -> None:
        """Add a line. `level`: TRACE, DEBUG, INFO, WARN or ERROR. Secrets are masked."""


class TaskContext(Protocol):
    """One attempt of one task, wherever it runs: templates, log, metrics."""

    execution_id: str
    task_run_id: str
    attempt: int
    namespace: str
    flow_id: str
    task_id: str
    #: What templates see; read only.
    variables: Mapping[str, Any]
    logger: TaskLogger

    def render(self, template: Any, extra: Mapping[str, Any] | None = None) -> str:
        """Text of a template; it also sees the variables in `extra`. Raises InvalidExpression."""

    def render_value(self, template: Any) -> Any:
        """Typed value of a template; containers are rendered element by element."""

    def render_deep(self, value: Any) -> Any:
        """A value with every text in its maps and lists rendered as text."""

    def metric(
        self, name: str, value: float, kind: str = "counter", tags: Mapping[str, str] | None = None
    ) -> None:
        """Record a metric. `kind`: counter, timer (milliseconds) or gauge."""


class RunContext(TaskContext, Protocol):
    """One attempt on a worker, as its code sees it. Used by one thread, except `cancelled`."""

    #: What the flow means where versions of the language differ.
    dialect: Dialect

    def now_us(self) -> int:
        """The time, in microseconds since the epoch."""

    def has_secrets(self) -> bool:
        """Whether a template of this attempt has read a secret."""

    def working_directory(self) -> Path:
        """A folder of this attempt alone, made at the first call, removed at its end."""

    def store_file(self, path: Path, name: str | None = None, keep: bool = False) -> str:
        """Move a local file into internal storage; return its kestra:/// address.

        `keep`: leave it where it is, too: other tasks may share the folder.
        """

    def store_stream(self, source: BinaryIO | Iterable[bytes], name: str) -> str:
        """Write a stream into internal storage as it comes; return its kestra:/// address."""

    def open_stored(self, uri: str) -> BinaryIO:
        """Open a file of internal storage that this execution may read."""

    def fetch_stored(self, uri: str, path: Path) -> int:
        """Copy a file of internal storage to a local path; return its size in bytes."""

    def stored_size(self, uri: str) -> int:
        """The size in bytes of a file of internal storage. Raises NotFound."""

    def delete_stored(self, uri: str) -> bool:
        """Delete a file of internal storage; False when there was none."""

    def execution_files(self) -> Iterable[str]:
        """The addresses of this execution's files, without what the engine keeps there itself."""

    def execution_folders(self, namespace: str | None, flow_id: str | None) -> ExecutionFolders:
        """The folders of executions of a flow, of a namespace and those below it, or of all."""

    def namespace_files(self, namespace: str | None = None) -> NamespaceFiles:
        """The files of a namespace, of the flow's own when none is named."""

    @property
    def pairs(self) -> KvStore:
        """The key-value pairs of all namespaces."""

    def can_seal(self) -> bool:
        """Whether there is a key to encrypt with."""

    def seal(self, text: str) -> Mapping[str, str]:
        """The text encrypted, as an output may hold it. Raises TaskError: there is no key."""

    def ask_server(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | Sequence[str]] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        authorization: str | None = None,
    ) -> Any:
        """What the server's HTTP API answers at a path below /api/v1; None for an empty answer.

        Args:
            body: sent as JSON.
            form: sent as a multipart form.
            authorization: header of that name, in the place of the worker's own.

        Raises:
            TaskError: it refuses, or does not answer.
        """

    def run_task(self, properties: Mapping[str, Any]) -> Any:
        """Run another task in place of this one: its properties, `type` among them, as written.

        Raises:
            TaskError: no runnable task has these properties.
        """

    def is_cancelled(self) -> bool:
        """Whether the attempt was killed or ran into its timeout: stop soon."""

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call this (from another thread) when the attempt is killed or runs into its timeout."""

    def wait_cancelled(self, timeout_s: float) -> bool:
        """Wait; True as soon as the attempt is cancelled, False after `timeout_s` seconds."""
