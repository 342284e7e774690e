"""The life of a process: ready, orderly stop, failure of a role."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading

import aiohttp
import pytest
from aiohttp import web

from tiercel_api.monitoring import create_monitoring
from tiercel_cli.process import Address, Role, RoleProcess
from tiercel_engine.config import Settings
from tiercel_engine.errors import Conflict

SETTINGS = Settings(port=0, stop_timeout_s=5)


class Service:
    """A role that waits until it is stopped and notes it in `ends`."""

    def __init__(self, name: str, ends: list[str], error: Exception | None = None) -> None:
        self._name = name
        self._ends = ends
        self._error = error
        self._stop = threading.Event()
        self.ready = threading.Event()

    def run(self) -> None:
        self.ready.set()
        if self._error is not None:
            raise self._error
        self._stop.wait()
        self._ends.append(self._name)

    def stop(self) -> None:
        self._stop.set()

    def role(self, drains: bool = False) -> Role:
        return Role(self._name, self, self.ready.is_set, drains)


def interrupt(url: str | None) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def run(*roles: Role, settings: Settings = SETTINGS) -> int:
    async def main() -> int:
        return await RoleProcess(settings, roles).run(None, interrupt)

    return asyncio.run(main())


def test_roles_stop_in_order_on_sigterm_with_exit_code_0() -> None:
    ends: list[str] = []
    executor, indexer, worker = (Service(n, ends) for n in ("executor", "indexer", "worker"))

    exit_code = run(executor.role(), indexer.role(), worker.role(drains=True))

    assert exit_code == 0
    assert ends == ["worker", "executor", "indexer"]


def test_a_role_that_fails_stops_the_others_with_exit_code_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ends: list[str] = []
    healthy = Service("healthy", ends)
    broken = Service("broken", ends, OSError("the disk is full"))
    never = Role("broken", broken, lambda: False)

    assert run(healthy.role(), never) == 1

    assert ends == ["healthy"]
    assert "the disk is full" in capsys.readouterr().out


def test_a_role_that_ends_by_itself_counts_as_failed() -> None:
    ends: list[str] = []
    quitter = Service("quitter", ends)
    quitter.stop()

    assert run(Role("quitter", quitter, lambda: False)) == 1


def test_a_role_that_does_not_stop_is_given_up() -> None:
    release = threading.Event()

    class Stubborn(Service):
        def run(self) -> None:
            self.ready.set()
            release.wait()

    settings = SETTINGS.model_copy(update={"stop_timeout_s": 0.05})

    exit_code = run(Stubborn("stubborn", []).role(), settings=settings)

    release.set()
    assert exit_code == 1


def test_an_address_that_is_taken_stops_before_anything_starts() -> None:
    service = Service("executor", [])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(port=taken.getsockname()[1])

        async def main() -> int:
            process = RoleProcess(settings, [service.role()])
            return await process.run(web.Application(), interrupt)

        with pytest.raises(Conflict, match="--port"):
            asyncio.run(main())

    assert not service.ready.is_set()


def test_an_api_listens_on_a_free_port_and_says_which() -> None:
    urls: list[str | None] = []

    def ready(url: str | None) -> None:
        urls.append(url)
        interrupt(url)

    async def main() -> int:
        return await RoleProcess(SETTINGS, []).run(web.Application(), ready)

    assert asyncio.run(main()) == 0
    assert urls[0] is not None
    assert not urls[0].endswith(":0")


def test_a_role_without_an_api_serves_its_metrics_and_whether_it_takes_work() -> None:
    service = Service("worker", [])
    answers: dict[str, tuple[int, str]] = {}

    async def look(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            for path in ("/prometheus", "/health", "/ready", "/api/v1/flows/search"):
                async with session.get(url + path) as response:
                    answers[path] = (response.status, await response.text())
        interrupt(url)

    async def main() -> int:
        looking: list[asyncio.Task[None]] = []

        def ready(url: str | None) -> None:
            assert url is not None
            looking.append(asyncio.create_task(look(url)))

        process = RoleProcess(SETTINGS, [service.role()])
        app = create_monitoring(process.is_ready)
        exit_code = await process.run(app, ready, address=Address("127.0.0.1", 0))
        await looking[0]
        return exit_code

    assert asyncio.run(main()) == 0
    assert 'tiercel_role_ready{role="worker"} 1.0' in answers["/prometheus"][1]
    assert {path: status for path, (status, _) in answers.items()} == {
        "/prometheus": 200,
        "/health": 200,
        "/ready": 200,
        "/api/v1/flows/search": 404,
    }
