"""What the body of a request asks of a chart: a window of time, a page, filters.

A filter on a field that the chart's rows do not have leaves the chart as it is: one set of filters
is sent to all charts of a dashboard. A filter on a field that no chart has is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tiercel_api import filters
from tiercel_api.body_filters import in_query
from tiercel_api.dashboards.charts import Asked
from tiercel_api.dashboards.parts import TimeWindow
from tiercel_api.errors import HttpError
from tiercel_api.spans import Window, window_of
from tiercel_engine.clock import iso
from tiercel_engine.repository.aggregates import FIELDS, Kind
from tiercel_engine.repository.base import JsonObject
from tiercel_engine.repository.terms import Condition, Term

#: Rows of one answer.
ROWS_MAX = 10_000
#: The deepest row that a page may start at.
DEPTH_MAX = 1_000_000
_KNOWN = frozenset[str]().union(*(readers.keys() for readers in filters.READERS.values()))


def asked_of(
    body: object,
    table: str,
    limits: TimeWindow,
    now_us: int,
    *,
    needs_dates: bool,
    also: Iterable[Condition] = (),
    flows: Iterable[tuple[str, str, int]] = (),
) -> Asked:
    """Read a body.

    Args:
        table: that the chart is about.
        limits: of the dashboard.
        needs_dates: whether both dates must be given; otherwise the window that the dashboard
            shows unless said otherwise ends now, or at the date that is given.
        also: what holds for the rows, too.

    Raises:
        HttpError: something in it does not read, or the window is too long.
    """
    given = {} if body is None else body
    if not isinstance(given, dict):
        raise _illegal("Expected a JSON object with startDate and endDate.")
    where: list[Condition] = [*also]
    if namespace := _text(given, "namespace"):
        where.append(Term("namespace", "PREFIX", (namespace,)))
    if Kind.LABELS in FIELDS[table].values():
        labels = given.get("labels") or {}
        if not isinstance(labels, dict):
            raise _illegal("Expected labels as an object.")
        where += [Term("labels", "EQUALS", (str(v),), str(k)) for k, v in labels.items()]
    where += _filters(given, table, now_us)
    page, size = _number(given, "pageNumber", 1), _number(given, "pageSize", ROWS_MAX)
    if size > ROWS_MAX or page * size > DEPTH_MAX + ROWS_MAX:
        raise _illegal(f"Expected pages of at most {ROWS_MAX} rows, up to row {DEPTH_MAX}.")
    window = _window(given, limits, now_us, needs_dates)
    return Asked(window, where, page, size, tuple(flows))


def _window(given: JsonObject, limits: TimeWindow, now_us: int, needs_dates: bool) -> Window:
    start, end = _text(given, "startDate"), _text(given, "endDate")
    if needs_dates and not (start and end):
        raise _illegal("Expected startDate and endDate.")
    if not start:
        last_us = window_of(None, end, now_us).end_us
        start = iso(last_us - limits.default_us)
    window = window_of(start, end, now_us)
    if window.end_us - window.start_us > limits.max_us:
        raise _illegal(f"Expected a window of at most {limits.max}, but it is longer.")
    return window


def _filters(given: JsonObject, table: str, now_us: int) -> Iterable[Condition]:
    written = given.get("filters") or []
    query = in_query(_fitting(written, table) if isinstance(written, list) else written)
    return filters.of_table(table, query, now_us)


def _fitting(written: list[Any], table: str) -> list[Any]:
    """The filters whose fields the table has, or nobody has, which is refused later."""
    found = []
    for one in written:
        if isinstance(one, dict) and isinstance(one.get("children"), list):
            found.append({**one, "children": _fitting(one["children"], table)})
        elif not isinstance(one, dict) or _is_of(table, str(one.get("field"))):
            found.append(one)
    return found


def _is_of(table: str, field: str) -> bool:
    name = "q" if field == "QUERY" else field
    return name in filters.READERS[table] or name not in _KNOWN


def _text(given: JsonObject, name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise _illegal(f"Expected text for {name}, but it is {value!r}.")
    return value or None


def _number(given: JsonObject, name: str, default: int) -> int:
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _illegal(f"Expected a number of 1 or more for {name}, but it is {value!r}.")
    return value


def _illegal(message: str) -> HttpError:
    return HttpError(422, "Illegal argument", message)
