"""What whoever asks may see, as a condition on rows."""

from __future__ import annotations

from aiohttp import web

from tiercel_api.security.guard import readable_namespaces
from tiercel_engine.repository.terms import Condition, Term


def readable(request: web.Request) -> tuple[Condition, ...]:
    """Rows of the namespaces that who sends it may read; none when that is all of them."""
    namespaces = readable_namespaces(request)
    return () if namespaces is None else (Term("namespace", "PREFIX", namespaces),)
