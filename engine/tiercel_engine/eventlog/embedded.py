"""The log of `tiercel server`: one SQLite file in WAL mode, one process, many threads.

Durability. With `normal` (the default) a commit is in the operating system's hands when it
returns: killing the process with -9 loses nothing, while a power cut or a kernel crash may lose
the last commits (some seconds of them at most), always whole ones and always the newest, never one
out of the middle. With `full` each commit is flushed to the disk before it returns.

Storage. A record's row id is its partition's number in the upper bits and its offset in the lower
ones, so a partition is one range of the table's tree. Compacted topics have a table of their own,
in which a record replaces the earlier one of its key as it is written. Retention deletes by age in
bounded rounds, on open and every `MAINTENANCE_INTERVAL_S`. Offsets are never reused: when rows go,
the partition's end is written down in the same transaction.

The process holds an exclusive lock on `<path>-lock` as long as it lives, however it ends.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Literal

import msgspec

from tiercel_engine.clock import Clock
from tiercel_engine.errors import LogUnavailable
from tiercel_engine.eventlog.base import Record, TopicPartition
from tiercel_engine.eventlog.local import LocalLog
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.topics import DAY_MS, Topic

log = get_logger()

#: A row id is `partition number << OFFSET_BITS | offset`.
OFFSET_BITS = 44
OFFSETS_MAX = 1 << OFFSET_BITS

#: How often old records are deleted, in seconds, and how many of one partition in one round.
MAINTENANCE_INTERVAL_S = 60.0
ROUND_RECORDS_MAX = 5_000

#: How long the tombstone of a compacted topic stays readable, in milliseconds, as Kafka has it.
TOMBSTONE_RETAINED_MS = DAY_MS

#: How many rows one statement inserts, largest first: few enough texts to stay prepared.
ROWS_PER_INSERT = (64, 16, 4, 1)
INSERTS = tuple(
    (size, f"INSERT INTO records VALUES {', '.join(['(?, ?, ?, ?, ?)'] * size)}")
    for size in ROWS_PER_INSERT
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (
  name TEXT PRIMARY KEY, partitions INTEGER NOT NULL, compacted INTEGER NOT NULL,
  retained_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS partitions (
  id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
  end_offset INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, partition)
);
CREATE TABLE IF NOT EXISTS records (
  id INTEGER PRIMARY KEY, timestamp_ms INTEGER NOT NULL, key TEXT NOT NULL, headers BLOB,
  value BLOB
);
CREATE TABLE IF NOT EXISTS latest (
  id INTEGER PRIMARY KEY, timestamp_ms INTEGER NOT NULL, key TEXT NOT NULL, headers BLOB,
  value BLOB, partition_id INTEGER NOT NULL, UNIQUE (partition_id, key)
);
CREATE INDEX IF NOT EXISTS tombstones ON latest (timestamp_ms) WHERE value IS NULL;
CREATE TABLE IF NOT EXISTS group_offsets (
  group_name TEXT NOT NULL, partition_id INTEGER NOT NULL, next_offset INTEGER NOT NULL,
  PRIMARY KEY (group_name, partition_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owners (name TEXT PRIMARY KEY, epoch INTEGER NOT NULL);
"""


