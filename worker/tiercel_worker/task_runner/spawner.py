"""Commands and scripts as processes below a supervisor, forked by an interpreter that is ready.

Each has a process of its own, in a session of its own, with its own folder and environment; nothing
that it does is seen by the next one. A Python script is a fork itself: milliseconds, not tens. See
`zygote.py` for the other side.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tiercel_engine.affinity import all_cores
from tiercel_engine.errors import TaskError

_ZYGOTE = Path(__file__).with_name("zygote.py")
REQUEST_FILE = ".tiercel-request"
#: How long a supervisor may take to say the process id.
START_TIMEOUT_S = 10.0
#: How long the interpreter may take to end once its socket is closed.
CLOSE_TIMEOUT_S = 5.0

#: Orders to a supervisor, see `zygote.py`. It goes with the first of the last two.
TERMINATE = b"T"
KILL_ALL = b"K"
KILL_GROUP = b"G"


class _Lost(Exception):
    """The interpreter has ended before it took a request."""


class Spawner:
    """One ready interpreter, started at the first request, started again when it was lost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._main: socket.socket | None = None

    def start_command(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> Child:
        """Start a command in its folder.

        Raises:
            TaskError: it could not be started.
        """
        return self._start(command[0], {"command": list(command)}, folder, environment)

    def start_script(self, script: Path, folder: Path, environment: Mapping[str, str]) -> Child:
        """Start a Python script in its folder.

        Raises:
            TaskError: no interpreter could be started.
        """
        return self._start("Python", {"path": str(script)}, folder, environment)

    def close(self) -> None:
        """End the interpreter. What runs is ended by who started it."""
        with self._lock:
            self._end()

    def _start(
        self, name: str, what: dict[str, Any], folder: Path, environment: Mapping[str, str]
    ) -> Child:
        asked = {**what, "folder": str(folder), "environment": dict(environment)}
        try:
            try:
                return self._ask(asked, folder)
            except _Lost:
                # It died before it took the request: the next one starts it.
                return self._ask(asked, folder)
        except (_Lost, OSError) as error:
            raise TaskError(f"Expected to start {name!r}, but {error}.") from error

    def _ask(self, asked: dict[str, Any], folder: Path) -> Child:
        request = folder / REQUEST_FILE
        request.touch(0o600)
        request.write_text(json.dumps(asked))
        mine, theirs = socket.socketpair()
        pipes = [os.pipe() for _ in range(2)]
        try:
            with request.open("rb") as file, theirs:
                self._send([theirs.fileno(), pipes[0][1], pipes[1][1], file.fileno()])
        except OSError:
            mine.close()
            for read, _ in pipes:
                os.close(read)
            raise
        finally:
            request.unlink()
            for _, write in pipes:
                os.close(write)
        return Child(mine, *(os.fdopen(read, "rb", 0) for read, _ in pipes))

    def _send(self, descriptors: list[int]) -> None:
        with self._lock:
            for attempt in (1, 2):
                if self._process is None or self._process.poll() is not None:
                    self._end()
                    self._begin()
                assert self._main is not None
                try:
                    socket.send_fds(self._main, [b"."], descriptors)
                except (BrokenPipeError, ConnectionResetError):
                    # It has died, and the kernel knows it before its parent does.
                    if attempt == 2:
                        raise
                    self._end()
                else:
                    return

    def _begin(self) -> None:
        mine, theirs = socket.socketpair()
        private = ("TIERCEL_", "SECRET_")
        visible = {k: v for k, v in os.environ.items() if not k.startswith(private)}
        with theirs, all_cores():
            self._process = subprocess.Popen(
                [sys.executable, str(_ZYGOTE), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=visible,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._main = mine

    def _end(self) -> None:
        if self._main is not None:
            self._main.close()
        if self._process is not None:
            try:
                self._process.wait(CLOSE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = self._main = None


class Child:
    """A command or script that runs, the pipes of what it prints, and a line to its supervisor."""

    def __init__(self, control: socket.socket, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self._control = control
        self._text = b""
        self._code: int | None = None
        self._handle: int | None = None
        control.settimeout(START_TIMEOUT_S)
        try:
            fact = self._fact()
        except (OSError, ValueError) as error:
            self._close()
            raise _Lost(str(error)) from error
        if "error" in fact:
            self._close()
            raise OSError(fact["error"])
        self.pid: int = fact["pid"]
        self._handle = _handle(self.pid)

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended, or does within the time."""
        self._control.settimeout(timeout_s)
        try:
            self._take_code()
        except (BlockingIOError, TimeoutError):
            return False
        return True

    def terminate(self) -> None:
        """Ask it, and all that it has started, to stop. From any thread."""
        self._order(TERMINATE)

    def kill(self, everything: bool) -> None:
        """Kill what is left of its process group, or all that it has ever started."""
        self._order(KILL_ALL if everything else KILL_GROUP)

    def end(self) -> int:
        """Its exit code, -n when signal n ended it; when nothing of it is left.

        What was not killed before is.
        """
        self.kill(everything=True)
        self._control.settimeout(None)
        code = self._take_code()
        with contextlib.suppress(OSError):
            self._control.recv(1)  # Its supervisor goes when nothing is left.
        self._close()
        return code

    def _order(self, order: bytes) -> None:
        with contextlib.suppress(OSError):  # Then nobody is left to take it.
            self._control.send(order)

    def _take_code(self) -> int:
        if self._code is None:
            try:
                self._code = int(self._fact()["code"])
            except (ConnectionError, ValueError):
                # The supervisor was lost, and nobody knows how its script ends.
                self._kill_group()
                self._code = -signal.SIGKILL
        return self._code

    def _kill_group(self) -> None:
        if self._handle is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(self._handle, 0)  # The id is still its own.
            os.killpg(self.pid, signal.SIGKILL)

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self._control.close()
        self.stdout.close()
        self.stderr.close()

    def _fact(self) -> dict[str, Any]:
        """The next line of the control socket. Raises ValueError at its end."""
        while b"\n" not in self._text:
            data = self._control.recv(4_096)
            if not data:
                raise ValueError("what supervises it has ended")
            self._text += data
        line, _, self._text = self._text.partition(b"\n")
        fact: dict[str, Any] = json.loads(line)
        return fact


def _handle(pid: int) -> int | None:
    """Stands for this process alone, also when its id is another one's. None: it has ended."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


#: The worker's own.
SPAWNER = Spawner()
atexit.register(SPAWNER.close)
