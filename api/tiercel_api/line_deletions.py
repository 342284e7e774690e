"""Deletions of log lines and metrics: what is asked for, and saying it in the log.

What is said holds for the earlier lines of the same partition, so that an index that is built anew
comes out the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tiercel_api import filters
from tiercel_api.errors import HttpError
from tiercel_api.gateway import GATEWAY
from tiercel_api.indexed import is_indexed
from tiercel_api.security.narrowing import is_within, narrowed_roots
from tiercel_api.services import SERVICES
from tiercel_engine.repository.base import MeasureFilter
from tiercel_engine.repository.query import LEVELS
from tiercel_engine.repository.terms import Term
from tiercel_schemas.logs import LogsDeleted, MetricsDeleted
from tiercel_schemas.topics import Topic, partition_for

#: Terms that a deletion can say, by field and operator -> name of its part.
_SAYABLE = {
    ("namespace", "PREFIX"): "namespace",
    ("namespace", "EQUALS"): "exact_namespace",
    ("flowId", "EQUALS"): "flow_id",
    ("executionId", "EQUALS"): "execution_id",
    ("taskId", "EQUALS"): "task_id",
    ("taskRunId", "EQUALS"): "task_run_id",
    ("triggerId", "EQUALS"): "trigger_id",
    ("attempt", "EQUALS"): "attempt",
    ("level", "GREATER_THAN_OR_EQUAL_TO"): "min_level",
    ("timestamp", "GREATER_THAN_OR_EQUAL_TO"): "start_us",
    ("timestamp", "LESS_THAN_OR_EQUAL_TO"): "end_us",
}


def deletion_of(request: web.Request) -> dict[str, Any]:
    """What a deletion asks for, as parts of a `LogFilter`; the log keeps nothing but these.

    Raises:
        HttpError: it asks for something that a deletion does not narrow by.
    """
    parts: dict[str, Any] = {}
    for term in filters.of_logs(request.query, request.app[SERVICES].clock.now_us()):
        name = _SAYABLE.get((term.field, term.operator)) if isinstance(term, Term) else None
        if name is None or name in parts or not isinstance(term, Term) or len(term.values) != 1:
            raise HttpError(
                422,
                "Illegal argument",
                "Expected a deletion by one namespace, flowId, taskId, taskRunId, triggerId, "
                "attempt, minLevel, startDate and endDate alone.",
            )
        value = term.values[0]
        parts[name] = LEVELS[int(value)] if name == "min_level" else value
    return parts


def purges_of(request: web.Request) -> list[MeasureFilter]:
    """What a purge asks for: `endDate`, and `startDate`, `namespace`, `flowId` if it likes.

    As in Kestra, a namespace alone stands for those below it, too; beside a flow for itself.
    Whoever may purge in single namespaces only gets a purge for each of them.

    Raises:
        HttpError: there is no `endDate`, or something that a purge does not narrow by.
    """
    parts = deletion_of(request)
    if "end_us" not in parts:
        raise HttpError(422, "Illegal argument", "Expected an endDate: older lines are purged.")
    if not parts.keys() <= {"namespace", "exact_namespace", "flow_id", "start_us", "end_us"}:
        raise HttpError(
            422,
            "Illegal argument",
            "Expected a purge by namespace, flowId, startDate and endDate alone.",
        )
    if "flow_id" in parts and "namespace" in parts:
        parts["exact_namespace"] = parts.pop("namespace")
    exact = parts.get("exact_namespace")
    if exact is not None:
        return [MeasureFilter(**parts)] if is_within(request, exact) else []
    roots = narrowed_roots(request, parts.pop("namespace", None))
    return [MeasureFilter(namespace=root, **parts) for root in roots]


def levels_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Levels, each once. Raises HttpError: one is none."""
    levels = tuple(dict.fromkeys(part.strip().upper() for t in texts for part in t.split(",")))
    for level in levels:
        if level not in LEVELS:
            allowed = ", ".join(LEVELS)
            raise HttpError(
                422, "Illegal argument", f"Expected logLevels of {allowed}, but one was {level!r}."
            )
    return levels


async def say_deleted(
    request: web.Request,
    topic: Topic,
    deletion: LogsDeleted | MetricsDeleted,
    execution_id: str | None = None,
) -> None:
    """Say in the log what is not to be shown, and wait for the read model.

    What an execution said lies in one partition, what a flow said in all of them.
    """
    count = await asyncio.to_thread(request.app[SERVICES].log.partition_count, topic.name)
    partitions = range(count) if execution_id is None else [partition_for(execution_id, count)]
    for partition in partitions:
        await request.app[GATEWAY].append(topic.name, execution_id or "", deletion, partition)
    await is_indexed(request, topic, partitions, request.app[SERVICES].settings.index_timeout_s)


async def all_indexed(request: web.Request, topic: Topic) -> bool:
    """Wait until the read model holds what was said so far; False: not in time."""
    return await is_indexed(request, topic, None, request.app[SERVICES].settings.index_timeout_s)
