"""Real servers, as a user starts them: one on the embedded log, one over Kafka."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.running import RunningServer, running_server


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """`tiercel server`: one process."""
    with running_server(tmp_path_factory.mktemp("embedded")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_options(kafka_bootstrap: str) -> tuple[str, ...]:
    """What the roles over Kafka are started with: topics of their own."""
    prefix = f"acceptance-{secrets.token_hex(4)}."
    return ("--kafka", kafka_bootstrap, "--topic-prefix", prefix, "--topic-partitions", "4")


@pytest.fixture(scope="session")
def kafka_server(
    tmp_path_factory: pytest.TempPathFactory, kafka_options: tuple[str, ...]
) -> Iterator[RunningServer]:
    """`tiercel server --kafka`: each role its own process."""
    with running_server(tmp_path_factory.mktemp("kafka"), *kafka_options) as server:
        yield server


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def server(request: pytest.FixtureRequest) -> RunningServer:
    """Both, one after the other. Tests share it: flows need a namespace of their own."""
    running: RunningServer = request.getfixturevalue(f"{request.param}_server")
    return running


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"test.n{secrets.token_hex(4)}"


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """A small file to upload."""
    path = tmp_path / "orders.csv"
    path.write_text("baron,3\nmiller,5\nsmith,4\n")
    return path
