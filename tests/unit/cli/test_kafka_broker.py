"""Starting a broker: what is said when it cannot be had."""

from __future__ import annotations

import socket
import sys
import uuid
from pathlib import Path

import pytest

from tiercel_cli import kafka_broker
from tiercel_cli.kafka_broker import LocalBroker, is_answering
from tiercel_engine.errors import LogUnavailable, UserError


def test_a_missing_extra_is_named_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jgo", None)

    with pytest.raises(
        UserError, match=r"jgo is not installed: pip install 'tiercel\[kafka-dev\]'"
    ):
        LocalBroker(tmp_path).start()


def test_a_broker_that_ends_at_once_says_what_it_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").touch()
    script = "import sys; sys.exit('no such thing as a broker')"
    monkeypatch.setattr(kafka_broker, "java_command", lambda: [sys.executable, "-c", script])

    # when, then
    with pytest.raises(LogUnavailable, match="no such thing as a broker"):
        LocalBroker(tmp_path).start()


def test_a_cluster_id_that_begins_with_a_dash_is_no_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: Java that reads options as the storage tool does
    script = """import argparse, sys
if sys.argv[1] == "kafka.Kafka":
    sys.exit("storage was formatted")
parser = argparse.ArgumentParser()
parser.add_argument("-t", "--cluster-id", required=True)
parser.parse_known_args()
"""
    monkeypatch.setattr(kafka_broker, "java_command", lambda: [sys.executable, "-c", script])
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(bytes=b"\xf8" + bytes(15)))

    # when, then
    with pytest.raises(LogUnavailable, match="storage was formatted"):
        LocalBroker(tmp_path).start()


def test_a_port_that_speaks_no_kafka_is_not_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(kafka_broker, "PROBE_TIMEOUT_S", 0.1)

    # when, then
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_answering(server.getsockname()[1])
    assert not is_answering(kafka_broker.free_port())
