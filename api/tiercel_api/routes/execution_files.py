"""/executions/{id}/file: files that belong to an execution."""

from __future__ import annotations

import re
from urllib.parse import quote

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.errors import BadRequest, HttpError
from tiercel_api.files import FILES
from tiercel_api.lookup import execution_of
from tiercel_api.paging import whole_number
from tiercel_api.previews import ROWS_DEFAULT, ROWS_MAX, preview
from tiercel_engine.storage import uri as addresses

_OTHER_EXECUTION = re.compile(r"(?:^|/)executions/([^/]+)/")


async def download_file(request: web.Request) -> web.StreamResponse:
    """GET /executions/{executionId}/file?path=kestra:///…: the content."""
    uri = await _checked_uri(request)
    return await request.app[FILES].send(request, uri, quote(addresses.file_name(uri), safe=""))


async def get_file_metas(request: web.Request) -> web.Response:
    """GET /executions/{executionId}/file/metas?path=kestra:///…: the size."""
    uri = await _checked_uri(request)
    return json_response({"size": await request.app[FILES].size(uri)})


async def preview_file(request: web.Request) -> web.Response:
    """GET /executions/{executionId}/file/preview?path&maxRows&encoding: what it begins with."""
    uri, files = await _checked_uri(request), request.app[FILES]
    rows = min(whole_number(request.query, "maxRows", ROWS_DEFAULT), ROWS_MAX)
    encoding = request.query.get("encoding") or "UTF-8"
    size, source = await files.size(uri), await files.open(uri)
    try:
        name = addresses.file_name(uri)
        return json_response(await files.call(preview, source, name, size, rows, encoding))
    finally:
        await files.call(source.close)


async def _checked_uri(request: web.Request) -> str:
    """The address in the query, if this execution may be asked for it.

    Raises:
        web.HTTPFound: it belongs to another execution: ask there.
        HttpError: it belongs to none.
    """
    uri = request.query.get("path")
    if not uri:
        raise BadRequest("Required argument [path] not specified")
    document = await execution_of(request)
    if addresses.belongs_to(uri, document["namespace"], document["flowId"], document["id"]):
        return uri
    other = _OTHER_EXECUTION.search(addresses.parse(uri))
    if other is None or other[1] == document["id"]:
        raise HttpError(422, "Illegal argument", f"Invalid prefix path: {uri[:200]}")
    here = f"/executions/{request.match_info['executionId']}/"
    path = request.path.replace(here, f"/executions/{quote(other[1], safe='')}/", 1)
    raise web.HTTPFound(f"{path}?path={quote(uri, safe='')}")


ROUTES = (
    ("GET", "/executions/{executionId}/file/preview", preview_file),
    ("GET", "/executions/{executionId}/file/metas", get_file_metas),
    ("GET", "/executions/{executionId}/file", download_file),
)
