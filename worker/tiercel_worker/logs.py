"""What a task says on its way: log lines and metrics, as records of their topics."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from tiercel_engine.clock import Clock
from tiercel_engine.errors import TaskError, TiercelError
from tiercel_engine.storage.objects import Storage
from tiercel_schemas.logs import LogEntry, MetricEntry
from tiercel_worker.attempt import Attempt
from tiercel_worker.log_file import LogFile
from tiercel_worker.masking import Masker

LEVELS = {"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARN": 3, "ERROR": 4}
SYNONYMS = {"WARNING": "WARN", "CRITICAL": "ERROR", "FATAL": "ERROR", "NOTSET": "TRACE"}
#: A longer line becomes several entries, one millisecond apart.
LINE_CHARS_MAX = 10_240
#: Different metrics (name and tags) of one attempt.
METRICS_MAX = 1_000
#: Tags of one metric. A longer name or tag is cut: a tag may hold any text of a flow, and a record
#: that the log refuses for its size would stop the worker.
TAGS_MAX = 50
TAG_CHARS_MAX = 255
METRIC_KINDS = ("counter", "timer", "gauge")

MetricKey = tuple[str, str, tuple[tuple[str, str], ...]]


class TaskLogger:
    """The log of one attempt. Thread-safe."""

    def __init__(self, attempt: Attempt, clock: Clock) -> None:
        self._attempt = attempt
        self._clock = clock
        self._lowest = 0
        self._last_us = 0
        self._masker = Masker()
        self._file: LogFile | None = None
        self._lock = threading.Lock()

    def log(self, level: str, message: str) -> None:
        """Add a line. `level`: TRACE, DEBUG, INFO, WARN or ERROR; INFO when it is none of these."""
        name = level.upper()
        name = SYNONYMS.get(name, name)
        rank = LEVELS.get(name)
        if rank is None:
            name, rank = "INFO", LEVELS["INFO"]
        if rank < self._lowest:
            return
        message = self.masked(message)
        with self._lock:
            if len(message) <= LINE_CHARS_MAX:
                self._say(name, message, 1)
                return
            for start in range(0, len(message), LINE_CHARS_MAX):
                self._say(name, message[start : start + LINE_CHARS_MAX], 1_000 if start else 1)

    def set_level(self, level: str | None) -> None:
        """Leave out lines below this level."""
        if level is not None:
            self._lowest = LEVELS.get(SYNONYMS.get(level.upper(), level.upper()), 0)

    def write_to(self, file: LogFile) -> None:
        """Keep the lines in this file from now on, and send none."""
        with self._lock:
            self._file = file

    def store(self, storage: Storage) -> str | None:
        """Store the file of its lines, if there is one; returns its address.

        What comes later is sent as lines again.
        """
        with self._lock:
            file, self._file = self._file, None
        if file is None:
            return None
        try:
            return file.store(storage, self._attempt.job)
        except (TiercelError, OSError) as error:
            self.log("ERROR", f"The log of the task could not be stored: {error}")
            return None

    @property
    def has_secrets(self) -> bool:
        """Whether anything is hidden."""
        return self._masker.has_secrets

    def masked(self, text: str) -> str:
        """A text with a mask in the place of secrets, in whatever form."""
        return self._masker.masked(text)

    def mask(self, secret: str) -> None:
        """Hide this text from now on, see `Masker`."""
        with self._lock:
            self._masker.add(secret)

    def _say(self, level: str, message: str, step_us: int) -> None:
        # Instants grow, so that lines sorted by instant keep their order.
        self._last_us = max(self._clock.now_us(), self._last_us + step_us)
        if self._file is not None:
            self._file.add(self._last_us, level, message)
            return
        job = self._attempt.job
        entry = LogEntry(
            namespace=job.namespace,
            flow_id=job.flow_id,
            at_us=self._last_us,
            level=level,
            message=message,
            execution_id=job.execution_id,
            task_run_id=None if job.task_run_id == job.execution_id else job.task_run_id,
            task_id=job.task_id or None,
            attempt=max(job.attempt, 1),
            thread=threading.current_thread().name,
        )
        self._attempt.say(self._attempt.topics.logs.name, entry)


class Metrics:
    """The metrics of one attempt; those of one name and the same tags are summed. Thread-safe."""

    def __init__(self, attempt: Attempt, clock: Clock) -> None:
        self._attempt = attempt
        self._clock = clock
        self._lock = threading.Lock()
        self._values: dict[MetricKey, float] = {}

    def add(self, name: str, value: float, kind: str, tags: Mapping[str, str] | None) -> None:
        """Record one.

        Raises:
            TaskError: the kind is unknown, or there are too many tags or different metrics.
        """
        if kind not in METRIC_KINDS:
            raise TaskError(f"Expected a metric of type {METRIC_KINDS}, but it was {kind!r}.")
        if tags and len(tags) > TAGS_MAX:
            raise TaskError(f"Expected at most {TAGS_MAX} tags, but the metric had {len(tags)}.")
        short = {tag[:TAG_CHARS_MAX]: text[:TAG_CHARS_MAX] for tag, text in (tags or {}).items()}
        key = (kind, name[:TAG_CHARS_MAX], tuple(sorted(short.items())))
        with self._lock:
            known = self._values.get(key)
            if known is None and len(self._values) >= METRICS_MAX:
                raise TaskError(f"Expected at most {METRICS_MAX} different metrics of one task.")
            self._values[key] = value if known is None or kind == "gauge" else known + value

    def say_all(self) -> None:
        """Put them into the attempt's records."""
        job = self._attempt.job
        with self._lock:
            values, self._values = self._values, {}
        for (kind, name, tags), value in values.items():
            entry = MetricEntry(
                namespace=job.namespace,
                flow_id=job.flow_id,
                execution_id=job.execution_id,
                task_run_id=job.task_run_id,
                task_id=job.task_id,
                type=kind,
                name=name,
                value=float(value),
                at_us=self._clock.now_us(),
                tags=dict(tags),
            )
            self._attempt.say(self._attempt.topics.metrics.name, entry)
