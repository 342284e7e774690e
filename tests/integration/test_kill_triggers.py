"""kill -9 of schedulers and executors while schedules fire, messages and records come.

Every date, every message id, every end that a Flow trigger waits for and every record of a user's
topic starts exactly one execution, whoever dies meanwhile, and every bad message is put aside.
`TIERCEL_TEST_MESSAGES` says how many messages; the suite sends fewer than the twenty thousand that
a release is tried with.
"""

from __future__ import annotations

import functools
import json
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
from tiercel_schemas.topics import FOREVER_MS, Topic, Topics

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
    """id: echoes
namespace: kills
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ trigger.executionId }}"}
triggers:
  - id: after-each
    type: io.kestra.plugin.core.trigger.Flow
    states: [SUCCESS]
    conditions:
      - {type: io.kestra.plugin.core.condition.ExecutionFlow, namespace: kills, flowId: ticks}
""",
    """id: taps
namespace: kills
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "{{ trigger.value }}"}
triggers:
  - id: each
    type: io.kestra.plugin.kafka.RealtimeTrigger
    topic: TOPIC
    groupId: GROUP
    properties: {bootstrap.servers: "BOOTSTRAP", auto.offset.reset: earliest}
""",
)
#: Records of the user's topic, one every so many seconds while others die.
RECORDS_A_TIME = 5


def created(
    log: EventLog, topics: Topics, flow_id: str
) -> Iterator[tuple[str, e.ExecutionCreated]]:
    """Every execution of a flow, from offset 0, with its id."""
    for partition in range(topics.executions.partitions):
        for record in log.read(topics.executions.name, partition, 0):
            batch = codec.decode(record.value)
            if isinstance(batch, e.EventBatch):
                for event in batch.events:
                    if isinstance(event, e.ExecutionCreated) and event.flow_id == flow_id:
                        yield batch.execution_id, event


def values(log: EventLog, topics: Topics, flow_id: str, name: str) -> list[str]:
    """What `{{ trigger.<name> }}` is in every execution of a flow, sorted."""
    return sorted(variables(event)[name] for _, event in created(log, topics, flow_id))


def wait_for(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + END_TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(1.0)


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


def tap(log: EventLog, topic: str, first: int) -> int:
    """Write the next records of the user's topic; returns how many."""
    appender = log.appender()
    for number in range(first, first + RECORDS_A_TIME):
        appender.append(NewRecord(topic, f"k{number}", str(number).encode()))
    appender.flush(60)
    appender.close()
    return RECORDS_A_TIME


def was_by(event: e.ExecutionCreated, date: str) -> bool:
    return variables(event)["date"] <= date


@pytest.mark.kafka
@pytest.mark.timeout(900)
def test_what_triggers_starts_once_each_while_schedulers_and_executors_die(
    own_broker: Broker, tmp_path: Path
) -> None:
    rng = random.Random(7)
    prefix = f"kills-{secrets.token_hex(4)}."
    topics = Topics(prefix, 4)
    options = (
        *("--kafka", own_broker.bootstrap, "--topic-prefix", prefix, "--topic-partitions", "4"),
        *("--schedulers", "2", "--executors", "2"),
    )
    own = f"own-{secrets.token_hex(4)}"
    names = {"TOPIC": own, "GROUP": own, "BOOTSTRAP": own_broker.bootstrap}
    with (
        running_server(tmp_path / "data", *options) as server,
        closing(KafkaLog(own_broker.bootstrap, clock=SystemClock())) as log,
    ):
        log.create_topics([Topic(own, 3, False, FOREVER_MS)])
        for flow in FLOWS:
            server.save(functools.reduce(lambda text, at: text.replace(*at), names.items(), flow))
        good, bad = send(log, topics, rng)
        tapped = 0
        deadline = time.monotonic() + KILL_SECONDS
        while time.monotonic() < deadline:
            time.sleep(KILL_EVERY_S)
            tapped += tap(log, own, tapped)
            kill_one(server, "scheduler", rng)
            if rng.random() < 0.5:
                kill_one(server, "executor", rng)

        wait_for(
            lambda: len(values(log, topics, "asked", "messageId")) >= len(good),
            "messages were lost",
        )
        wait_for(lambda: len(values(log, topics, "taps", "value")) >= tapped, "records were lost")
        last = values(log, topics, "ticks", "date")[-1]
        until = (datetime.fromisoformat(last) + timedelta(seconds=5)).isoformat()
        wait_for(lambda: values(log, topics, "ticks", "date")[-1] >= until, "it stands still")
        ended = {one for one, event in created(log, topics, "ticks") if was_by(event, last)}
        wait_for(
            lambda: ended <= set(values(log, topics, "echoes", "executionId")), "ends were lost"
        )

        ids = Counter(values(log, topics, "asked", "messageId"))
        dates = values(log, topics, "ticks", "date")
        echoes = Counter(values(log, topics, "echoes", "executionId"))
        records = Counter(values(log, topics, "taps", "value"))
        letters = list(log.read(topics.dead_letters.name, 0, 0))

    assert set(ids) == good
    assert set(ids.values()) == {1}, "a message started several executions"
    assert len(letters) == bad
    assert set(echoes.values()) == {1}, "an end started several executions"
    assert records == Counter(str(number) for number in range(tapped))
    seconds = [datetime.fromisoformat(date) for date in dates]
    steps = Counter((b - a).total_seconds() for a, b in pairwise(seconds))
    assert set(steps) == {1.0}, f"dates are missing or doubled: {steps}"