class SqliteLog(LocalLog):
    """An `EventLog` in one file.

    Args:
        path: the file; created when missing. Its directory must exist.
        durability: `normal` survives a killed process, `full` a power cut too.
        clock: stamps the records and tells their age.

    Raises:
        LogUnavailable: another process, or this one, has the file open already.
    """

    def __init__(
        self, path: Path, clock: Clock, durability: Literal["normal", "full"] = "normal"
    ) -> None:
        self._lock = _hold(Path(f"{path}-lock"))
        self._disk = SqliteStorage(path, durability)
        super().__init__(self._disk, clock)
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="log-keeper", daemon=True)
        self._keeper.start()

    def maintain(self) -> int:
        """One round of deleting what is older than its topic keeps; how many records went."""
        with self.write_lock:
            ends = {at: self.lane(at).end for at in self.partitions()}
            return self._disk.delete_old(self._clock.now_us() // 1_000, ends)

    def close(self) -> None:
        self._closing.set()
        self._keeper.join()
        super().close()
        self._lock.close()

    def _keep(self) -> None:
        while True:
            deleted = self.maintain()
            if deleted:
                log.info("log_records_expired", records=deleted)
            # A full round means that there is more: go on, but let writers in between.
            if self._closing.wait(0.01 if deleted >= ROUND_RECORDS_MAX else MAINTENANCE_INTERVAL_S):
                return


def _hold(path: Path) -> sqlite3.Connection:
    """Lock `path` until the connection closes or the process dies, on every platform alike."""
    holder = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        holder.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        holder.close()
        raise LogUnavailable(
            f"Expected to be the only one to open the log {str(path)[:-5]!r}, but it is open "
            "already. An embedded log serves one process; use Kafka for several."
        ) from error
    return holder


class SqliteStorage:
    """The tables. One connection writes, one reads what the tails no longer hold."""

    def __init__(self, path: Path, durability: Literal["normal", "full"]) -> None:
        self._writer = _connect(path)
        self._writer.execute("PRAGMA journal_mode=WAL")
        self._writer.execute(f"PRAGMA synchronous={durability}")
        self._writer.execute("PRAGMA wal_autocheckpoint=4000")
        self._writer.executescript(SCHEMA)
        self._reader = _connect(path)
        self._reader_lock = threading.Lock()
        self._topics: dict[str, Topic] = {}
        self._bases: dict[TopicPartition, int] = {}
        for name, partitions, compacted, retained_ms in self._writer.execute(
            "SELECT name, partitions, compacted, retained_ms FROM topics"
        ):
            self._topics[name] = Topic(name, partitions, bool(compacted), retained_ms)
        for number, topic, partition in self._writer.execute(
            "SELECT id, topic, partition FROM partitions"
        ):
            self._bases[TopicPartition(topic, partition)] = number << OFFSET_BITS

    # ---- topics, ends, owners

    def topics(self) -> Iterable[Topic]:
        return self._topics.values()

    def create_topic(self, topic: Topic) -> None:
        with self._transaction():
            self._writer.execute(
                "INSERT INTO topics VALUES (?, ?, ?, ?)",
                (topic.name, topic.partitions, topic.compacted, topic.retained_ms),
            )
            for partition in range(topic.partitions):
                number = self._writer.execute(
                    "INSERT INTO partitions (topic, partition) VALUES (?, ?) RETURNING id",
                    (topic.name, partition),
                ).fetchone()[0]
                self._bases[TopicPartition(topic.name, partition)] = number << OFFSET_BITS
        self._topics[topic.name] = topic

    def ends(self) -> Mapping[TopicPartition, int]:
        ends = {}
        for at, base in self._bases.items():
            (newest,) = self._writer.execute(
                f"SELECT max(id) FROM {self._table(at.topic)} WHERE id >= ? AND id < ?",
                (base, base + OFFSETS_MAX),
            ).fetchone()
            (noted,) = self._writer.execute(
                "SELECT end_offset FROM partitions WHERE id = ?", (base >> OFFSET_BITS,)
            ).fetchone()
            ends[at] = noted if newest is None else max(noted, newest - base + 1)
        return ends

    def group_offsets(self, group: str) -> dict[TopicPartition, int]:
        places = {base >> OFFSET_BITS: at for at, base in self._bases.items()}
        rows = self._writer.execute(
            "SELECT partition_id, next_offset FROM group_offsets WHERE group_name = ?", (group,)
        )
        return {places[number]: offset for number, offset in rows}

    def next_epoch(self, owner: str) -> int:
        with self._transaction():
            row = self._writer.execute(
                "INSERT INTO owners VALUES (?, 1) "
                "ON CONFLICT (name) DO UPDATE SET epoch = epoch + 1 RETURNING epoch",
                (owner,),
            ).fetchone()
        return int(row[0])

    # ---- records

    def write(
        self,
        batches: Sequence[Sequence[Record]],
        group: str,
        offsets: Mapping[TopicPartition, int],
    ) -> None:
        kept: list[tuple[object, ...]] = []
        with self._transaction():
            for batch in batches:
                base = self._bases[TopicPartition(batch[0].topic, batch[0].partition)]
                if self._topics[batch[0].topic].compacted:
                    self._writer.executemany(
                        "INSERT OR REPLACE INTO latest VALUES (?, ?, ?, ?, ?, ?)",
                        [(*row, base >> OFFSET_BITS) for row in _rows(base, batch)],
                    )
                else:
                    kept += _rows(base, batch)
            self._insert(kept)
            if offsets:
                self._writer.executemany(
                    "INSERT OR REPLACE INTO group_offsets VALUES (?, ?, ?)",
                    [
                        (group, self._bases[at] >> OFFSET_BITS, offset)
                        for at, offset in offsets.items()
                    ],
                )

    def _insert(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Many rows by few statements: each gives other threads the interpreter while it runs."""
        at = 0
        for size, text in INSERTS:
            while len(rows) - at >= size:
                self._writer.execute(text, list(chain.from_iterable(rows[at : at + size])))
                at += size

    def read(self, at: TopicPartition, start: int, end: int, limit: int) -> list[Record]:
        base = self._bases[at]
        with self._reader_lock:
            rows = self._reader.execute(
                f"SELECT id, timestamp_ms, key, headers, value FROM {self._table(at.topic)} "
                "WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
                (base + start, base + end, limit),
            ).fetchall()
        return [
            Record(at.topic, at.partition, number - base, key, value, stamp, _decoded(headers))
            for number, stamp, key, headers, value in rows
        ]

    def delete_old(self, now_ms: int, ends: Mapping[TopicPartition, int]) -> int:
        """Delete at most `ROUND_RECORDS_MAX` per partition; `ends` are noted where rows go."""
        deleted = 0
        for topic in self._topics.values():
            if topic.compacted or topic.retained_ms < 0:
                continue
            for partition in range(topic.partitions):
                at = TopicPartition(topic.name, partition)
                deleted += self._delete_before(at, now_ms - topic.retained_ms, ends[at])
        return deleted + self._delete_tombstones(now_ms - TOMBSTONE_RETAINED_MS, ends)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def _delete_before(self, at: TopicPartition, limit_ms: int, end: int) -> int:
        base = self._bases[at]
        oldest = self._writer.execute(
            "SELECT id, timestamp_ms FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (base, base + OFFSETS_MAX, ROUND_RECORDS_MAX),
        )
        last, count = 0, 0
        for number, timestamp_ms in oldest:
            if timestamp_ms >= limit_ms:
                break
            last, count = number, count + 1
        oldest.close()
        if count:
            with self._transaction():
                self._note_end(at, end)
                self._writer.execute("DELETE FROM records WHERE id BETWEEN ? AND ?", (base, last))
        return count

    def _delete_tombstones(self, limit_ms: int, ends: Mapping[TopicPartition, int]) -> int:
        old = self._writer.execute(
            "SELECT id FROM latest WHERE value IS NULL AND timestamp_ms < ? LIMIT ?",
            (limit_ms, ROUND_RECORDS_MAX),
        ).fetchall()
        if old:
            with self._transaction():
                for at, end in ends.items():
                    if self._topics[at.topic].compacted:
                        self._note_end(at, end)
                self._writer.executemany("DELETE FROM latest WHERE id = ?", old)
        return len(old)

    def _note_end(self, at: TopicPartition, end: int) -> None:
        self._writer.execute(
            "UPDATE partitions SET end_offset = ? WHERE id = ?",
            (end, self._bases[at] >> OFFSET_BITS),
        )

    def _table(self, topic: str) -> str:
        return "latest" if self._topics[topic].compacted else "records"

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            with self._writer:  # commits, or rolls back whatever was raised
                yield
        except sqlite3.Error as error:
            raise LogUnavailable(f"Expected SQLite to store the batch, but {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def _rows(base: int, batch: Iterable[Record]) -> list[tuple[object, ...]]:
    return [
        (
            base + record.offset,
            record.timestamp_ms,
            record.key,
            msgspec.msgpack.encode(record.headers) if record.headers else None,
            record.value,
        )
        for record in batch
    ]


def _decoded(headers: bytes | None) -> dict[str, bytes] | None:
    return msgspec.msgpack.decode(headers, type=dict[str, bytes]) if headers else None
