"""Which services live, from what they say on the log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tiercel_api.fleet import FORGOTTEN_S, SILENT_S, Fleet
from tiercel_cli.presence import Presence
from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.base import NewRecord
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_schemas.codec import encode
from tiercel_schemas.jobs import WorkerHeartbeat
from tiercel_schemas.topics import Topics


class Bench:
    """A log on which services speak, and who listens."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.topics = Topics(partitions=2)
        self.log = MemoryLog(self.clock)
        self.log.create_topics(self.topics.all())
        self.fleet = Fleet(self.log, self.topics, self.clock)

    def presence(self, instance: str, *roles: str) -> Presence:
        services = {role: (lambda: (0, 1)) for role in roles}
        return Presence(self.log, self.topics.services.name, self.clock, instance, services)

    def append(self, topic: str, key: str, value: bytes) -> None:
        appender = self.log.appender()
        appender.append(NewRecord(topic, key, value))
        appender.flush(5)
        appender.close()

    def states(self) -> dict[str, str]:
        return {one["id"]: one["state"] for one in self.fleet.look()}


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.fleet.close()


def test_a_process_of_one_role_is_one_service(bench: Bench) -> None:
    presence = bench.presence("executor-host-0", "executor")
    presence.end("RUNNING")

    (one,) = bench.fleet.look()

    assert (one["id"], one["type"], one["state"]) == ("executor-host-0", "EXECUTOR", "RUNNING")
    assert one["server"]["type"] == "SERVER"
    assert one["partitions"] == [0, 1]
    presence.close()


def test_a_process_of_several_is_several(bench: Bench) -> None:
    presence = bench.presence("server", "worker", "api")
    presence.end("RUNNING")

    assert bench.states() == {"server-api": "RUNNING", "server-worker": "RUNNING"}
    assert {one["server"]["type"] for one in bench.fleet.look()} == {"STANDALONE"}
    presence.close()


def test_a_worker_tells_of_its_slots(bench: Bench) -> None:
    presence = bench.presence("worker-host-0", "worker")
    presence.end("RUNNING")
    beat = WorkerHeartbeat("worker-host-0.1", 8, 5, "RUNNING", 1, 2, "gpu")
    bench.append(bench.topics.workers.name, "worker-host-0", encode(beat))

    (one,) = bench.fleet.look()

    assert one["worker"] == {"id": "worker-host-0.1", "group": "gpu", "slots": 8, "freeSlots": 5}
    presence.close()


def test_who_is_silent_is_disconnected_and_forgotten_in_the_end(bench: Bench) -> None:
    presence = bench.presence("executor-host-0", "executor")
    presence.end("RUNNING")

    bench.clock.advance(SILENT_S + 1)
    assert bench.states() == {"executor-host-0": "DISCONNECTED"}
    bench.clock.advance(FORGOTTEN_S)
    assert bench.states() == {}

    presence.end("RUNNING")
    assert bench.states() == {"executor-host-0": "RUNNING"}
    presence.close()


def test_who_has_ended_stays_ended(bench: Bench) -> None:
    presence = bench.presence("executor-host-0", "executor")
    presence.end("TERMINATED_GRACEFULLY")

    bench.clock.advance(SILENT_S + 1)

    assert bench.states() == {"executor-host-0": "TERMINATED_GRACEFULLY"}
    presence.close()


def test_what_does_not_read_hides_nobody(bench: Bench) -> None:
    bench.append(bench.topics.services.name, "x", b"nonsense")
    presence = bench.presence("executor-host-0", "executor")
    presence.end("RUNNING")

    assert bench.states() == {"executor-host-0": "RUNNING"}
    presence.close()
