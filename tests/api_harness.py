"""A whole server but for the worker, behind real HTTP: the test plays the worker itself.

The log is in memory or in one SQLite file; executor, indexer, catalog, read model, storage and
HTTP are the real ones, each in a thread of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import requests
from aiohttp import web

from tiercel_api.app import create_app
from tiercel_api.connections import BoundedRunner
from tiercel_api.services import ApiSettings, Services
from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.base import EventLog, NewRecord
from tiercel_engine.eventlog.embedded import SqliteLog
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_engine.executor.service import Executor
from tiercel_engine.executor.settings import ExecutorSettings
from tiercel_engine.indexer.service import Indexer
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.flowables import Template
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_engine.plugin.triggers import PLUGINS as TRIGGERS
from tiercel_engine.repository.store import open_store
from tiercel_engine.storage.objects import Storage
from tiercel_schemas.codec import decode, encode
from tiercel_schemas.commands import EndAttempt, StartAttempt
from tiercel_schemas.common import Payload
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.jobs import TaskJob
from tiercel_schemas.logs import LogEntry, MetricEntry
from tiercel_schemas.topics import Topics

DEADLINE_S = 20.0
#: Over Kafka a first group takes its time to form.
START_TIMEOUT_S = 60.0
YAML = {"Content-Type": "application/x-yaml"}
WORKER = "worker-of-the-test"


class Say(RunnableTask):
    """A task with one property."""

    TYPE: ClassVar[str] = "tests.Say"
    ALIASES: ClassVar[tuple[str, ...]] = ("tests.OldSay",)

    words: str = ""


def flow_source(flow_id: str, body: str = "", namespace: str = "house.kitchen") -> str:
    """A flow with one task; `body` is put before the tasks."""
    return f"""id: {flow_id}
namespace: {namespace}
{body}
tasks:
  - id: greet
    type: tests.Say
    words: welcome
