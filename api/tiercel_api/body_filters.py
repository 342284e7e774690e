"""Filters in a JSON body, `[{field, operation, value}]` or groups of them, as a query has them."""

from __future__ import annotations

from multidict import MultiDict

from tiercel_api.errors import HttpError
from tiercel_api.filters import DEPTH_MAX

#: Names of fields in JSON that a query spells otherwise.
_NAMES = {"QUERY": "q"}


def in_query(written: object) -> MultiDict[str]:
    """The parameters that ask for the same.

    Raises:
        HttpError: they are no filters.
    """
    query: MultiDict[str] = MultiDict()
    for number, one in enumerate(_list(written)):
        _add(query, f"filters[and][{number}]", one, DEPTH_MAX)
    return query


def _list(written: object) -> list[object]:
    if not isinstance(written, list):
        raise _none()
    return written


def _none() -> HttpError:
    return HttpError(
        422, "Illegal argument", "Expected a list of filters {field, operation, value}."
    )


def _add(query: MultiDict[str], prefix: str, one: object, depth_left: int) -> None:
    if not isinstance(one, dict) or not depth_left:
        raise _none()
    if one.get("children") or one.get("logical"):
        logical = str(one.get("logical") or "and").lower()
        for number, child in enumerate(_list(one.get("children") or [])):
            _add(query, f"{prefix}[{logical}][{number}]", child, depth_left - 1)
        return
    field = str(one.get("field"))
    name = f"{prefix}[{_NAMES.get(field, field)}][{one.get('operation')}]"
    value = one.get("value")
    if isinstance(value, dict):
        for key, text in value.items():
            query.add(f"{name}[{key}]", _text(text))
    else:
        query.add(name, ",".join(map(_text, value if isinstance(value, list) else [value])))


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
