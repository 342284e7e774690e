"""What users see and change whose roles hold in single namespaces, where a request names none.

A handler that `narrows` promises to look at nothing outside the namespaces in which whoever sends
the request may do what it asks for: it adds `narrowing` to what it searches, and asks `is_within`
about everything that it is told by name. What lies outside is for it as if it were not there. The
guard lets nobody else than those who may everywhere through to other handlers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from aiohttp import web

from tiercel_api.errors import Handler
from tiercel_engine.repository.terms import Condition, Term

#: With those below them; not set: everywhere.
NAMESPACES: web.RequestKey[tuple[str, ...]] = web.RequestKey("namespaces", tuple)

H = TypeVar("H", bound=Handler)
_NARROWING: set[Handler] = set()


def narrows(handler: H) -> H:
    """Marks a handler that keeps to the namespaces of its request."""
    _NARROWING.add(handler)
    return handler


def is_narrowing(handler: object) -> bool:
    """Whether a handler keeps to the namespaces of its request."""
    return handler in _NARROWING


def narrowing(request: web.Request) -> Sequence[Condition]:
    """What every search of the request must ask for, too."""
    namespaces = request.get(NAMESPACES)
    return () if namespaces is None else (Term("namespace", "PREFIX", namespaces),)


def is_within(request: web.Request, namespace: str) -> bool:
    """Whether the request may be about this namespace."""
    namespaces = request.get(NAMESPACES)
    return namespaces is None or any(is_below(namespace, one) for one in namespaces)


def narrowed_roots(request: web.Request, root: str | None) -> list[str | None]:
    """What a request about `root` and all below it is about; None stands for all namespaces."""
    namespaces = request.get(NAMESPACES)
    if namespaces is None:
        return [root]
    if root is not None and is_within(request, root):
        return [root]
    below = {one for one in namespaces if root is None or is_below(one, root)}
    # None twice: a namespace beside one above it says nothing new.
    return sorted(one for one in below if not any(is_below(one, up) for up in below - {one}))


def is_below(namespace: str, root: str) -> bool:
    """Whether it is the root, or below it."""
    return namespace == root or namespace.startswith(f"{root}.")