"""


class ApiServer:
    """The server under test, and the test's hand in its log."""

    def __init__(
        self, log: EventLog, folder: Path, settings: ApiSettings, prefix: str = "tiercel."
    ) -> None:
        self.clock = SystemClock()
        self.topics = Topics(prefix, partitions=2)
        self.log = log
        self.log.create_topics(self.topics.all())
        self.storage = Storage(folder / "storage")
        self.registry = PluginRegistry()
        for plugin in (Say, *TRIGGERS, Template):
            self.registry.register(plugin)
        self.catalog = FlowCatalog(log, self.topics, self.registry, self.clock)
        self._executor_catalog = FlowCatalog(log, self.topics, self.registry, self.clock)
        self.store = open_store(f"sqlite:///{folder / 'index.db'}")
        self.indexer = Indexer(log, self.topics, self.store, self.clock)
        self._settings = settings
        self._executors: list[Executor] = []
        self.executor = self.new_executor()
        self.app = create_app(self._services(settings))
        self.appender = log.appender()
        self.jobs = log.tail([self.topics.jobs.name], from_beginning=True)
        self.session = requests.Session()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._runner = BoundedRunner(self.app, shutdown_timeout=1.0)
        self._threads = [
            threading.Thread(target=run, daemon=True)
            for run in (self.executor.run, self.indexer.run, self._loop.run_forever)
        ]

    def _services(self, settings: ApiSettings) -> Services:
        return Services(
            log=self.log,
            topics=self.topics,
            catalog=self.catalog,
            models=self.store,
            storage=self.storage,
            registry=self.registry,
            clock=self.clock,
            settings=settings,
            indexed=self.indexer.on_indexed,
        )

    def new_executor(self) -> Executor:
        """An executor, to be run in a thread of its own; it stops with the server."""
        executor = Executor(
            log=self.log,
            topics=self.topics,
            catalog=self._executor_catalog,
            storage=self.storage,
            clock=self.clock,
            rng=Random(1),
            instance=f"executor-{len(self._executors)}",
            settings=ExecutorSettings(templates=self._settings.templates),
        )
        self._executors.append(executor)
        return executor

    def stop_executor(self) -> None:
        """Stop it, and wait until it decides nothing more."""
        self.executor.stop()
        until(lambda: not self.executor.ready.is_set())

    def stop_indexer(self) -> None:
        """Stop it, and wait until it writes nothing more."""
        self.indexer.stop()
        self._threads[1].join(DEADLINE_S)
        assert not self._threads[1].is_alive()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        assert self.executor.ready.wait(START_TIMEOUT_S)
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(DEADLINE_S)

    async def _listen(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    def stop(self) -> None:
        self.session.close()
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(DEADLINE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        for executor in self._executors:
            executor.stop()
        self.indexer.stop()
        for thread in self._threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()
        self._loop.close()
        self.jobs.close()
        self.appender.close()
        self.catalog.close()
        self._executor_catalog.close()
        self.store.close()

    # -- HTTP

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """Call the API; `path` is below `/api/v1` unless it starts with it."""
        kwargs.setdefault("timeout", DEADLINE_S)
        kwargs.setdefault("allow_redirects", False)
        full = path if path.startswith("/api") else f"/api/v1{path}"
        return self.session.request(method, self.url + full, **kwargs)

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        return self.call("GET", path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> requests.Response:
        return self.call("POST", path, **kwargs)

    def save_flow(self, source: str) -> dict[str, Any]:
        """Store a new flow."""
        response = self.post("/flows", data=source.encode(), headers=YAML)
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document

    # -- the worker's part

    def append(self, topic: str, key: str, record: Any) -> None:
        self.appender.append(NewRecord(topic, key, encode(record)))
        self.appender.flush(DEADLINE_S)

    def stored_elsewhere(self, source: str, flow_id: str) -> tuple[str, str, FlowRevision]:
        """Topic, key and record of a flow's first revision, to be appended."""
        revision = FlowRevision("house.kitchen", flow_id, 1, source, self.clock.now_us())
        return self.topics.flows.name, f"main/house.kitchen/{flow_id}/1", revision

    def next_job(self, execution_id: str) -> TaskJob:
        """Wait for the next job of an execution."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            for record in self.jobs.poll(1, 1.0):
                job = decode(record.value)
                if job.execution_id == execution_id:
                    assert isinstance(job, TaskJob)
                    return job
        raise AssertionError(f"Expected a job of {execution_id} in time, but there was none.")

    def work(
        self, execution_id: str, state: str = "SUCCESS", outputs: str | None = "{}"
    ) -> TaskJob:
        """Run the next task of an execution to its end; leaves a log line and a metric."""
        job = self.next_job(execution_id)
        self.finish(job, state, outputs)
        return job

    def finish(self, job: TaskJob, state: str = "SUCCESS", outputs: str | None = "{}") -> None:
        """Run a job to its end; leaves a log line and a metric."""
        execution_id, now_us = job.execution_id, self.clock.now_us()
        self.append(
            self.topics.commands.name,
            execution_id,
            StartAttempt(execution_id, job.task_run_id, job.attempt, job.epoch, WORKER, now_us),
        )
        self.say(job, "INFO", "welcome")
        self.count(job)
        self.append(
            self.topics.commands.name,
            execution_id,
            EndAttempt(
                execution_id,
                job.task_run_id,
                job.attempt,
                job.epoch,
                WORKER,
                state,
                now_us,
                self.clock.now_us(),
                None if outputs is None else Payload(json=outputs),
            ),
        )

    def say(self, job: TaskJob, level: str, message: str) -> None:
        """Add a line to the task's log."""
        self.append(
            self.topics.logs.name,
            job.execution_id,
            LogEntry(
                namespace=job.namespace,
                flow_id=job.flow_id,
                at_us=self.clock.now_us(),
                level=level,
                message=message,
                execution_id=job.execution_id,
                task_run_id=job.task_run_id,
                task_id=job.task_id,
                attempt=job.attempt,
                thread=WORKER,
            ),
        )

    def count(self, job: TaskJob) -> None:
        """Add a metric to the task."""
        self.append(
            self.topics.metrics.name,
            job.execution_id,
            MetricEntry(
                namespace=job.namespace,
                flow_id=job.flow_id,
                execution_id=job.execution_id,
                task_run_id=job.task_run_id,
                task_id=job.task_id,
                type="counter",
                name="words",
                value=1.0,
                at_us=self.clock.now_us(),
                tags={"kind": "greeting"},
            ),
        )

    def until(self, path: str, holds: Callable[[Any], bool], **kwargs: Any) -> Any:
        """Ask until the JSON answer holds."""
        deadline = time.monotonic() + DEADLINE_S
        pause = threading.Event()
        while time.monotonic() < deadline:
            answer = self.get(path, **kwargs).json()
            if holds(answer):
                return answer
            pause.wait(0.01)
        raise AssertionError(f"Expected {path} to hold in time, but it was {answer}.")

    def until_state(self, execution_id: str, state: str) -> dict[str, Any]:
        """Ask until the execution is in this state."""
        document: dict[str, Any] = self.until(
            f"/executions/{execution_id}", lambda d: d["state"]["current"] == state
        )
        return document


def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition of this process."""
    pause = threading.Event()
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "Expected it to hold in time, but it did not."
        pause.wait(0.02)


@contextmanager
def api_server(
    folder: Path, settings: ApiSettings | None = None, embedded: bool = False
) -> Iterator[ApiServer]:
    """A running server; over the SQLite log when `embedded`, else over the log in memory."""
    clock = SystemClock()
    log: EventLog = SqliteLog(folder / "log.db", clock) if embedded else MemoryLog(clock)
    with running(ApiServer(log, folder, settings or ApiSettings())) as server:
        yield server


@contextmanager
def running(server: ApiServer) -> Iterator[ApiServer]:
    """Start the server, stop it, close its log."""
    server.start()
    try:
        yield server
    finally:
        server.stop()
        server.log.close()
