"""Calls about what belongs to a namespace and to no flow: its pairs and its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, BinaryIO

from tiercel_cli.client import Client, JsonObject, path_of, query_of
from tiercel_cli.multipart import Multipart


class NamespaceClient(Client):
    """Calls one server about namespaces."""

    def pairs(self, namespace: str) -> list[JsonObject]:
        return self._json("GET", f"/namespaces/{path_of(namespace)}/kv")  # type: ignore[no-any-return]

    def pair(self, namespace: str, key: str, revision: int | None) -> JsonObject:
        path = f"/namespaces/{path_of(namespace)}/kv/{path_of(key)}"
        return self._object("GET", path, {"revision": revision})

    def set_pair(
        self, namespace: str, key: str, value: Any, ttl: str | None, description: str | None
    ) -> None:
        path = f"/namespaces/{path_of(namespace)}/kv/{path_of(key)}"
        given = {"ttl": ttl, "description": description}
        headers = {name: text for name, text in given.items() if text is not None}
        self._json("PUT", path, text=json.dumps(value), headers=headers)

    def delete_pair(self, namespace: str, key: str) -> bool:
        """Whether there was one."""
        return bool(self._json("DELETE", f"/namespaces/{path_of(namespace)}/kv/{path_of(key)}"))

    def files(self, namespace: str, q: str) -> list[str]:
        """The paths of the files with this text in them."""
        path = f"/namespaces/{path_of(namespace)}/files/search"
        return self._json("GET", path, {"q": q})  # type: ignore[no-any-return]

    def file(self, namespace: str, path: str, revision: int | None, target: BinaryIO) -> None:
        """Write a file's content."""
        query = query_of({"path": path, "revision": revision})
        target_path = f"/api/v1/namespaces/{path_of(namespace)}/files{query}"
        with self._answer("GET", target_path, timeout_s=None) as answer:
            shutil.copyfileobj(answer, target)

    def put_file(self, namespace: str, path: str, source: Path) -> None:
        # Another name than its own: archives would be unpacked.
        parts = Multipart({}, {"content": source}, "fileContent")
        target = f"/namespaces/{path_of(namespace)}/files"
        self._json("POST", target, {"path": path}, parts=parts, timeout_s=None)

    def delete_file(self, namespace: str, path: str) -> None:
        self._json("DELETE", f"/namespaces/{path_of(namespace)}/files", {"path": path})
