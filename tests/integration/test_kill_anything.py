"""kill -9 of the executor, then the worker, then the broker, in the middle of 500 executions.

Nothing may be lost, doubled or stuck: every execution ends SUCCESS, every task has one final
attempt, and folding the log from offset 0 gives what the API shows.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.running import RunningServer, running_server
from tests.kafka_broker import Broker

from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.kafka import KafkaLog
from tiercel_engine.execution.apply import fold
from tiercel_engine.execution.model import Execution
from tiercel_schemas import codec
from tiercel_schemas import events as e
from tiercel_schemas.state import State
from tiercel_schemas.topics import Topics

EXECUTIONS = 500
#: How long all of them may take, deaths included.
END_TIMEOUT_S = 240.0
LOOK_EVERY_S = 0.2

FLOW = """id: three
namespace: kills
tasks:
  - id: first
    type: io.kestra.plugin.core.debug.Return
    format: "{{ execution.id }}"
  - id: nap
    type: io.kestra.plugin.core.flow.Sleep
    duration: PT0.2S
  - id: last
    type: io.kestra.plugin.core.debug.Return
    format: "{{ outputs.first.value }}"
"""


def processes_of(server: RunningServer, role: str) -> list[int]:
    """The server's processes that run this role (Linux)."""
    found = []
    for path in Path(f"/proc/{server.process.pid}/task").glob("*/children"):
        for child in path.read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if role.encode() in words:
                found.append(int(child))
    return found


def kill(server: RunningServer, role: str) -> None:
    """kill -9 one process of a role."""
    (pid, *_) = processes_of(server, role)
    os.kill(pid, signal.SIGKILL)


def ended(server: RunningServer) -> int:
    """How many executions the API shows as ended well."""
    found = server.get("/executions/search?namespace=kills&state=SUCCESS&size=1").json()
    total: int = found["total"]
    return total


def until(look: Callable[[], int], count: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while (seen := look()) < count:
        assert time.monotonic() < deadline, f"Expected {count}, but {seen} after {timeout_s} s."
        time.sleep(LOOK_EVERY_S)


def read_events(bootstrap: str, topics: Topics) -> dict[str, list[e.EventBatch]]:
    """Execution id -> its event records, from offset 0."""
    log = KafkaLog(bootstrap, clock=SystemClock())
    found: dict[str, list[e.EventBatch]] = defaultdict(list)
    for partition in range(log.partition_count(topics.executions.name)):
        for record in log.read(topics.executions.name, partition, 0):
            batch = codec.decode(record.value)
            if isinstance(batch, e.EventBatch):
                found[batch.execution_id].append(batch)
    log.close()
    return found


def folded(execution_id: str, batches: list[e.EventBatch]) -> Execution:
    state = Execution(execution_id)
    for batch in batches:
        assert batch.first_seq == state.sequence + 1, "an event is missing or twice in the log"
        state = fold(state, batch)
    return state


def compare(state: Execution, shown: dict[str, Any]) -> None:
    """The fold of the log is what the API shows."""
    assert shown["state"]["current"] == state.state
    runs = {run["id"]: run for run in shown["taskRunList"]}
    assert set(runs) == set(state.task_runs)
    for run in state.task_runs.values():
        assert runs[run.id]["state"]["current"] == run.state
        assert runs[run.id]["taskId"] == run.task_id
    assert runs[state.runs_of_task["last"]]["outputs"] == {"value": state.id}


@pytest.mark.kafka
@pytest.mark.timeout(420)
def test_nothing_is_lost_when_executor_worker_and_broker_die(
    own_broker: Broker, tmp_path: Path
) -> None:
    prefix = f"kills-{secrets.token_hex(4)}."
    options = ("--kafka", own_broker.bootstrap, "--topic-prefix", prefix)
    with running_server(tmp_path / "data", *options) as server:
        server.save(FLOW)
        with ThreadPoolExecutor(8) as clients:
            answers = clients.map(
                lambda _: server.post("/executions/kills/three"), range(EXECUTIONS)
            )
            ids = {answer.json()["id"] for answer in answers}
        assert len(ids) == EXECUTIONS

        until(lambda: ended(server), 20, 60)
        kill(server, "executor")
        until(lambda: ended(server), 100, 120)
        kill(server, "worker")
        until(lambda: ended(server), 200, 120)
        own_broker.kill()
        own_broker.restart()
        until(lambda: ended(server), EXECUTIONS, END_TIMEOUT_S)

        shown = {i: server.get(f"/executions/{i}").json() for i in sorted(ids)}
        assert ended(server) == EXECUTIONS

    events = read_events(own_broker.bootstrap, Topics(prefix))
    assert set(events) == ids
    for execution_id, batches in events.items():
        state = folded(execution_id, batches)
        assert state.state == State.SUCCESS
        compare(state, shown[execution_id])
        final = Counter(
            event.task_run_id
            for batch in batches
            for event in batch.events
            if isinstance(event, e.AttemptEnded)
        )
        assert set(final.values()) == {1}, "a task has more than one final attempt"
