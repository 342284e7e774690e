"""/namespaces: which there are, and what is written down of them.

A namespace is there as soon as it, or one below it, has a flow or something is written down of it.
Of what Kestra's enterprise edition keeps of one there is a description; whatever would change how
flows run is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from tiercel_api.answers import json_response
from tiercel_api.bodies import read_json
from tiercel_api.errors import HttpError
from tiercel_api.files import FILES
from tiercel_api.lookup import tenant_of
from tiercel_api.namespace_filters import namespace_filter
from tiercel_api.paging import is_set, page_of, sort_of
from tiercel_api.security.access import Permission
from tiercel_api.security.guard import allow
from tiercel_api.security.narrowing import is_within, narrows
from tiercel_api.services import SERVICES
from tiercel_engine.errors import Conflict, InvalidInput, NotFound, Violation
from tiercel_engine.flow.base import Namespace
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.repository.terms import Facts, holds
from tiercel_engine.storage.kv import KvStore, lineage
from tiercel_engine.storage.namespace_files import NamespaceFiles
from tiercel_engine.storage.namespaces import About, Namespaces
from tiercel_engine.storage.secrets import environment_secret_names

SYSTEM = "system"
#: Names of one autocompletion.
NAMES_MAX = 1_000
#: What a client sends along with an id and a description, and means nothing by.
_EMPTY: tuple[Any, ...] = (None, False, "", [], {})
_NAMESPACE: TypeAdapter[str] = TypeAdapter(Namespace)


class _Known:
    """The namespaces that are there. Reads storage: made in a thread.

    Attributes:
        own: those that have a flow themselves, or something written down.
        names: these, all above them, and the system's.
    """

    def __init__(self, request: web.Request) -> None:
        services = request.app[SERVICES]
        self.about = Namespaces(services.storage)
        flows = services.catalog.namespaces(tenant_of(request))
        self._written = set(self.about.names())
        self.own = {*flows, *self._written}
        self.names = {above for name in self.own for above in lineage(name)} | {SYSTEM}

    def document(self, name: str) -> JsonObject:
        """A namespace as it is answered."""
        about = self.about.get(name) if name in self._written else None
        return _document(name, about)


def _document(name: str, about: About | None) -> JsonObject:
    """`disabled` as in Kestra: nothing is written down."""
    document: JsonObject = {"id": name, "deleted": False, "disabled": about is None}
    if about is not None and about.description is not None:
        document["description"] = about.description
    return document


@narrows
async def search_namespaces(request: web.Request) -> web.Response:
    """GET /namespaces/search: the tree of namespaces; `existing=true`: without mere parents."""
    terms = namespace_filter(request.query)
    page, size = page_of(request.query)
    descending = _is_descending(sort_of(request.query))
    existing = is_set(request.query, "existing")

    def search() -> JsonObject:
        known = _Known(request)
        found = sorted(
            (
                name
                for name in (known.own if existing else known.names)
                if is_within(request, name) and _matches(name, terms)
            ),
            reverse=descending,
        )
        shown = found[(page - 1) * size : page * size]
        return {"results": [known.document(name) for name in shown], "total": len(found)}

    return json_response(await request.app[FILES].call(search))


def _matches(name: str, terms: Any) -> bool:
    facts = Facts({"id": name, "namespace": name}, (name,))
    return all(holds(term, facts) for term in terms)


def _is_descending(sort: tuple[tuple[str, bool], ...]) -> bool:
    for field, _ in sort:
        if field not in ("id", "namespace"):
            raise HttpError(422, "Illegal argument", f"Invalid sort parameter: {field!r}")
    return bool(sort) and not sort[0][1]


@narrows
async def autocomplete(request: web.Request) -> web.Response:
    """POST /namespaces/autocomplete: `{q, ids, existingOnly}`; the names with `q`, and the ids."""
    body = await _object(request)
    words, ids = body.get("q") or "", body.get("ids") or []
    if not isinstance(words, str) or not isinstance(ids, list) or len(ids) > NAMES_MAX:
        raise HttpError(422, "Illegal argument", "Expected q, a text, and ids, a list of names.")

    def find() -> list[str]:
        known = _Known(request)
        names = known.own if body.get("existingOnly") else known.names
        found = sorted(n for n in names if words.lower() in n and is_within(request, n))
        wanted = [name for name in ids if name in known.names and is_within(request, name)]
        return list(dict.fromkeys([*wanted, *found]))[:NAMES_MAX]

    return json_response(await request.app[FILES].call(find))


async def get_namespace(request: web.Request) -> web.Response:
    """GET /namespaces/{id}."""
    name = request.match_info["id"]

    def find() -> JsonObject:
        known = _Known(request)
        if name not in known.names:
            raise NotFound(f"Namespace {name} not found")
        return known.document(name)

    return json_response(await request.app[FILES].call(find))


async def create_namespace(request: web.Request) -> web.Response:
    """POST /namespaces: write down an id and a description."""
    body = await _object(request)
    name, about = _written(body)
    allow(request, Permission.WRITE, name)

    def create() -> JsonObject:
        if not Namespaces(request.app[SERVICES].storage).create(name, about):
            raise Conflict(f"Namespace {name} exists already.")
        return _document(name, about)

    return json_response(await request.app[FILES].call(create))


async def update_namespace(request: web.Request) -> web.Response:
    """PUT /namespaces/{id}: write another description down."""
    body, name = await _object(request), request.match_info["id"]
    given, about = _written({"id": name, **body})
    if given != name:
        raise InvalidInput((Violation("namespace.id", "Illegal namespace id update"),))

    def update() -> JsonObject:
        known = _Known(request)
        if name not in known.names:
            raise NotFound(f"Namespace {name} not found")
        known.about.put(name, about)
        return _document(name, about)

    return json_response(await request.app[FILES].call(update))


async def delete_namespace(request: web.Request) -> web.Response:
    """DELETE /namespaces/{id}: one in which nothing lies any more."""
    name = request.match_info["id"]
    await request.app[FILES].call(_delete, request, name)
    return web.Response(status=204)


def _delete(request: web.Request, name: str) -> None:
    services, known = request.app[SERVICES], _Known(request)
    if name not in known.own:
        raise NotFound(f"Namespace {name} not found")
    left: dict[str, Callable[[], Any]] = {
        "flows": lambda: name in services.catalog.namespaces(tenant_of(request)),
        "key-value pairs": lambda: next(KvStore(services.storage, services.clock).keys(name), None),
        "files": lambda: NamespaceFiles(services.storage, name).children("/"),
    }
    for what, has in left.items():
        if has():
            raise Conflict(f"Expected nothing in the namespace {name}, but it has {what}.")
    known.about.delete(name)


async def inherited_variables(request: web.Request) -> web.Response:
    """GET /namespaces/{id}/inherited-variables: none; only flows have variables here."""
    return json_response({})


@narrows
async def list_secrets(request: web.Request) -> web.Response:
    """GET /secrets and /namespaces/{namespace}/secrets: names of the server's secrets.

    They are environment variables, the same for every namespace.
    """
    page, size = page_of(request.query)
    words = request.query.get("q") or request.query.get("filters[q][EQUALS]") or ""
    keys = [key for key in environment_secret_names() if words.upper() in key]
    shown = [{"key": key} for key in keys[(page - 1) * size : page * size]]
    return json_response({"readOnly": True, "results": shown, "total": len(keys)})


async def inherited_secrets(request: web.Request) -> web.Response:
    """GET /namespaces/{namespace}/inherited-secrets: namespace -> names of its secrets."""
    return json_response({request.match_info["namespace"]: environment_secret_names()})


async def _object(request: web.Request) -> JsonObject:
    body = await read_json(request)
    if not isinstance(body, dict):
        raise HttpError(422, "Invalid json", "Expected a JSON object.")
    return body


def _written(body: JsonObject) -> tuple[str, About]:
    """Raises InvalidInput: an id or a description that holds not, or something besides."""
    try:
        name = _NAMESPACE.validate_python(body.get("id"))
    except ValidationError as error:
        raise InvalidInput((Violation("namespace.id", error.errors()[0]["msg"]),)) from None
    description = body.get("description")
    if description is not None and not isinstance(description, str):
        raise InvalidInput((Violation("namespace.description", "must be a text"),))
    besides = sorted(body.keys() - {"id", "description", "disabled"})
    told = tuple(
        Violation(f"namespace.{key}", "is not supported: a namespace has an id and a description")
        for key in besides
        if body[key] not in _EMPTY
    )
    if told:
        raise InvalidInput(told)
    return name, About(description)


ROUTES = (
    ("GET", "/namespaces/search", search_namespaces),
    ("POST", "/namespaces/autocomplete", autocomplete),
    ("POST", "/namespaces", create_namespace),
    ("GET", "/secrets", list_secrets),
    ("GET", "/namespaces/{namespace}/secrets", list_secrets),
    ("GET", "/namespaces/{namespace}/inherited-secrets", inherited_secrets),
    ("GET", "/namespaces/{id}/inherited-variables", inherited_variables),
    ("GET", "/namespaces/{id}", get_namespace),
    ("PUT", "/namespaces/{id}", update_namespace),
    ("DELETE", "/namespaces/{id}", delete_namespace),
)
