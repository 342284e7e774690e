"""An executor over a log in memory, driven turn by turn, with a worker that a test plays."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

from tests.engine_harness import registry

from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.base import EventLog, NewRecord, Record, TopicPartition
from tiercel_engine.execution.apply import fold
from tiercel_engine.execution.model import Execution
from tiercel_engine.executor.service import Executor
from tiercel_engine.executor.settings import ExecutorSettings
from tiercel_engine.storage.objects import Storage
from tiercel_schemas import codec
from tiercel_schemas import commands as c
from tiercel_schemas import events as e
from tiercel_schemas.common import Payload
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey, derive_id
from tiercel_schemas.jobs import TaskJob
from tiercel_schemas.topics import Topics, partition_for

TOPICS = Topics("test.", 2)
SETTINGS = ExecutorSettings(idle_poll_s=0.0, checkpoint_every_s=3_600.0, batch_records_max=20)

#: What a played worker says of every task, the cutting of a file into seven batches included.
OUTPUTS = '{"value":1,"numberOfBatches":7,"batchUri":"kestra:///b/{index}"}'


class Bench:
    """The parts around one executor. The log outlives the executors made here."""

    def __init__(self, log: EventLog, clock: FakeClock, folder: Path) -> None:
        self.log = log
        self.clock = clock
        self.storage = Storage(folder)
        log.create_topics(TOPICS.all())
        self.appender = log.appender()
        self.catalogs: list[FlowCatalog] = []

    def executor(self, settings: ExecutorSettings = SETTINGS, instance: str = "0") -> Executor:
        """A new executor process under this instance name, not opened yet."""
        catalog = FlowCatalog(self.log, TOPICS, registry(), self.clock)
        self.catalogs.append(catalog)
        return Executor(
            log=self.log,
            topics=TOPICS,
            catalog=catalog,
            storage=self.storage,
            clock=self.clock,
            rng=random.Random(7),
            instance=instance,
            settings=settings,
        )

    def save(self, source: str, flow_id: str, revision: int = 1) -> None:
        """Put a flow into the flows topic directly."""
        key = FlowKey("main", "tests", flow_id)
        flow = FlowRevision("tests", flow_id, revision, source, 0)
        partition = partition_for(str(key), TOPICS.flows.partitions)
        record = NewRecord(TOPICS.flows.name, f"{key}/{revision}", codec.encode(flow), partition)
        self.appender.append(record)

    def send(self, command: codec.AvroRecord, key: str | None = None) -> None:
        """Append a command."""
        name = TOPICS.commands.name
        target = key or getattr(command, "execution_id")  # noqa: B009 - not all commands have it
        self.appender.append(NewRecord(name, target, codec.encode(command)))

    def create(self, number: int, flow_id: str, deduplicate: bool = False) -> str:
        """Ask for an execution; returns its id."""
        execution_id = derive_id("execution", str(number))
        self.send(
            c.CreateExecution(
                command_id=f"create-{number}",
                execution_id=execution_id,
                namespace="tests",
                flow_id=flow_id,
                inputs=Payload(json="{}"),
                trigger=Payload(),
                created_us=self.clock.now_us(),
                deduplicate=deduplicate,
            )
        )
        return execution_id

    def records(self, topic: str) -> list[Record]:
        """Everything in a topic."""
        count = self.log.partition_count(topic)
        return [r for p in range(count) for r in self.log.read(topic, p, 0)]

    def batches(self) -> dict[str, list[e.EventBatch]]:
        """Execution id -> its event records, in order."""
        found: dict[str, list[e.EventBatch]] = defaultdict(list)
        for record in self.records(TOPICS.executions.name):
            batch = codec.decode(record.value)
            if isinstance(batch, e.EventBatch):
                found[batch.execution_id].append(batch)
        return found

    def folded(self) -> dict[str, Execution]:
        """Execution id -> its state folded from offset 0."""
        states = {}
        for execution_id, batches in self.batches().items():
            state = Execution(execution_id)
            for batch in batches:
                assert batch.first_seq == state.sequence + 1, "a number is missing or twice there"
                state = fold(state, batch)
            states[execution_id] = state
        return states

    def rejections(self) -> list[e.CommandRejected]:
        values = [codec.decode(r.value) for r in self.records(TOPICS.executions.name)]
        return [v for v in values if isinstance(v, e.CommandRejected)]

    def close(self) -> None:
        for catalog in self.catalogs:
            catalog.close()
        self.appender.close()
        self.log.close()


class PlayedWorker:
    """Takes jobs and reports: what the test decides, at once."""

    def __init__(self, bench: Bench, worker_id: str = "w1") -> None:
        self.bench = bench
        self.worker_id = worker_id
        self.consumer = bench.log.consumer("workers", [TOPICS.jobs.name], worker_id, None)
        self.ran: list[TaskJob] = []
        #: What every task gives.
        self.outputs = Payload(json=OUTPUTS)

    def turn(self, state: str = "SUCCESS") -> None:
        """Run every job that is there."""
        consumed: dict[TopicPartition, int] = {}
        for record in self.consumer.poll(100, 0.0):
            consumed[TopicPartition(record.topic, record.partition)] = record.offset + 1
            job = codec.decode_as(TaskJob, record.value)
            self.ran.append(job)
            self.start(job)
            # Without batches there is nothing to fan out over.
            self.end(job, "SUCCESS" if job.task_id.endswith("_split") else state)
        if consumed:
            self.consumer.commit(consumed)

    def start(self, job: TaskJob) -> None:
        self.bench.send(
            c.StartAttempt(
                job.execution_id,
                job.task_run_id,
                job.attempt,
                job.epoch,
                self.worker_id,
                self.bench.clock.now_us(),
            )
        )

    def end(self, job: TaskJob, state: str) -> None:
        now_us = self.bench.clock.now_us()
        self.bench.send(
            c.EndAttempt(
                job.execution_id,
                job.task_run_id,
                job.attempt,
                job.epoch,
                self.worker_id,
                state,
                now_us,
                now_us,
                outputs=self.outputs,
            )
        )
