"""Files of a command: those it is given, and those it leaves."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from tiercel_engine.errors import TaskError
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.globs import matcher
from tiercel_engine.storage.uri import file_name, is_file_uri

#: What the engine puts into the working directory; output globs do not see it.
OWN_PREFIX = ".tiercel-"
FETCHED = OWN_PREFIX + "fetched"
OUTPUTS = OWN_PREFIX + "outputs"
SCRIPT_STEM = OWN_PREFIX + "script"
#: Where the peer's Python client reads the variables.
CONTEXT_FILE = ".kestra-execution-context.json"
#: One task leaves at most so many files.
OUTPUT_FILES_MAX = 10_000
#: Files of namespaces that one task takes.
NAMESPACE_FILES_MAX = 10_000

_URI = re.compile(r"kestra:///[^\s'\"`|;<>&()\[\]{},]+")


def remove_own(folder: Path) -> None:
    """Take out what the engine has put into a folder, before another command runs there."""
    for path in folder.glob(OWN_PREFIX + "*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    (folder / CONTEXT_FILE).unlink(missing_ok=True)


def write_inputs(context: RunContext, spec: Any, folder: Path) -> None:
    """Put the files of `inputFiles` into the working directory.

    Args:
        spec: a map of names to contents or to addresses of internal storage, or a template that
            gives such a map as JSON.

    Raises:
        TaskError: it is no such map, or a name leaves the folder.
    """
    for name, content in _as_map(context, spec).items():
        path = _inside(folder, context.render(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        text = context.render(content)
        if is_file_uri(text.strip()):
            context.fetch_stored(text.strip(), path)
        else:
            path.write_text(text)


def write_namespace_files(context: RunContext, spec: Any, folder: Path) -> None:
    """Put files of namespaces into the working directory.

    Args:
        spec: `enabled`, `include` and `exclude` (globs), `namespaces` (the flow's own; of those
            with the same file the last one counts).

    Raises:
        TaskError: there are too many.
    """
    spec = spec or {}
    if context.render(spec.get("enabled", bool(spec))).lower() != "true":
        return
    matches = matcher(_texts(context, spec, "include"), _texts(context, spec, "exclude"))
    count = 0
    for namespace in _texts(context, spec, "namespaces") or [context.namespace]:
        source = context.namespace_files(namespace)
        for entry in source.all(matches):
            count += 1
            if count > NAMESPACE_FILES_MAX:
                raise TaskError(f"Expected at most {NAMESPACE_FILES_MAX} files of namespaces.")
            path = _inside(folder, entry.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            context.fetch_stored(source.uri(entry.path), path)


def _texts(context: RunContext, spec: Mapping[str, Any], name: str) -> list[str]:
    given = context.render_value(spec.get(name) or [])
    return [given] if isinstance(given, str) else [str(text) for text in given]


def localized(context: RunContext, text: str, folder: Path) -> str:
    """The text with every kestra:/// address replaced by the path of a local copy."""
    copies: dict[str, str] = {}

    def fetch(match: re.Match[str]) -> str:
        uri = match.group()
        if uri not in copies:
            target = folder / FETCHED / f"{len(list((folder / FETCHED).glob('*')))}"
            target.mkdir(parents=True)
            path = target / file_name(uri)
            context.fetch_stored(uri, path)
            copies[uri] = str(path)
        return copies[uri]

    return _URI.sub(fetch, text) if "kestra:///" in text else text


def collect_outputs(context: RunContext, globs: Iterable[str], folder: Path) -> dict[str, str]:
    """Store what matches the globs, and all of the output folder; return name -> address.

    Raises:
        TaskError: there are too many, or a glob leaves the working directory.
    """
    uris: dict[str, str] = {}
    for name, path in [*_matching(globs, folder), *_files(folder / OUTPUTS)]:
        if len(uris) >= OUTPUT_FILES_MAX:
            raise TaskError(f"Expected at most {OUTPUT_FILES_MAX} output files.")
        if name not in uris:
            uris[name] = context.store_file(path, name, keep=True)
    return uris


def _matching(globs: Iterable[str], folder: Path) -> Iterator[tuple[str, Path]]:
    root = folder.resolve()
    patterns = [_relative(pattern, folder) for pattern in globs if pattern]
    if not patterns:
        return
    matches = matcher(patterns)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_own = name.startswith(OWN_PREFIX) or name == CONTEXT_FILE
        if is_own or not path.is_file() or not matches(name):
            continue
        if root not in path.resolve().parents:
            raise TaskError(f"Expected output files in the working directory, but {name}.")
        yield name, path


def _relative(pattern: str, folder: Path) -> str:
    relative = pattern.removeprefix(str(folder) + "/").removeprefix("./")
    if relative.startswith("/") or ".." in PurePosixPath(relative).parts:
        raise TaskError(f"Expected a glob inside the working directory, but it was {pattern}.")
    return relative


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    if folder.is_dir():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix(), path


def _as_map(context: RunContext, spec: Any) -> Mapping[str, Any]:
    if spec is None:
        return {}
    if isinstance(spec, str):
        try:
            spec = msgspec.json.decode(context.render(spec))
        except msgspec.DecodeError as error:
            raise TaskError(f"Expected inputFiles as a map, but {error}.") from None
    if not isinstance(spec, Mapping):
        raise TaskError(f"Expected inputFiles as a map, but they were {type(spec).__name__}.")
    return spec


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name.lstrip("/")).resolve()
    if folder.resolve() not in path.parents:
        raise TaskError(f"Expected a file inside the working directory, but it was {name!r}.")
    return path
