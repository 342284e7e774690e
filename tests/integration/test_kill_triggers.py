"""kill -9 of schedulers and executors while schedules fire and messages come.

Every date and every message id starts exactly one execution, whoever dies meanwhile, and every bad
message is put aside. `TIERCEL_TEST_MESSAGES` says how many messages; the suite sends fewer than the
twenty thousand that a release is tried with.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from tests.acceptance.running import RunningServer, running_server
from tests.integration.test_kill_anything import processes_of
from tests.kafka_broker import Broker

from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.base import EventLog, NewRecord
from tiercel_engine.eventlog.kafka import KafkaLog
from tiercel_schemas import codec
from tiercel_schemas import events as e
from tiercel_schemas.topics import Topics

MESSAGES = int(os.environ.get("TIERCEL_TEST_MESSAGES", "1500"))
#: Each this-many-th message cannot be started.
BAD_EVERY = 50
#: Messages that are sent again, in percent.
AGAIN_PERCENT = 20
KILL_SECONDS = float(os.environ.get("TIERCEL_TEST_KILL_SECONDS", "20"))
KILL_EVERY_S = 4.0
END_TIMEOUT_S = 300.0

FLOWS = (
    """id: ticks
namespace: kills
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ trigger.date }}"}
triggers:
  - id: each-second
    type: io.kestra.plugin.core.trigger.Schedule
    cron: "* * * * * *"
    withSeconds: true
""",
    """id: asked
namespace: kills
inputs:
  - {id: n, type: INT}
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ inputs.n }}"}
""",
)


def created(log: EventLog, topics: Topics, flow_id: str) -> Iterator[e.ExecutionCreated]:
    """Every execution of a flow, from offset 0."""
    for partition in range(topics.executions.partitions):
        for record in log.read(topics.executions.name, partition, 0):
            batch = codec.decode(record.value)
            if isinstance(batch, e.EventBatch):
                for event in batch.events:
                    if isinstance(event, e.ExecutionCreated) and event.flow_id == flow_id:
                        yield event


def variables(event: e.ExecutionCreated) -> dict[str, str]:
    found: dict[str, str] = json.loads(event.trigger.json or "{}")["variables"]
    return found


def kill_one(server: RunningServer, role: str, rng: random.Random) -> None:
    """kill -9 a process of a role, whichever; none may be up again yet."""
    processes = processes_of(server, role)
    if processes:
        os.kill(rng.choice(processes), signal.SIGKILL)


def send(log: EventLog, topics: Topics, rng: random.Random) -> tuple[set[str], int]:
    """Send messages, some of them again, some bad; returns the ids of good ones, how many bad."""
    good: set[str] = set()
    bad = 0
    appender = log.appender()
    for number in range(MESSAGES):
        message = {"message_id": f"m{number}", "namespace": "kills", "flow_id": "asked"}
        is_bad = number % BAD_EVERY == 7
        message |= {"inputs": {"n": "many" if is_bad else number}}
        copies = 1 if is_bad else 1 + (rng.randrange(100) < AGAIN_PERCENT)
        bad += is_bad
        if not is_bad:
            good.add(message["message_id"])
        for _ in range(copies):
            value = json.dumps(message).encode()
            key = f"k{rng.randrange(100)}"
            appender.append(NewRecord(topics.trigger_messages.name, key, value))
        if number % 500 == 499:
            appender.flush(60)
    appender.flush(60)
    appender.close()
    return good, bad


@pytest.mark.kafka
@pytest.mark.timeout(900)
def test_dates_and_messages_start_once_each_while_schedulers_and_executors_die(
    own_broker: Broker, tmp_path: Path
) -> None:
    rng = random.Random(7)
    prefix = f"kills-{secrets.token_hex(4)}."
    topics = Topics(prefix, 4)
    options = (
        *("--kafka", own_broker.bootstrap, "--topic-prefix", prefix, "--topic-partitions", "4"),
        *("--schedulers", "2", "--executors", "2"),
    )
    with (
        running_server(tmp_path / "data", *options) as server,
        closing(KafkaLog(own_broker.bootstrap, clock=SystemClock())) as log,
    ):
        for flow in FLOWS:
            server.save(flow)
        good, bad = send(log, topics, rng)
        deadline = time.monotonic() + KILL_SECONDS
        while time.monotonic() < deadline:
            time.sleep(KILL_EVERY_S)
            kill_one(server, "scheduler", rng)
            if rng.random() < 0.5:
                kill_one(server, "executor", rng)

        deadline = time.monotonic() + END_TIMEOUT_S
        while len(list(created(log, topics, "asked"))) < len(good):
            assert time.monotonic() < deadline, "messages were lost"
            time.sleep(2.0)
        last = max(variables(x)["date"] for x in created(log, topics, "ticks"))
        until = datetime.fromisoformat(last) + timedelta(seconds=5)
        while max(variables(x)["date"] for x in created(log, topics, "ticks")) < until.isoformat():
            assert time.monotonic() < deadline, "the schedule stands still"
            time.sleep(1.0)

        ids = Counter(variables(x)["messageId"] for x in created(log, topics, "asked"))
        dates = sorted(variables(x)["date"] for x in created(log, topics, "ticks"))
        letters = list(log.read(topics.dead_letters.name, 0, 0))

    assert set(ids) == good
    assert set(ids.values()) == {1}, "a message started several executions"
    assert len(letters) == bad
    seconds = [datetime.fromisoformat(date) for date in dates]
    steps = Counter((b - a).total_seconds() for a, b in pairwise(seconds))
    assert set(steps) == {1.0}, f"dates are missing or doubled: {steps}"
