"""Routes -> an OpenAPI 3.1 document, and a page to read it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Any

from tiercel_api.errors import Handler
from tiercel_api.openapi import operations
from tiercel_api.openapi.operations import Schema
from tiercel_api.openapi.reading import query_of, reads_filters

Route = tuple[str, str, Handler]

_PLACE = re.compile(r"{(\w+)(?::[^}]*)?}")


def document(routes: Iterable[Route], version: str) -> Schema:
    """The OpenAPI document of these routes, whose paths are below the API's prefix."""
    paths: dict[str, Schema] = {}
    names: set[str] = set()
    for method, path, handler in routes:
        place = paths.setdefault(_PLACE.sub(r"{\1}", path), {})
        place[method.lower()] = _operation(method, path, handler, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tiercel", "version": version, "license": {"name": "Apache-2.0"}},
        "servers": [
            {"url": "/api/v1"},
            {"url": "/api/v1/{tenant}", "variables": {"tenant": {"default": "main"}}},
        ],
        "security": [{}, {"basic": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


_ERROR: Schema = {
    "type": "object",
    "required": ["message"],
    "properties": {
        "message": {"type": "string"},
        "_links": {"type": "object"},
        "_embedded": {"type": "object"},
    },
}


def name_of(handler: Handler, path: str) -> str:
    """`module.function`, by which the tables know a handler; a made one goes by its route."""
    function = getattr(handler, "__name__", "handler")
    module = handler.__module__.rpartition(".")[2]
    return f"{module}.{path.rpartition('/')[2] if function == 'handler' else function}"


def _operation(method: str, path: str, handler: Handler, names: set[str]) -> Schema:
    name = name_of(handler, path)
    operation: Schema = {
        "operationId": _unique(f"{method.lower()} {path}", names),
        "summary": _summary(handler),
        "tags": [path.split("/")[1]],
        "parameters": [
            {"name": place, "in": "path", "required": True, "schema": operations.TEXT}
            for place in _PLACE.findall(path)
        ],
        "responses": _responses(name),
    }
    for parameter in sorted(query_of(handler)):
        schema, words = operations.PARAMETERS[parameter]
        operation["parameters"].append(
            {
                "name": parameter,
                "in": "query",
                "required": False,
                "description": words,
                "schema": schema,
            }
        )
    if reads_filters(handler):
        operation["parameters"].append(operations.FILTERS)
    bodies = operations.BODIES.get(name, ())
    if bodies:
        content: Schema = {media: {"schema": {}} for media in bodies}
        operation["requestBody"] = {"required": False, "content": content}
    return operation


def _unique(text: str, names: set[str]) -> str:
    words = [word for word in re.split(r"\W+", _PLACE.sub(r"by \1", text)) if word]
    name = words[0] + "".join(word[0].upper() + word[1:] for word in words[1:])
    number = 2
    while name in names:
        name, number = f"{name}{number}", number + 1
    names.add(name)
    return name


def _summary(handler: Handler) -> str:
    """The sentence of a handler's docstring, without the route that stands in front of it."""
    lines = (handler.__doc__ or "").strip().splitlines()
    _, mark, sentence = lines[0].partition(": ") if lines else ("", "", "")
    sentence = sentence if mark else getattr(handler, "__name__", "").replace("_", " ")
    return sentence[:1].upper() + sentence[1:]


def _responses(name: str) -> Schema:
    media = operations.ANSWERS.get(name, "application/json")
    answers: Schema = {}
    for status, words in operations.STATUSES.items():
        answers[str(status)] = {"description": words}
        if status >= 400:
            error = {"schema": {"$ref": "#/components/schemas/Error"}}
            answers[str(status)]["content"] = {"application/json": error}
        elif status in (200, 206):
            answers[str(status)]["content"] = {media: {"schema": {}}, "application/json": {}}
    return answers


# -- a page for people -----------------------------------------------------------------------------


def page(content: Schema) -> str:
    """The document as a page of plain HTML: nothing in it runs or loads."""
    rows = []
    for path, methods in content["paths"].items():
        for method, operation in methods.items():
            names = ", ".join(
                p["name"] + ("" if p["in"] == "path" else "?") for p in operation["parameters"]
            )
            cells = (method.upper(), path, operation["summary"], names)
            rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    title = f"Tiercel {escape(str(content['info']['version']))}: the API"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        f"<body><h1>{title}</h1><p>Below /api/v1 and /api/v1/main. For programs: "
        '<a href="/openapi.json">openapi.json</a>.</p><table><thead><tr><th>Method</th>'
        "<th>Path</th><th>What it does</th><th>Parameters</th></tr></thead><tbody>"
        f"{''.join(rows)}</tbody></table></body></html>\n"
    )


def operation_count(content: dict[str, Any]) -> int:
    """How many operations the document has."""
    return sum(len(methods) for methods in content["paths"].values())
