"""Log lines and metrics -> rows. No I/O."""

from __future__ import annotations

import math

import msgspec

from tiercel_engine.eventlog.base import Record
from tiercel_engine.repository.base import LinesDeletion, LogFilter, MeasureFilter, Row
from tiercel_engine.repository.query import LEVELS
from tiercel_schemas.codec import UnreadableRecord, decode_as
from tiercel_schemas.logs import LogEntry, LogsDeleted, MetricEntry, MetricsDeleted

_RANKS = {level: rank for rank, level in enumerate(LEVELS)}
_encode = msgspec.json.Encoder().encode

#: The last instant that ISO 8601 text with four digits of year can name.
INSTANT_MAX_US = 253_402_300_799_999_999

#: The largest attempt that its column takes.
ATTEMPT_MAX = 2**31 - 1


def storable(text: str) -> str:
    """The text without NUL, which PostgreSQL does not store."""
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


def storable_or_none(text: str | None) -> str | None:
    """As `storable`; None stays None."""
    return None if text is None else storable(text)


def log_row(record: Record) -> Row:
    """The row of a `LogEntry`.

    Raises:
        UnreadableRecord: it is none, or has an unknown level or an impossible date.
    """
    entry = decode_as(LogEntry, record.value)
    rank = _RANKS.get(entry.level)
    if rank is None:
        raise UnreadableRecord(f"Expected a level of {LEVELS}, but it is {entry.level!r}.")
    return {
        "partition": record.partition,
        "offset": record.offset,
        "namespace": storable(entry.namespace),
        "flow_id": storable(entry.flow_id),
        "execution_id": storable_or_none(entry.execution_id),
        "task_run_id": storable_or_none(entry.task_run_id),
        "task_id": storable_or_none(entry.task_id),
        "trigger_id": storable_or_none(entry.trigger_id),
        # Records count attempts from 1, documents from 0.
        "attempt": min(max(entry.attempt - 1, 0), ATTEMPT_MAX),
        "at_us": _instant(entry.at_us),
        "level": rank,
        "thread": storable(entry.thread),
        "message": storable(entry.message),
    }


def lines_deletion(record: Record) -> LinesDeletion | None:
    """What a `LogsDeleted` removes; None: the record is none."""
    try:
        asked = decode_as(LogsDeleted, record.value)
    except UnreadableRecord:
        return None
    if not _RANKS.keys() >= {*asked.levels, asked.min_level or LEVELS[0]}:
        return None
    where = LogFilter(
        execution_id=asked.execution_id,
        namespace=asked.namespace_prefix,
        exact_namespace=asked.namespace,
        flow_id=asked.flow_id,
        task_id=asked.task_id,
        task_run_id=asked.task_run_id,
        trigger_id=asked.trigger_id,
        attempt=asked.attempt,
        min_level=asked.min_level,
        levels=asked.levels,
        start_us=asked.start_us,
        end_us=asked.end_us,
    )
    return LinesDeletion(record.partition, record.offset, where)


def metrics_deletion(record: Record) -> LinesDeletion | None:
    """What a `MetricsDeleted` removes; None: the record is none."""
    try:
        asked = decode_as(MetricsDeleted, record.value)
    except UnreadableRecord:
        return None
    where = MeasureFilter(
        namespace=asked.namespace_prefix,
        exact_namespace=asked.namespace,
        flow_id=asked.flow_id,
        start_us=asked.start_us,
        end_us=asked.end_us,
    )
    return LinesDeletion(record.partition, record.offset, where)


def metric_row(record: Record) -> Row:
    """The row of a `MetricEntry`.

    Raises:
        UnreadableRecord: it is none, its value is no number of JSON, or its date is impossible.
    """
    entry = decode_as(MetricEntry, record.value)
    if not math.isfinite(entry.value):
        raise UnreadableRecord(f"Expected a finite value, but it is {entry.value}.")
    return {
        "partition": record.partition,
        "offset": record.offset,
        "namespace": storable(entry.namespace),
        "flow_id": storable(entry.flow_id),
        "execution_id": storable(entry.execution_id),
        "task_run_id": storable(entry.task_run_id),
        "task_id": storable(entry.task_id),
        "type": storable(entry.type),
        "name": storable(entry.name),
        "value": entry.value,
        "at_us": _instant(entry.at_us),
        "tags": _encode(entry.tags).decode(),
    }


def _instant(at_us: int) -> int:
    if not 0 <= at_us <= INSTANT_MAX_US:
        raise UnreadableRecord(f"Expected microseconds since 1970, but they are {at_us}.")
    return at_us
