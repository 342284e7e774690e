"""The composition root: the only place where adapters meet services.

`tiercel server` is one process over the embedded log. Over Kafka each role is its own process,
and `tiercel server --kafka …` is their supervisor. What differs between the two is here and
nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from random import Random
from typing import TYPE_CHECKING

from aiohttp import web

from tiercel_api.bounds import Bounds
from tiercel_api.monitoring import create_monitoring
from tiercel_api.services import LOOPBACK_HOSTS, ApiSettings, Services
from tiercel_cli.address import find_address
from tiercel_cli.exposure import is_loopback, make_safe
from tiercel_cli.instance import claim_instance, claim_name
from tiercel_cli.output import print_line
from tiercel_cli.presence import Owned, Presence
from tiercel_cli.process import Address, Role, RoleProcess
from tiercel_cli.supervisor import Supervisor, plan_children
from tiercel_engine import collector
from tiercel_engine.affinity import keep_to_one_core
from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import Clock, SystemClock
from tiercel_engine.config import Settings
from tiercel_engine.errors import InvalidSettings
from tiercel_engine.eventlog.base import EventLog
from tiercel_engine.eventlog.embedded import SqliteLog
from tiercel_engine.eventlog.kafka import KafkaLog
from tiercel_engine.eventlog.schema_registry import SchemaRegistry
from tiercel_engine.execution.skips import skips_of
from tiercel_engine.executor.settings import ExecutorSettings
from tiercel_engine.expression.server import ServerVariables, envs_of
from tiercel_engine.flow.defaults import TypeDefault
from tiercel_engine.later import later
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_engine.repository.base import Store
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.sealing import Sealer
from tiercel_engine.telemetry.logging import bind_context, configure_logging
from tiercel_scheduler.settings import SchedulerSettings
from tiercel_schemas.ids import worker_id
from tiercel_schemas.topics import Topics
from tiercel_worker.local_files import LocalFiles
from tiercel_worker.service import Worker

if TYPE_CHECKING:
    from tiercel_engine.executor.service import Executor
    from tiercel_engine.indexer.service import Indexer
    from tiercel_scheduler.service import Scheduler

# A role loads what it runs: a worker needs no database, no routes, no decisions.
_api = later("tiercel_api.app")
_stores = later("tiercel_engine.repository.store")
_deciding = later("tiercel_engine.executor.service")
_scheduling = later("tiercel_scheduler.service")
_indexing = later("tiercel_engine.indexer.service")

#: In the one process of the embedded log, threads hand work to each other within milliseconds; the
#: interpreter's default of 5 ms between switches would be most of an execution's duration, and a
#: tenth of it costs a fifth of the throughput.
SWITCH_INTERVAL_S = 0.002


#: Where roles without an API serve their metrics: for this machine's collector alone.
LOOPBACK = "127.0.0.1"


def run_server(settings: Settings, stops_with_stdin: bool = False) -> int:
    """Run everything on this machine until stopped; return the exit code.

    Raises:
        TiercelError: it cannot start; the message says what to do.
    """
    configure_logging(settings.logging_level, settings.logging_format)
    if settings.kafka is not None:
        return _supervise(settings, stops_with_stdin)
    with ExitStack() as stack:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        if settings.server_cores == "one":
            keep_to_one_core()
        parts = _Parts(settings, stack, "server")
        worker = parts.worker()
        executor = parts.executor()
        indexer = parts.indexer()
        roles = [
            _worker_role(worker),
            _scheduler_role(parts.scheduler()),
            _executor_role(executor),
            _indexer_role(indexer),
        ]
        process = RoleProcess(settings, roles, parts.presence(roles, has_api=True))
        return asyncio.run(_run(process, parts.app(process, indexer), "server", stops_with_stdin))


def run_role(role: str, settings: Settings, stops_with_stdin: bool = False) -> int:
    """Run one role over Kafka until stopped; return the exit code.

    Raises:
        TiercelError: it cannot start; the message says what to do.
    """
    configure_logging(settings.logging_level, settings.logging_format)
    if settings.kafka is None:
        raise InvalidSettings(
            f"A {role} on its own needs Kafka: --kafka host:port. Without Kafka, "
            "`tiercel server` runs every role in one process."
        )
    with ExitStack() as stack:
        run_folder = settings.data_dir / "run"
        instance = (
            claim_name(run_folder, settings.instance)
            if settings.instance
            else claim_instance(run_folder, role)
        )
        stack.callback(instance.release)
        bind_context(instance=instance.name)
        parts = _Parts(settings, stack, instance.name)
        roles = []
        if role == "executor":
            roles.append(_executor_role(parts.executor()))
        elif role == "worker":
            roles.append(_worker_role(parts.worker()))
        elif role == "scheduler":
            roles.append(_scheduler_role(parts.scheduler()))
        elif role == "indexer":
            roles.append(_indexer_role(parts.indexer()))
        process = RoleProcess(settings, roles, parts.presence(roles, has_api=role == "api"))
        if role == "api":
            app = parts.app(process, None)
            return asyncio.run(_run(process, app, instance.name, stops_with_stdin))
        return asyncio.run(_run_unseen(process, settings, instance.name, stops_with_stdin))


def rebuild_read_model(settings: Settings) -> int:
    """Drop the read model and write it again from the log; return how many records it read.

    Raises:
        TiercelError: the log or the database cannot be opened.
    """
    configure_logging(settings.logging_level, settings.logging_format)
    with ExitStack() as stack:
        parts = _Parts(settings, stack, "rebuild")
        count: int = _indexing().rebuild(parts.log, parts.topics, parts.store())
        return count


class _Parts:
    """The adapters of one process, opened when first needed, closed by the stack."""

    def __init__(self, settings: Settings, stack: ExitStack, instance: str) -> None:
        self._settings = settings
        self._stack = stack
        self._instance = instance
        self._store: Store | None = None
        self.clock: Clock = SystemClock()
        self.topics = Topics(settings.topic_prefix, settings.topic_partitions)
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.log = stack.enter_context(closing(_open_log(settings, self.clock)))
        self.log.create_topics(self.topics.all())
        self.registry = PluginRegistry.load()
        self.storage = Storage(settings.storage_url, settings.storage_revisions_max)
        key = settings.encryption_key
        self.sealer = None if key is None else Sealer(key.get_secret_value())
        self.catalog = stack.enter_context(
            closing(
                FlowCatalog(
                    self.log,
                    self.topics,
                    self.registry,
                    self.clock,
                    [TypeDefault(d.type, d.values, d.forced) for d in settings.plugin_defaults],
                )
            )
        )

    @property
    def _server_variables(self) -> ServerVariables:
        settings = self._settings
        return ServerVariables(
            envs_of(os.environ),
            settings.variables_globals,
            settings.environment_name,
            settings.url,
        )

    def executor(self) -> Executor:
        executor: Executor = _deciding().Executor(
            log=self.log,
            topics=self.topics,
            catalog=self.catalog,
            storage=self.storage,
            clock=self.clock,
            rng=Random(),
            instance=self._instance,
            settings=_executor_settings(self._settings),
            server=self._server_variables,
            sealer=self.sealer,
        )
        return executor

    def worker(self) -> Worker:
        return Worker(
            self.log,
            self.topics,
            self.storage,
            self.registry,
            self.clock,
            worker_id(self._instance, self.clock.now_us()),
            slots=self._settings.worker_slots,
            group=self._settings.worker_group or "",
            grace_s=self._settings.worker_drain_s,
            sealer=self.sealer,
            find_api=lambda: find_address(self._settings),
            member=self._instance,
            local=LocalFiles(self._settings.local_folders),
        )

    def scheduler(self) -> Scheduler:
        registry = self._settings.schema_registry
        scheduler: Scheduler = _scheduling().Scheduler(
            log=self.log,
            topics=self.topics,
            catalog=self.catalog,
            storage=self.storage,
            clock=self.clock,
            instance=self._instance,
            encrypt=None if self.sealer is None else self.sealer.seal,
            registry=None if registry is None else SchemaRegistry(registry),
            settings=SchedulerSettings(timezone=self._settings.timezone),
        )
        return scheduler

    def indexer(self) -> Indexer:
        indexer: Indexer = _indexing().Indexer(
            self.log, self.topics, self.store(), self.clock, self._instance
        )
        return indexer

    def presence(self, roles: Sequence[Role], has_api: bool) -> Presence:
        """What says of these roles, and of the API where it runs here, that they live."""
        services: dict[str, Owned] = {role.name: role.owned for role in roles}
        if has_api:
            services["api"] = tuple
        name = self.topics.services.name
        return Presence(self.log, name, self.clock, self._instance, services)

    def store(self) -> Store:
        if self._store is None:
            self._store = self._stack.enter_context(
                closing(_stores().open_store(self._settings.database_url))
            )
        return self._store

    def app(self, process: RoleProcess, indexer: Indexer | None) -> web.Application:
        """The API; woken by the indexer when that runs in this process."""
        key = self._settings.encryption_key
        make_safe(self._settings, self.log, self.topics, self.clock)
        app: web.Application = _api().create_app(
            Services(
                log=self.log,
                topics=self.topics,
                catalog=self.catalog,
                models=self.store(),
                storage=self.storage,
                registry=self.registry,
                clock=self.clock,
                settings=ApiSettings(
                    url=self._settings.url,
                    timezone=self._settings.timezone,
                    hosts=_allowed_hosts(self._settings.host),
                    dialect=self._settings.dialect,
                    templates=self._settings.templates,
                    bounds=Bounds(
                        connections_max=self._settings.connections_max,
                        per_client_max=self._settings.connections_per_client_max,
                    ),
                    followers_max=self._settings.streams_max,
                    lag_commands_max=self._settings.lag_commands_max,
                    lag_max_s=self._settings.lag_max_s,
                ),
                sealer=self.sealer,
                session_secret=key.get_secret_value() if key is not None else None,
                server=self._server_variables,
                indexed=None if indexer is None else indexer.on_indexed,
                is_ready=process.is_ready,
            )
        )
        return app


def _executor_settings(settings: Settings) -> ExecutorSettings:
    """The settings `executor_…`, by their names there."""
    prefix = "executor_"
    given = {
        name.removeprefix(prefix): getattr(settings, name)
        for name in Settings.model_fields
        if name.startswith(prefix)
    }
    skips = skips_of(settings.skip_executions, settings.skip_flows, settings.skip_namespaces)
    events = settings.execution_events
    if events == "auto":
        events = "off" if settings.kafka is None else "json"
    return ExecutorSettings(
        **given,
        skips=skips,
        templates=settings.templates,
        execution_events="json" if events == "on" else events,
    )


def _supervise(settings: Settings, stops_with_stdin: bool) -> int:
    if settings.instance is not None:
        raise InvalidSettings("--instance names one role; `tiercel server` starts several.")
    # Topics and tables once, before several processes would make them at the same time.
    with ExitStack() as stack:
        parts = _Parts(settings, stack, "server")
        parts.store()
        make_safe(settings, parts.log, parts.topics, parts.clock)
    children = plan_children(settings)
    supervisor = Supervisor(children, settings, _announcer("server"))
    return asyncio.run(supervisor.run(stops_with_stdin))


async def _run(
    process: RoleProcess, app: web.Application | None, instance: str, stops_with_stdin: bool
) -> int:
    collector.settle()
    return await process.run(app, _announcer(instance), stops_with_stdin)


async def _run_unseen(
    process: RoleProcess, settings: Settings, instance: str, stops_with_stdin: bool
) -> int:
    """Run roles that have no API; their metrics are served where `metrics_port` says."""
    collector.settle()
    announce = _announcer(instance, "metrics")
    if settings.metrics_port is None:
        return await process.run(None, announce, stops_with_stdin)
    app = create_monitoring(process.is_ready)
    address = Address(LOOPBACK, settings.metrics_port, "--metrics-port", serves_api=False)
    return await process.run(app, announce, stops_with_stdin, address)


def _open_log(settings: Settings, clock: Clock) -> EventLog:
    if settings.kafka is not None:
        return KafkaLog(settings.kafka, clock)
    return SqliteLog(settings.data_dir / "log.db", clock, settings.log_durability)


def _allowed_hosts(host: str) -> frozenset[str] | None:
    """Names by which the API may be called: on loopback its own, else any."""
    return LOOPBACK_HOSTS if is_loopback(host) else None


def _executor_role(executor: Executor) -> Role:
    return Role("executor", executor, executor.ready.is_set, False, lambda: executor.owned)


def _worker_role(worker: Worker) -> Role:
    return Role("worker", worker, worker.ready.is_set, True, lambda: worker.owned)


def _scheduler_role(scheduler: Scheduler) -> Role:
    return Role("scheduler", scheduler, scheduler.ready.is_set, False, lambda: scheduler.owned)


def _indexer_role(indexer: Indexer) -> Role:
    # The read model is open and migrated before the role starts; what it still lacks it catches
    # up with, and readers wait for.
    return Role("indexer", indexer, lambda: True, False, lambda: indexer.owned)


def _announcer(instance: str, serves: str = "url") -> Callable[[str | None], None]:
    """Tells whoever started us: a person on a terminal, else a program, by a line of JSON.

    Args:
        serves: what is at the address that it tells: the API's `url`, or `metrics` alone.
    """

    def announce(url: str | None) -> None:
        if sys.stdout.isatty():
            place = f"{', metrics' if serves == 'metrics' else ''} at {url}" if url else ""
            print_line(f"Tiercel is ready{place}. Ctrl-C stops it.")
        else:
            fact = {"ready": instance, "pid": os.getpid(), "url": None, serves: url}
            sys.stdout.write(json.dumps(fact) + "\n")
            sys.stdout.flush()

    return announce
