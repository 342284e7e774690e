"""A scheduler and an executor over a log in memory, driven turn by turn under a fake clock."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.executor_harness import SETTINGS as EXECUTOR_SETTINGS
from tests.executor_harness import TOPICS, Bench, PlayedWorker

from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.base import EventLog, NewRecord
from tiercel_engine.executor.service import Executor
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_scheduler.service import Scheduler
from tiercel_scheduler.settings import SchedulerSettings
from tiercel_schemas import codec
from tiercel_schemas import events as e
from tiercel_schemas.commands import SaveFlow
from tiercel_schemas.triggers import TriggerState

SETTINGS = SchedulerSettings(idle_poll_s=0.0, dropped_wait_s=0.0)
CORE = "io.kestra.plugin.core"


def us(text: str) -> int:
    """An ISO instant as microseconds."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000)


def flow(flow_id: str, triggers: str, rest: str = "", revision: str = "") -> str:
    """A flow that waits in one task, with triggers."""
    return f"""id: {flow_id}
namespace: tests
description: "{revision}"
{rest}
tasks:
  - id: work
    type: io.kestra.plugin.core.log.Log
    message: hi
triggers:
{triggers}
"""


class Stage:
    """The parts around schedulers and an executor. The log outlives the schedulers made here."""

    def __init__(self, log: EventLog, clock: FakeClock, folder: Path) -> None:
        self.bench = Bench(log, clock, folder)
        self.clock = clock
        self.registry = PluginRegistry.load()
        self.executor = Executor(
            log=log,
            topics=TOPICS,
            catalog=self.catalog(),
            storage=self.bench.storage,
            clock=clock,
            rng=random.Random(7),
            instance="0",
            settings=EXECUTOR_SETTINGS,
        )
        self.executor.open()
        self.worker = PlayedWorker(self.bench)
        self.schedulers: list[Scheduler] = []

    def catalog(self) -> FlowCatalog:
        """A catalog of its own for one more process."""
        catalog = FlowCatalog(self.bench.log, TOPICS, self.registry, self.clock)
        self.bench.catalogs.append(catalog)
        return catalog

    def scheduler(self, instance: str = "0") -> Scheduler:
        """A new scheduler process under this instance name, opened."""
        scheduler = Scheduler(
            log=self.bench.log,
            topics=TOPICS,
            catalog=self.catalog(),
            storage=self.bench.storage,
            clock=self.clock,
            instance=instance,
            settings=SETTINGS,
        )
        scheduler.open()
        self.schedulers.append(scheduler)
        return scheduler

    def save(self, source: str, flow_id: str) -> None:
        """Ask the executor to store a flow."""
        key = f"main/tests/{flow_id}"
        number = len(self.bench.records(TOPICS.commands.name))
        command = SaveFlow(
            command_id=f"save-{number}",
            namespace="tests",
            flow_id=flow_id,
            source=source,
            sent_us=self.clock.now_us(),
        )
        self.bench.send(command, key)
        self.executor.turn()

    def ask(self, command: codec.AvroRecord, flow_id: str) -> None:
        """Append a command to the scheduler."""
        record = NewRecord(
            TOPICS.trigger_commands.name, f"main/tests/{flow_id}", codec.encode(command)
        )
        self.bench.appender.append(record)

    def turns(self, count: int = 3, state: str = "SUCCESS") -> None:
        """Let everybody work for a while; every task ends in `state`."""
        for _ in range(count):
            for scheduler in self.schedulers:
                scheduler.turn()
            self.executor.turn()
            self.worker.turn(state)

    def until(self, text: str, step_s: float, state: str = "SUCCESS") -> None:
        """Move the clock on in steps up to an instant."""
        while self.clock.now_us() < us(text):
            self.clock.advance(min(step_s, (us(text) - self.clock.now_us()) / 1e6))
            self.turns(3, state)

    def created(self, flow_id: str | None = None) -> list[e.ExecutionCreated]:
        """What was started, in the order of the log."""
        found = [
            event
            for batches in self.bench.batches().values()
            for batch in batches
            for event in batch.events
            if isinstance(event, e.ExecutionCreated)
        ]
        return [x for x in found if flow_id is None or x.flow_id == flow_id]

    def dates(self, flow_id: str | None = None) -> list[str]:
        """`trigger.date` of everything that was started, sorted."""
        return sorted(self.variables(x)["date"] for x in self.created(flow_id))

    @staticmethod
    def variables(created: e.ExecutionCreated) -> dict[str, Any]:
        variables: dict[str, Any] = json.loads(created.trigger.json or "{}")["variables"]
        return variables

    def state(self, trigger: str) -> TriggerState:
        """A trigger's state, as its scheduler has it."""
        states = {k: v for s in self.schedulers for k, v in s.states().items()}
        return states[f"main/tests/{trigger}"]

    def crash(self, scheduler: Scheduler) -> None:
        """End a scheduler; what it had in memory is gone."""
        self.schedulers.remove(scheduler)
        scheduler.close()

    def close(self) -> None:
        for scheduler in list(self.schedulers):
            self.crash(scheduler)
        self.executor.close()
        self.worker.consumer.close()
        self.bench.close()
