"""Copies of a namespace's files in a working directory, as `namespaceFiles` asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiercel_engine.errors import TaskError
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.globs import matcher
from tiercel_worker.tasks.properties import flag, text_list

#: Files that one task gets.
FILES_MAX = 10_000
CHUNK_BYTES = 1 << 20


def copy_namespace_files(context: RunContext, spec: Mapping[str, Any] | None, folder: Path) -> None:
    """Put the files that `namespaceFiles` asks for into the folder; later namespaces win.

    Raises:
        TaskError: there are too many, or one exists and `ifExists` forbids that.
    """
    if not spec or not flag(context, spec.get("enabled", True)):
        return
    include = text_list(context, spec.get("include"), "include")
    exclude = text_list(context, spec.get("exclude"), "exclude")
    matches = matcher(include, exclude)
    namespaces = text_list(context, spec.get("namespaces"), "namespaces") or [context.namespace]
    per_namespace = flag(context, spec.get("folderPerNamespace", False))
    if_exists = context.render(spec.get("ifExists", "OVERWRITE")).upper()
    copied = 0
    for namespace in namespaces:
        source = context.namespace_files(namespace)
        target = folder / namespace if per_namespace else folder
        for entry in source.all(matches):
            copied += 1
            if copied > FILES_MAX:
                raise TaskError(f"Expected at most {FILES_MAX} files of namespaces: use `include`.")
            path = target / entry.path.lstrip("/")
            if path.exists() and not _may_replace(context, entry.path, if_exists):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with source.open(entry.path) as stream, path.open("wb") as file:
                while chunk := stream.read(CHUNK_BYTES):
                    file.write(chunk)


def _may_replace(context: RunContext, path: str, if_exists: str) -> bool:
    if if_exists == "FAIL":
        raise TaskError(f"Expected no file at {path} before namespaceFiles, but there is one.")
    if if_exists == "WARN":
        context.logger.log("WARN", f"{path} is there already and is left as it is")
    return if_exists == "OVERWRITE"
