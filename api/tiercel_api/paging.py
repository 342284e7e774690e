"""Query strings -> pages, sorts and filters, in both spellings.

`0.21` sends flat parameters (`namespace=`, `state=`, `timeRange=`), `2.0` sends
`filters[field][OPERATOR]=value`. Whatever is not understood is refused, never ignored: an ignored
filter would answer with rows that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from multidict import MultiMapping

from tiercel_api import filters
from tiercel_api.errors import HttpError
from tiercel_engine.errors import InvalidInput, UserError, Violation
from tiercel_engine.repository.base import ExecutionFilter, JsonObject, LogFilter, TriggerFilter
from tiercel_engine.repository.patterns import Patterns
from tiercel_engine.repository.terms import Condition, Facts, Value, holds
from tiercel_schemas.flows import FlowRevision

PAGE_SIZE = 10
#: The largest page; more would hold the answer in memory for no reader's use.
PAGE_SIZE_MAX = 10_000
#: The deepest row that a search may start at.
ROWS_MAX = 10_000_000
NUMBER_CHARS_MAX = 9

Query = MultiMapping[str]


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
        name, _, direction = text.partition(":")
        if not name or direction.lower() not in ("asc", "desc"):
            raise HttpError(422, "Illegal argument", f"Invalid sort parameter: {text!r}")
        pairs.append((name, direction.lower() == "asc"))
    return tuple(pairs)


def page_in_memory(rows: Sequence[JsonObject], query: Query, fields: Sequence[str]) -> JsonObject:
    """A page of what no database holds, sorted as the query asks.

    Args:
        fields: what it may be sorted by, as text; a row may lack one.

    Raises:
        UserError: it is to be sorted by something else.
    """
    page, size = page_of(query)
    found = list(rows)
    for name, ascending in reversed(sort_of(query)):
        if name not in fields:
            raise UserError(f"Expected to sort by {', '.join(fields)}, not by {name!r}.")
        found.sort(key=partial(_text_in, name), reverse=not ascending)
    return {"results": found[(page - 1) * size : page * size], "total": len(found)}


def _text_in(name: str, row: JsonObject) -> str:
    return str(row.get(name, ""))


#: Filters that may mean executions of other kinds, too.
ASKS_FOR_PARTS = ("kind", "parentId", "triggerExecutionId")
NORMAL = "NORMAL"


def execution_filter(
    query: Query, now_us: int, within: Sequence[Condition] = ()
) -> ExecutionFilter:
    """What `GET /executions/search` asks for; `within` narrows it, as that of the others here.

    Executions that are parts of others, or tests, are shown to who asks for them: by their kind,
    or by the execution around them.
    """
    asks = any(name in key for key in query for name in ASKS_FOR_PARTS)
    kinds = () if asks else (NORMAL,)
    terms = [*filters.of_executions(query, now_us), *within]
    return ExecutionFilter(kinds=kinds, terms=terms)


def log_filter(
    query: Query,
    now_us: int,
    execution_id: str | None = None,
    within: Sequence[Condition] = (),
) -> LogFilter:
    """What `GET /logs/…` asks for."""
    return LogFilter(execution_id=execution_id, terms=[*filters.of_logs(query, now_us), *within])


def metric_filter(query: Query, now_us: int) -> Sequence[Condition]:
    """What `GET /metrics/{executionId}` asks for."""
    return filters.of_metrics(query, now_us)


def trigger_filter(query: Query, now_us: int, within: Sequence[Condition] = ()) -> TriggerFilter:
    """What `GET /triggers/search` asks for."""
    return TriggerFilter(terms=[*filters.of_triggers(query, now_us), *within])


def _violation(path: str, message: str) -> InvalidInput:
    return InvalidInput((Violation(path, message),))


@dataclass(frozen=True, slots=True)
class FlowFilter:
    """Which flows; every part narrows. One search has one: its patterns share one bound of time."""

    namespace: str | None = None
    namespace_prefix: str | None = None
    terms: Sequence[Condition] = ()
    patterns: Patterns = field(default_factory=Patterns)

    def matches(self, entry: FlowRevision, labels: Callable[[], Mapping[str, str]] = dict) -> bool:
        """Whether a stored flow matches; `labels` are asked for only when a term needs them.

        Raises:
            SearchTooSlow: regular expressions took too long.
        """
        if self.namespace is not None and entry.namespace != self.namespace:
            return False
        prefix = self.namespace_prefix
        if prefix is not None and not f"{entry.namespace}.".startswith(f"{prefix}."):
            return False
        if not self.terms:
            return True
        name = entry.flow_id
        fields: dict[str, Value | None] = {
            "namespace": entry.namespace,
            "flowId": name,
            "id": name,
            "flowRevision": entry.revision,
        }
        facts = Facts(fields, (entry.namespace, name), labels, self.patterns)
        return all(holds(term, facts) for term in self.terms)


def flow_filter(query: Query) -> FlowFilter:
    """What `GET /flows/search` asks for."""
    return FlowFilter(terms=filters.of_flows(query))
