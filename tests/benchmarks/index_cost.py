"""CPU of the read model's writer per task run, while so many task runs are open at once.

Beyond `projector.CACHE_ROWS_MAX` of them each change is preceded by a read of its row: that costs
more, and then the same however many there are.
"""

from __future__ import annotations

import gc
import tempfile
import time
from contextlib import closing

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.base import Record
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_engine.indexer.projector import Projector
from tiercel_engine.repository.store import open_store
from tiercel_schemas import events as e
from tiercel_schemas.codec import encode
from tiercel_schemas.common import Payload
from tiercel_schemas.topics import Topics

#: Records per transaction.
BATCH_RECORDS = 500
START_US = 1_700_000_000_000_000


class History:
    """Records of one execution."""

    def __init__(self, topics: Topics) -> None:
        self.records: list[Record] = []
        self._topic = topics.executions.name
        self._sequence = 0

    def add(self, *events: e.Event) -> None:
        offset = len(self.records)
        batch = e.EventBatch("x", self._sequence + 1, START_US + offset, "bench", events)
        self._sequence += len(events)
        self.records.append(Record(self._topic, 0, offset, "x", encode(batch), 0))


def history(topics: Topics, count: int) -> list[Record]:
    """All task runs begin, then all start, then all end."""
    made = History(topics)
    nothing = Payload(json="{}")
    made.add(
        e.ExecutionCreated("bench", "each", 1, nothing, nothing, "x"),
        e.ExecutionStateChanged("RUNNING"),
    )
    runs = [f"{number:022d}" for number in range(count)]
    for run in runs:
        made.add(e.TaskRunCreated(run, "one", value=run), e.AttemptSubmitted(run, 1, 1))
    for run in runs:
        made.add(e.AttemptStarted(run, 1, 1, "worker", START_US))
    for run in runs:
        made.add(e.AttemptEnded(run, 1, 1, "SUCCESS", START_US, START_US, nothing))
    return made.records


def measured(count: int) -> float:
    """Microseconds of CPU per task run."""
    topics = Topics(partitions=1)
    with tempfile.TemporaryDirectory() as folder, closing(MemoryLog(FakeClock())) as log:
        log.create_topics(topics.all())
        records = history(topics, count)
        with (
            closing(open_store(f"sqlite:///{folder}/index.db")) as store,
            closing(log.appender()) as letters,
        ):
            projector = Projector(topics, store, letters)
            projector.open([(topics.executions.name, 0)])
            # As in the server, which lets the collector look rarely.
            gc.collect()
            gc.disable()
            begin = time.process_time()
            for first in range(0, len(records), BATCH_RECORDS):
                projector.index(records[first : first + BATCH_RECORDS])
            took_s = time.process_time() - begin
            gc.enable()
    return took_s / count * 1e6
