"""/namespaces/{namespace}/files: the files of namespaces, and their flows as `/_flows/…`."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from aiohttp import BodyPartReader, web

from tiercel_api import archives
from tiercel_api.answers import json_response
from tiercel_api.bodies import in_time, reading_form
from tiercel_api.errors import BadRequest, BodyTooLarge
from tiercel_api.files import FILES
from tiercel_api.flow_writes import store_flow
from tiercel_api.forms import MULTIPART, find_part, part_names
from tiercel_api.paging import FlowFilter, optional_number
from tiercel_api.routes.flows import matching_flows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import Conflict, UserError
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.storage.namespace_files import Entry, NamespaceFiles
from tiercel_engine.storage.splitting import READ_BYTES

#: Files that one archive may hold.
ARCHIVE_FILES_MAX = 10_000

_FLOWS = "/_flows"
_FLOW_FILE = re.compile(r"/_flows/[^/]+\.ya?ml")
_NAMESPACE_LINE = re.compile(r"^namespace:.*$", re.MULTILINE)


async def get_file(request: web.Request) -> web.StreamResponse:
    """GET /namespaces/{namespace}/files?path=/…&revision=…: its content, now or earlier."""
    files, path = _files(request), _path(request)
    revision = optional_number(request.query, "revision")
    name = quote(path.rpartition("/")[2], safe="")
    uri = files.uri(path)
    if revision is not None:
        uri = await request.app[FILES].call(files.revision_uri, path, revision)
    return await request.app[FILES].send(request, uri, name)


async def get_stats(request: web.Request) -> web.Response:
    """GET …/files/stats?path=/…: what lies there. Without a path: the root."""
    path = _path(request, default="/")
    return json_response(_attributes(await request.app[FILES].call(_files(request).entry, path)))


async def list_folder(request: web.Request) -> web.Response:
    """GET …/files/directory?path=/…: what lies in a folder, the root without a path."""
    path = _path(request, default="/")
    entries = await request.app[FILES].call(_files(request).children, path)
    return json_response([_attributes(entry) for entry in entries])


async def search_files(request: web.Request) -> web.Response:
    """GET …/files/search?q=…: the paths of the files with this text in them."""
    text = request.query.get("q", "")
    return json_response(await request.app[FILES].call(_files(request).search, text))


async def list_revisions(request: web.Request) -> web.Response:
    """GET …/files/revisions?path=/…: the numbers of the contents that can be read."""
    numbers = await request.app[FILES].call(_files(request).revisions, _path(request))
    return json_response([{"revision": number} for number in numbers])


async def make_folder(request: web.Request) -> web.Response:
    """POST …/files/directory?path=/…."""
    await request.app[FILES].call(_files(request).make_folder, _path(request))
    return web.Response()


async def move(request: web.Request) -> web.Response:
    """PUT …/files?from=/…&to=/…: move a file or a folder."""
    source, target = _path(request, "from"), _path(request, "to")
    await request.app[FILES].call(_files(request).move, source, target)
    return web.Response()


async def delete(request: web.Request) -> web.Response:
    """DELETE …/files?path=/…: delete a file, or a folder with all below it."""
    await request.app[FILES].call(_files(request).delete, _path(request))
    return web.Response()


async def put_file(request: web.Request) -> web.Response:
    """POST …/files?path=/… with a part `fileContent`; an archive (.zip) is unpacked.

    A path such as `/_flows/x.yaml` stores a flow of this namespace.
    """
    path = _path(request, guarded=False)
    if request.content_type != MULTIPART:
        await _store_small(request, path, b"")
        return web.Response()
    with reading_form():
        part = await find_part(await request.multipart(), "fileContent")
    filename = part_names(part)[1] or ""
    if filename.lower().endswith(".zip"):
        await _unpack(request, part, path)
    elif _FLOW_FILE.fullmatch(path):
        await _import_flow(request, await _whole(request, part))
    else:
        _guard(path)
        await _stream(request, path, part)
    return web.Response()


async def export(request: web.Request) -> web.StreamResponse:
    """GET …/files/export: all files and flows of the namespace as an archive."""
    with tempfile.TemporaryDirectory(prefix="tiercel-export-") as folder:
        archive = Path(folder) / "files.zip"
        await request.app[FILES].call(_pack, request, archive)
        name = request.match_info["namespace"]
        headers = {"Content-Disposition": f'attachment; filename="{name}_files.zip"'}
        with archive.open("rb") as source:
            size_bytes = archive.stat().st_size
            return await request.app[FILES].pour(request, source, size_bytes, headers)


def _pack(request: web.Request, target: Path) -> None:
    files = _files(request)
    where = FlowFilter(namespace=request.match_info["namespace"])
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in files.all():
            with files.open(entry.path) as source, archive.open(entry.path[1:], "w") as packed:
                while block := source.read(READ_BYTES):
                    packed.write(block)
        for flow in matching_flows(request, where):
            archive.writestr(f"_flows/{flow.flow_id}.yml", flow.source)


async def _unpack(request: web.Request, part: BodyPartReader, folder: str) -> None:
    with tempfile.TemporaryDirectory(prefix="tiercel-import-") as local:
        archive = Path(local) / "files.zip"
        await request.app[FILES].receive_local(
            part, archive, request.app[SERVICES].settings.upload_bytes_max
        )
        for source in await request.app[FILES].call(_unpacked, request, archive, folder):
            await _import_flow(request, source)


def _unpacked(request: web.Request, archive: Path, folder: str) -> list[bytes]:
    """Store the files of an archive; the sources of its flows are left to the caller."""
    settings, files = request.app[SERVICES].settings, _files(request)
    flows: list[bytes] = []
    with archives.opened(archive) as (unpacking, members):
        if len(members) > ARCHIVE_FILES_MAX:
            raise UserError(f"Expected at most {ARCHIVE_FILES_MAX} files in one archive.")
        left = settings.upload_bytes_max
        for info in members:
            path = _joined(folder, info.filename)
            with unpacking.open(info) as source:
                if _FLOW_FILE.fullmatch(path):
                    flows.append(source.read(settings.flow_bytes_max + 1))
                    continue
                _guard(path)
                left -= files.put(path, _bounded(source, left))  # type: ignore[arg-type]
    return flows


def _bounded(source: BinaryIO, left: int) -> Iterator[bytes]:
    """The unpacked content: an archive of little size may hold very much."""
    whole = left
    while block := source.read(READ_BYTES):
        left -= len(block)
        if left < 0:
            raise BodyTooLarge("unpacked files", whole)
        yield block


async def _stream(request: web.Request, path: str, part: BodyPartReader) -> None:
    files, uploads = _files(request), request.app[FILES]
    if await uploads.call(files.is_folder, path):
        raise Conflict(f"Expected a file at {path}, but there is a folder.")
    await uploads.call(files.keep, path)
    await uploads.receive(part, files.uri(path), request.app[SERVICES].settings.upload_bytes_max)


async def _store_small(request: web.Request, path: str, data: bytes) -> None:
    _guard(path)
    await request.app[FILES].call(_files(request).put, path, (data,))


async def _whole(request: web.Request, part: BodyPartReader) -> bytes:
    """A flow's source."""
    bytes_max, data = request.app[SERVICES].settings.flow_bytes_max, bytearray()
    async with in_time():
        while chunk := await part.read_chunk():
            data += chunk
            if len(data) > bytes_max:
                raise BodyTooLarge("flow source", bytes_max)
    return bytes(data)


