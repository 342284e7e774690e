"""Deletions of log lines and metrics: what is asked for, and saying it in the log.

What is said holds for the earlier lines of the same partition, so that an index that is built anew
comes out the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from aiohttp import web

from tiercel_api.errors import HttpError
from tiercel_api.gateway import GATEWAY
from tiercel_api.paging import LEVELS, log_filter
from tiercel_api.reads import READS
from tiercel_api.services import SERVICES
from tiercel_engine.repository.base import LogFilter, MeasureFilter
from tiercel_schemas.logs import LogsDeleted, MetricsDeleted
from tiercel_schemas.topics import Topic, partition_for


def purge_of(request: web.Request) -> MeasureFilter:
    """What a purge asks for: `endDate`, and `startDate`, `namespace`, `flowId` if it likes.

    As in Kestra, a namespace alone stands for those below it, too; beside a flow for itself.

    Raises:
        HttpError: there is no `endDate`, or something that a purge does not narrow by.
    """
    where = log_filter(request.query, request.app[SERVICES].clock.now_us())
    if where.end_us is None:
        raise HttpError(422, "Illegal argument", "Expected an endDate: older lines are purged.")
    known = LogFilter(
        namespace=where.namespace,
        flow_id=where.flow_id,
        start_us=where.start_us,
        end_us=where.end_us,
    )
    if where != known:
        raise HttpError(
            422,
            "Illegal argument",
            "Expected a purge by namespace, flowId, startDate and endDate alone.",
        )
    is_of_flow = where.flow_id is not None
    return MeasureFilter(
        namespace=None if is_of_flow else where.namespace,
        exact_namespace=where.namespace if is_of_flow else None,
        flow_id=where.flow_id,
        start_us=where.start_us,
        end_us=where.end_us,
    )


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
    await _indexed(request, topic, partitions)


async def all_indexed(request: web.Request, topic: Topic) -> None:
    """Wait until the read model holds what was said so far."""
    count = await asyncio.to_thread(request.app[SERVICES].log.partition_count, topic.name)
    await _indexed(request, topic, range(count))


async def _indexed(request: web.Request, topic: Topic, partitions: Sequence[int]) -> None:
    services = request.app[SERVICES]
    for partition in partitions:
        end = await asyncio.to_thread(services.log.end_offset, topic.name, partition)
        timeout_s = services.settings.index_timeout_s
        await request.app[READS].indexed_up_to(topic.name, partition, end, timeout_s)
