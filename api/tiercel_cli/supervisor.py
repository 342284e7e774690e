"""`tiercel server --kafka …`: every role as its own process on this machine.

Theory of operation: one task per process starts it, waits for its end, and starts it again after
a pause that doubles from `RESTART_FIRST_S` to `RESTART_LONGEST_S`. A process that became ready
resets its pause. One that ends `FAILURES_MAX` times in a row without becoming ready cannot work
here, and everything stops with exit code 1. Processes tell that they are ready by one JSON line on
standard output; their standard input ends with the supervisor, however it dies, and they stop.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tiercel_cli.process import on_stdin_end
from tiercel_engine.config import Settings, is_setting_variable
from tiercel_engine.telemetry.logging import get_logger

RESTART_FIRST_S = 0.5
RESTART_LONGEST_S = 10.0
#: Ends in a row, none of them after becoming ready, that make the supervisor give up.
FAILURES_MAX = 8

log = get_logger()


@dataclass
class Child:
    """One process slot: what it runs and how it fares."""

    role: str
    command: Sequence[str]
    process: Process | None = None
    is_ready: bool = False
    failures: int = 0
    url: str | None = None


class Supervisor:
    """Keeps one process per slot running until `stop`."""

    def __init__(
        self, children: Sequence[Child], settings: Settings, ready: Callable[[str | None], None]
    ) -> None:
        """`ready` is called once, with the API's address, when every process is ready."""
        self._children = children
        self._settings = settings
        self._ready = ready
        self._stopping = asyncio.Event()
        self._was_ready = False
        self._exit_code = 0

    def stop(self) -> None:
        """Stop every process, in an orderly way."""
        self._stopping.set()

    async def run(self, stops_with_stdin: bool = False) -> int:
        """Run until stopped; return the exit code: 0, or 1 when a process could not work."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        if stops_with_stdin:
            on_stdin_end(self.stop)
        async with asyncio.TaskGroup() as tasks:
            for child in self._children:
                tasks.create_task(self._keep_running(child))
        return self._exit_code

    async def _keep_running(self, child: Child) -> None:
        while not self._stopping.is_set():
            exit_code = await self._run_once(child)
            if self._stopping.is_set():
                return
            log.error("role_died", role=child.role, exit_code=exit_code)
            child.failures = 0 if child.is_ready else child.failures + 1
            child.is_ready = False
            if child.failures >= FAILURES_MAX:
                log.error("role_gave_up", role=child.role, failures=child.failures)
                self._exit_code = 1
                self.stop()
                return
            pause_s = min(RESTART_FIRST_S * 2**child.failures, RESTART_LONGEST_S)
            await self._wait_stopping(pause_s)

    async def _run_once(self, child: Child) -> int:
        environment = {k: v for k, v in os.environ.items() if not is_setting_variable(k)}
        environment |= self._settings.to_environment()
        # A session of its own: Ctrl-C in the terminal reaches the supervisor alone, which then
        # stops the processes in an orderly way.
        process = await asyncio.create_subprocess_exec(
            *child.command, stdin=PIPE, stdout=PIPE, env=environment, start_new_session=True
        )
        child.process = process
        log.info("role_started", role=child.role, pid=process.pid)
        reading = asyncio.create_task(self._read_output(child, process))
        ending = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([ending, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                await self._end(process)
            exit_code = await ending
            await reading
        finally:
            stopping.cancel()
            if process.stdin is not None:
                process.stdin.close()
        return exit_code

    async def _end(self, process: Process) -> None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._settings.stop_timeout_s + 5)
        except TimeoutError:
            process.kill()

    async def _read_output(self, child: Child, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            fact = _parse_fact(line)
            if fact is None:
                sys.stdout.write(line.decode(errors="replace"))
                continue
            child.is_ready = True
            child.url = fact.get("url")
            log.info(
                "role_ready",
                role=child.role,
                instance=fact["ready"],
                pid=process.pid,
                **{name: fact[name] for name in ("url", "metrics") if fact.get(name)},
            )
            if not self._was_ready and all(c.is_ready for c in self._children):
                self._was_ready = True
                self._ready(next((c.url for c in self._children if c.url), None))

    async def _wait_stopping(self, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), timeout_s)
        except TimeoutError:
            return


def _parse_fact(line: bytes) -> dict[str, str] | None:
    try:
        fact = json.loads(line)
    except ValueError:
        return None
    return fact if isinstance(fact, dict) and "ready" in fact else None


def plan_children(settings: Settings) -> list[Child]:
    """The processes of one machine: executors, workers, schedulers, an indexer, an API.

    Those without an API serve their metrics on a free port, which the log tells.
    """
    roles = ["executor"] * settings.executors + ["worker"] * settings.workers
    roles += ["scheduler"] * settings.schedulers
    command = [sys.executable, "-m", "tiercel_cli.main"]
    return [
        Child(role, [*command, role, "--stop-with-stdin", "--metrics-port", "0"])
        for role in [*roles, "indexer"]
    ] + [Child("api", [*command, "api", "--stop-with-stdin"])]