async def _import_flow(request: web.Request, source: bytes) -> None:
    """Store a flow under this namespace, whatever namespace its source names."""
    try:
        text = source.decode()
    except UnicodeDecodeError:
        raise UserError("Expected a flow as UTF-8 text, but it was none.") from None
    line = f"namespace: {request.match_info['namespace']}"
    text, replaced = _NAMESPACE_LINE.subn(line, text, count=1)
    await store_flow(request, text if replaced else f"{line}\n{text}")


def _files(request: web.Request) -> NamespaceFiles:
    return NamespaceFiles(request.app[SERVICES].storage, request.match_info["namespace"])


def _path(
    request: web.Request, name: str = "path", default: str | None = None, guarded: bool = True
) -> str:
    path = request.query.get(name) or default
    if path is None:
        raise BadRequest(f"Required argument [{name}] not specified")
    if not path.startswith("/"):
        raise UserError(f"Expected a path that starts with a slash, but it was {path[:200]!r}.")
    if guarded:
        _guard(path)
    return path


def _guard(path: str) -> None:
    if path == _FLOWS or path.startswith(_FLOWS + "/"):
        raise UserError(f"Forbidden path: {path[:200]}. Flows are stored by /flows.")


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name.strip('/')}"


def _attributes(entry: Entry) -> JsonObject:
    modified_ms = entry.modified_us // 1_000
    return {
        "type": "Directory" if entry.is_folder else "File",
        "size": entry.size_bytes,
        "fileName": entry.name,
        "lastModifiedTime": modified_ms,
        "creationTime": modified_ms,
    }


_ROOT = "/namespaces/{namespace}/files"
ROUTES = (
    ("GET", f"{_ROOT}/search", search_files),
    ("GET", f"{_ROOT}/stats", get_stats),
    ("GET", f"{_ROOT}/revisions", list_revisions),
    ("GET", f"{_ROOT}/export", export),
    ("GET", f"{_ROOT}/directory", list_folder),
    ("POST", f"{_ROOT}/directory", make_folder),
    ("GET", _ROOT, get_file),
    ("POST", _ROOT, put_file),
    ("PUT", _ROOT, move),
    ("DELETE", _ROOT, delete),
)
