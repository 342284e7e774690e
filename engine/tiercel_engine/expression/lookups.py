"""The port through which templates read the world: files, secrets, key-values, logs, HTTP.

The language itself does no I/O. Whoever renders where reading is allowed (a worker) brings an
implementation; without one each of these functions says that it is not available. Implementations
check namespaces and ownership themselves, and raise `UserError` (or `TaskError`) with the words a
user should read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Lookups(Protocol):
    """What a template may ask of the world. `variables` is the root context of the render."""

    def read(self, path: str, revision: int | None, variables: Mapping[str, Any]) -> Any:
        """A file's text. `path`: a `kestra://` URI of this execution, or of the namespace."""
        ...

    def file_uri(self, path: str, revision: int | None, variables: Mapping[str, Any]) -> str:
        """The internal-storage URI of a namespace file."""
        ...

    def file_size(self, path: str, variables: Mapping[str, Any]) -> int:
        """A file's size in bytes."""
        ...

    def file_exists(self, path: str, variables: Mapping[str, Any]) -> bool:
        """Whether a file is there."""
        ...

    def is_file_empty(self, path: str, variables: Mapping[str, Any]) -> bool:
        """Whether a file has no bytes."""
        ...

    def secret(
        self,
        key: str,
        namespace: str | None,
        subkey: str | None,
        full: bool,
        variables: Mapping[str, Any],
    ) -> Any:
        """A secret's value, to be masked in the logs."""
        ...

    def kv(
        self, key: str, namespace: str | None, error_on_missing: bool, variables: Mapping[str, Any]
    ) -> Any:
        """A key's typed value, null when it is missing and that is no error."""
        ...

    def error_logs(
        self, known: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]
    ) -> Sequence[Mapping[str, Any]]:
        """Lines of level ERROR of the execution, oldest first. `known`: those of its failures."""
        ...

    def http(self, request: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
        """The parsed body of a request: uri, method, query, body, contentType, headers, ..."""
        ...

    def subflow(self, call: Mapping[str, Any], variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run a flow to its end: `{id, state, outputs, labels}`."""
        ...

    def is_public_holiday(self, day: str, country: str | None, subdivision: str | None) -> bool:
        """Whether a day (ISO date) is a public holiday."""
        ...

    def free_port(self) -> int:
        """A TCP port nobody listens on."""
        ...
