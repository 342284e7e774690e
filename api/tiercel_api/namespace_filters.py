"""What searches of tenants, namespaces and key-value pairs may be asked: no database holds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tiercel_api.filter_values import Reader, instant, number, search, text
from tiercel_api.filters import Query, conditions
from tiercel_engine.repository.terms import Condition, Term

_PAIR_READERS: dict[str, Reader] = {
    "q": search,
    "namespace": text,
    "key": text,
    "revision": number,
    **dict.fromkeys(("creationDate", "updateDate", "expirationDate"), instant),
}
_NAMESPACE_READERS: dict[str, Reader] = {
    "q": search,
    **dict.fromkeys(("id", "namespace"), text),
}


def pair_filter(query: Query, now_us: int) -> Sequence[Condition]:
    """What `GET /kv` asks for."""
    return conditions(query, {"q": "EQUALS", "namespace": "PREFIX"}, _PAIR_READERS, now_us)


def namespace_filter(query: Query) -> Sequence[Condition]:
    """What `GET /namespaces/search` asks for."""
    return conditions(query, {"q": "EQUALS", "namespace": "PREFIX"}, _NAMESPACE_READERS, 0)


def tenant_filter(query: Query) -> Sequence[Condition]:
    """What `GET /tenants/search` asks for."""
    readers = {"q": search, "id": text, "name": text}
    return conditions(query, {"q": "EQUALS"}, readers, 0)


def named(terms: Sequence[Condition], operators: Sequence[str]) -> Iterator[str]:
    """The namespaces, one of which each thing that is found must be in or below."""
    for term in terms:
        if isinstance(term, Term) and term.field == "namespace" and term.operator in operators:
            yield from map(str, term.values)
            return
