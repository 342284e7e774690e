"""The bare loop: create -> job -> result -> end through a log, and nothing else.

What a log and this machine can do at most with this shape of work: the records that one execution
of one Log task writes (two commands, two event records, a job, a log line), real transactions, one
executor and one worker (on Kafka a process of its own, on the embedded log a thread), no templates,
no schemas, no read model, no HTTP. The load is the benchmark's own: so many client threads, each of
which waits until its create is durable before it sends the next. Every benchmark reports its ratio
to this, measured in the same run.
"""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator

from tiercel_engine.eventlog.base import Consumer, EventLog, NewRecord, TopicPartition
from tiercel_schemas.topics import Topics

#: The size of a value: about that of a small job.
BODY = b"x" * 150
BATCH = 500
POLL_S = 0.2
#: A log that takes longer to acknowledge one record is broken.
DURABLE_TIMEOUT_S = 30.0
#: One in which nothing ends for so long stands still.
END_TIMEOUT_S = 60.0

OpenLog = Callable[[], EventLog]


def execute(log: EventLog, topics: Topics, stop: threading.Event) -> None:
    """The executor: commands in; jobs, events and offsets out in one transaction per batch."""
    # A name of its own: a static member that comes again gets the partitions of the one before.
    name = f"{topics.prefix}bare-executor"
    transactions = log.transactions(name)
    consumer = log.consumer(name, [topics.commands.name], name, None)
    turn = 0
    while not stop.is_set():
        out: list[NewRecord] = []
        consumed: dict[TopicPartition, int] = {}
        for record in consumer.poll(BATCH, POLL_S):
            consumed[TopicPartition(record.topic, record.partition)] = record.offset + 1
            assert record.value is not None
            kind = record.value[:1]
            if kind == b"C":
                turn += 1
                to = turn % topics.jobs.partitions
                out.append(NewRecord(topics.jobs.name, record.key, b"J" + BODY, to))
            event = b"E" if kind == b"R" else b"S"
            out.append(
                NewRecord(topics.executions.name, record.key, event + BODY, record.partition)
            )
        if consumed:
            transactions.commit(out, consumed, consumer)
    consumer.close()
    transactions.close()


def work(log: EventLog, topics: Topics, stop: threading.Event) -> None:
    """The worker: jobs in; a log line and the result out."""
    appender = log.appender()
    name = f"{topics.prefix}bare-worker"
    consumer = log.consumer(name, [topics.jobs.name], name, None)
    while not stop.is_set():
        consumed: dict[TopicPartition, int] = {}
        for record in consumer.poll(BATCH, POLL_S):
            consumed[TopicPartition(record.topic, record.partition)] = record.offset + 1
            appender.append(NewRecord(topics.logs.name, record.key, b"L" + BODY))
            appender.append(NewRecord(topics.commands.name, record.key, b"R" + BODY))
        if consumed:
            consumer.commit(consumed)
    consumer.close()
    appender.close()


def _work_in_process(open_log: OpenLog, prefix: str, partitions: int, stop: object) -> None:
    log = open_log()
    work(log, Topics(prefix, partitions), stop)  # type: ignore[arg-type]
    log.close()


class BareLoop:
    """The loop, running; `run` puts executions through it."""

    def __init__(self, open_log: OpenLog, prefix: str, worker_process: bool) -> None:
        self.topics = Topics(prefix, 8)
        self.log = open_log()
        self.log.create_topics(self.topics.all())
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=execute, args=(self.log, self.topics, self._stop))]
        self._process = None
        context = multiprocessing.get_context("spawn")
        self._stop_process = context.Event()
        if worker_process:
            arguments = (open_log, prefix, 8, self._stop_process)
            self._process = context.Process(target=_work_in_process, args=arguments)
            self._process.start()
        else:
            arguments = (self.log, self.topics, self._stop)
            self._threads.append(threading.Thread(target=work, args=arguments))
        for thread in self._threads:
            thread.start()
        self._ends: Consumer = self.log.tail([self.topics.executions.name], from_beginning=True)
        self._appender = self.log.appender()

    def together(self, count: int, clients: int) -> float:
        """Seconds until `count` executions, started by so many client threads, have ended."""
        left = iter(range(count))
        begin = time.perf_counter()
        threads = [threading.Thread(target=self._client, args=(left,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        self._await_ends(count)
        took = time.perf_counter() - begin
        for thread in threads:
            thread.join()
        return took

    def _client(self, left: Iterator[int]) -> None:
        """One client: the next create is sent once the last is durable."""
        durable = threading.Event()
        for _ in left:
            durable.clear()
            key = f"{threading.get_ident()}-{time.monotonic_ns()}"
            create = NewRecord(self.topics.commands.name, key, b"C" + BODY)
            self._appender.append(create, lambda error: durable.set())
            assert durable.wait(DURABLE_TIMEOUT_S)

    def one_at_a_time(self, count: int) -> list[float]:
        """Seconds from create to end of each of `count` executions."""
        return [self.together(1, 1) for _ in range(count)]

    def _await_ends(self, count: int) -> None:
        deadline = time.monotonic() + END_TIMEOUT_S
        while count > 0:
            for record in self._ends.poll(BATCH, POLL_S):
                count -= record.value is not None and record.value[:1] == b"E"
                deadline = time.monotonic() + END_TIMEOUT_S
            assert time.monotonic() < deadline, f"{count} executions of the bare loop do not end"

    def close(self) -> None:
        self._stop.set()
        self._stop_process.set()
        for thread in self._threads:
            thread.join()
        if self._process is not None:
            self._process.join()
        self._ends.close()
        self._appender.close()
        self.log.close()


def measure(
    open_log: OpenLog, prefix: str, worker_process: bool, count: int, clients: int
) -> dict[str, float]:
    """Rate with `clients`, latency with one execution at a time."""
    loop = BareLoop(open_log, prefix, worker_process)
    try:
        loop.together(500, clients)
        begin_s = time.process_time()
        seconds = loop.together(count, clients)
        used_s = time.process_time() - begin_s
        single = loop.one_at_a_time(200)
    finally:
        loop.close()
    centiles = statistics.quantiles(single, n=100)
    return {
        "executions_per_s": count / seconds,
        # Of this process: on Kafka the worker's and the broker's are left out.
        "cpu_per_execution:server": used_s / count * 1_000,
        "p50_ms": centiles[49] * 1_000,
        "p99_ms": centiles[98] * 1_000,
    }
