"""The lines of one execution's log by their places: its partition of the topic, and offsets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from tiercel_api import filter_values
from tiercel_api.follow import log_document
from tiercel_api.paging import log_filter
from tiercel_api.reads import READS, Reads
from tiercel_api.services import SERVICES, Services
from tiercel_engine.repository.base import JsonObject, LogFilter
from tiercel_engine.repository.query import LEVELS
from tiercel_engine.repository.terms import Facts, holds
from tiercel_schemas.codec import UnreadableRecord, decode
from tiercel_schemas.logs import LogEntry
from tiercel_schemas.topics import partition_for

#: Lines that are read at a time.
PAGE_LINES = 1_000

Line = tuple[int, JsonObject]


def lines_wanted(request: web.Request) -> LogFilter:
    """The lines of the execution in the path that the query asks for."""
    now_us = request.app[SERVICES].clock.now_us()
    return log_filter(request.query, now_us, execution_id=request.match_info["executionId"])


class LogPlace:
    """Where the lines of an execution lie, and which of them are wanted."""

    def __init__(
        self, services: Services, reads: Reads, execution_id: str, partition: int, where: LogFilter
    ) -> None:
        self.execution_id = execution_id
        self.partition = partition
        self.topic = services.topics.logs.name
        self._where = where
        self._log = services.log
        self._models = services.models
        self._reads = reads

    @classmethod
    async def of(cls, request: web.Request, execution_id: str, where: LogFilter) -> LogPlace:
        """The place of an execution's log."""
        services = request.app[SERVICES]
        topic = services.topics.logs.name
        count = await asyncio.to_thread(services.log.partition_count, topic)
        partition = partition_for(execution_id, count)
        return cls(services, request.app[READS], execution_id, partition, where)

    async def end(self) -> int:
        """Where the partition ends now."""
        return await asyncio.to_thread(self._log.end_offset, self.topic, self.partition)

    async def stored(self, after: int, end: int) -> AsyncIterator[Line]:
        """Wanted lines behind offset `after`, at least all below `end`, in the log's order.

        First from the read model; what it does not hold yet from the log itself.
        """
        indexed = await self._reads.call(self._models.indexed_offsets)
        position = indexed.get((self.topic, self.partition), 0)
        page: list[Line] = [(after, {})] * PAGE_LINES
        while len(page) == PAGE_LINES:
            page = await self._reads.call(
                self._models.log_lines, self._where, self.partition, after, PAGE_LINES
            )
            for line in page:
                yield line
                after = line[0]
        position = max(position, after + 1)
        while position < end:
            found, position = await asyncio.to_thread(self._unindexed, position, end)
            for line in found:
                yield line

    def _unindexed(self, start: int, end: int) -> tuple[list[Line], int]:
        """Wanted lines in a part of the log, and where to go on. Blocks."""
        found: list[Line] = []
        for record in self._log.read(self.topic, self.partition, start, end):
            if record.key != self.execution_id:
                continue
            try:
                entry = decode(record.value)
            except UnreadableRecord:
                # The indexer puts it among the dead letters.
                continue
            if isinstance(entry, LogEntry):
                line = log_document(entry)
                if self.is_wanted(line):
                    found.append((record.offset, line))
            if len(found) == PAGE_LINES:
                return found, record.offset + 1
        return found, end

    def is_wanted(self, line: JsonObject) -> bool:
        """Whether a line matches what the request asked for. Raises SearchTooSlow."""
        if not self._where.terms:
            return True
        level = LEVELS.index(line["level"]) if line["level"] in LEVELS else len(LEVELS)
        fields = {
            **line,
            "attempt": line.get("attemptNumber"),
            "level": level,
            "timestamp": filter_values.instant_us(line["timestamp"]),
        }
        facts = Facts(fields, (line["message"],))
        return all(holds(term, facts) for term in self._where.terms)
