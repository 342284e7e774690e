"""Query strings -> pages, sorts and filters, in both spellings.

`0.21` sends flat parameters (`namespace=`, `state=`, `timeRange=`), `2.0` sends
`filters[field][OPERATOR]=value`. Whatever is not understood is refused, never ignored: an ignored
filter would answer with rows that nobody asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multidict import MultiMapping

from tiercel_api import filters
from tiercel_api.errors import HttpError
from tiercel_api.filters import instant_us
from tiercel_engine.errors import InvalidInput, UserError, Violation
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.repository.base import ExecutionFilter, LogFilter, TriggerFilter
from tiercel_engine.repository.terms import Condition, holds
from tiercel_schemas.flows import FlowRevision

PAGE_SIZE = 10
#: The largest page; more would hold the answer in memory for no reader's use.
PAGE_SIZE_MAX = 10_000
#: The deepest row that a search may start at.
ROWS_MAX = 10_000_000
NUMBER_CHARS_MAX = 9
LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")

Query = MultiMapping[str]
_FILTER = re.compile(r"filters\[(\w+)\]\[(\w+)\](?:\[([^\]]+)\])?")


def page_of(query: Query) -> tuple[int, int]:
    """`page` from 1 and `size`."""
    page = whole_number(query, "page", 1)
    size = whole_number(query, "size", PAGE_SIZE)
    if size > PAGE_SIZE_MAX:
        raise _violation("size", f"must be less than or equal to {PAGE_SIZE_MAX}")
    if page * size > ROWS_MAX:
        raise _violation("page", f"must not reach beyond row {ROWS_MAX}")
    return page, size


def whole_number(query: Query, name: str, default: int) -> int:
    """A parameter that must be 1 or more."""
    text = query.get(name)
    if text is None:
        return default
    is_number = text.removeprefix("-").isdecimal() and len(text) <= NUMBER_CHARS_MAX
    if not is_number:
        raise HttpError(
            400, "Bad Request", f"Expected a whole number for {name}, but it was {text!r}."
        )
    if int(text) < 1:
        raise _violation(name, "must be greater than or equal to 1")
    return int(text)


def optional_number(query: Query, name: str) -> int | None:
    """A parameter that must be 0 or more when it is there."""
    text = query.get(name)
    if text is None or text == "":
        return None
    if not text.isdecimal() or len(text) > NUMBER_CHARS_MAX:
        raise HttpError(
            400, "Bad Request", f"Expected a whole number for {name}, but it was {text!r}."
        )
    return int(text)


def is_set(query: Query, name: str, default: bool = False) -> bool:
    """A parameter that is true or false."""
    text = query.get(name)
    return default if text is None else text.lower() in ("true", "1", "yes", "")


def sort_of(query: Query) -> tuple[tuple[str, bool], ...]:
    """`sort=field:asc` parameters as (field, ascending) pairs."""
    pairs = []
    for text in query.getall("sort", []):
        field, _, direction = text.partition(":")
        if not field or direction.lower() not in ("asc", "desc"):
            raise HttpError(422, "Illegal argument", f"Invalid sort parameter: {text!r}")
        pairs.append((field, direction.lower() == "asc"))
    return tuple(pairs)


#: Filters that may mean executions of other kinds, too.
ASKS_FOR_PARTS = ("kind", "parentId", "triggerExecutionId")
NORMAL = "NORMAL"


def execution_filter(query: Query, now_us: int) -> ExecutionFilter:
    """What `GET /executions/search` asks for.

    Executions that are parts of others, or tests, are shown to who asks for them: by their kind,
    or by the execution around them.
    """
    asks = any(name in key for key in query for name in ASKS_FOR_PARTS)
    kinds = () if asks else (NORMAL,)
    return ExecutionFilter(kinds=kinds, terms=filters.of_executions(query, now_us))


def log_filter(query: Query, now_us: int, **given: Any) -> LogFilter:
    """What `GET /logs/…` asks for."""
    parts: dict[str, Any] = dict(given)
    for field, operator, value in _conditions(query):
        _narrow_log(parts, field, operator, value, now_us)
    return LogFilter(**parts)


def trigger_filter(query: Query, now_us: int) -> TriggerFilter:
    """What `GET /triggers/search` asks for."""
    parts: dict[str, Any] = {}
    for field, operator, value in _conditions(query):
        if field == "triggerId":
            _expect(field, operator, frozenset({"EQUALS"}))
            parts["trigger_id"] = value
        elif field == "triggerState":
            _expect(field, operator, frozenset({"EQUALS"}))
            parts["disabled"] = value.upper() == "DISABLED"
        elif field != "workerId":
            _narrow_shared(parts, field, operator, value, now_us)
    parts.pop("start_us", None)
    parts.pop("end_us", None)
    return TriggerFilter(**parts)


_PLAIN = frozenset(
    {
        "q", "scope", "namespace", "flowId", "startDate", "endDate", "timeRange", "state", "labels",
        "triggerExecutionId", "childFilter", "minLevel", "triggerId", "taskId", "taskRunId",
        "attempt", "kind",
    }
)  # fmt: skip


def _conditions(query: Query) -> Iterator[tuple[str, str, str]]:
    """(field, operator, value) in both spellings. Plain `namespace` means it and those below."""
    for name, value in query.items():
        match = _FILTER.fullmatch(name)
        if match:
            field, operator, key = match.groups()
            yield field, operator.upper(), f"{key}:{value}" if key else value
        elif name in _PLAIN and value != "":
            yield name, "PREFIX" if name == "namespace" else "EQUALS", value


def _narrow_log(parts: dict[str, Any], field: str, operator: str, value: str, now_us: int) -> None:
    if field in ("minLevel", "level"):
        if value.upper() not in LEVELS:
            raise HttpError(
                400, "Bad Request", f"Expected one of {', '.join(LEVELS)}, but was {value!r}."
            )
        parts["min_level"] = value.upper()
    elif field == "attempt":
        if not value.isdecimal() or len(value) > 9:
            raise HttpError(400, "Bad Request", f"Expected an attempt, but it was {value!r}.")
        parts["attempt"] = int(value)
    elif field == "namespace":
        # Lines are found by their namespace and those below it, in either spelling of that.
        _expect(field, operator, frozenset({"PREFIX"}))
        parts["namespace"] = value
    elif field in ("taskId", "taskRunId", "triggerId", "executionId"):
        _expect(field, operator, frozenset({"EQUALS"}))
        parts[_SNAKE[field]] = value
    else:
        _narrow_shared(parts, field, operator, value, now_us)


_SNAKE = {
    "taskId": "task_id",
    "taskRunId": "task_run_id",
    "triggerId": "trigger_id",
    "executionId": "execution_id",
}


def _narrow_shared(
    parts: dict[str, Any], field: str, operator: str, value: str, now_us: int
) -> None:
    match field, operator:
        case "q", "EQUALS":
            parts["q"] = value
        case "namespace", "EQUALS":
            parts["namespace"] = value
        case "namespace", "PREFIX":
            parts["namespace_prefix"] = value
        case "flowId", "EQUALS":
            parts["flow_id"] = value
        case "timeRange", "EQUALS":
            parts["start_us"] = now_us - _range_us(value)
        case "startDate", "EQUALS" | "GREATER_THAN" | "GREATER_THAN_OR_EQUAL_TO":
            parts["start_us"] = instant_us(value)
        case "endDate", "EQUALS" | "LESS_THAN" | "LESS_THAN_OR_EQUAL_TO":
            parts["end_us"] = instant_us(value)
        case "scope", _:
            _check_scope(value)
        case _:
            raise HttpError(
                422, "Illegal argument", f"Unsupported filter: {field} with {operator}."
            )


def _check_scope(value: str) -> None:
    """Everything is in scope USER; only SYSTEM alone would need the system namespace."""
    if not set(value.split(",")) <= {"USER", "SYSTEM"}:
        raise HttpError(422, "Illegal argument", f"Expected USER or SYSTEM, but was {value!r}.")


def _expect(field: str, operator: str, allowed: frozenset[str]) -> None:
    if operator not in allowed:
        raise HttpError(422, "Illegal argument", f"Unsupported filter: {field} with {operator}.")


def _range_us(text: str) -> int:
    try:
        return round(parse_duration_s(text) * 1_000_000)
    except ValueError as error:
        raise UserError(str(error)) from None


def _violation(path: str, message: str) -> InvalidInput:
    return InvalidInput((Violation(path, message),))


@dataclass(frozen=True, slots=True)
class FlowFilter:
    """Which flows; every part narrows."""

    namespace: str | None = None
    namespace_prefix: str | None = None
    terms: Sequence[Condition] = ()

    def matches(self, entry: FlowRevision, labels: Callable[[], Mapping[str, str]] = dict) -> bool:
        """Whether a stored flow matches; `labels` are asked for only when a term needs them."""
        if self.namespace is not None and entry.namespace != self.namespace:
            return False
        prefix = self.namespace_prefix
        if prefix is not None and not f"{entry.namespace}.".startswith(f"{prefix}."):
            return False
        name = entry.flow_id
        fields: dict[str, str | None] = {"namespace": entry.namespace, "flowId": name, "id": name}
        return all(holds(term, fields, labels) for term in self.terms)


def flow_filter(query: Query) -> FlowFilter:
    """What `GET /flows/search` asks for."""
    return FlowFilter(terms=filters.of_flows(query))
