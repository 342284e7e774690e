"""Python scripts in forks of an interpreter that has started already: milliseconds, not tens.

Each script has a process of its own, in a session of its own, with its own folder and environment;
nothing that it does is seen by the next one. See `zygote.py` for the other side.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tiercel_engine.affinity import all_cores
from tiercel_engine.errors import TaskError

_ZYGOTE = Path(__file__).with_name("zygote.py")
REQUEST_FILE = ".tiercel-request"
#: How long a fork may take to say its process id.
FORK_TIMEOUT_S = 10.0
#: How long the interpreter may take to end once its socket is closed.
CLOSE_TIMEOUT_S = 5.0


class _Lost(Exception):
    """The interpreter has ended before it took a request."""


class WarmPython:
    """One ready interpreter, started at the first script, started again when it was lost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._main: socket.socket | None = None

    def start(self, script: Path, folder: Path, environment: Mapping[str, str]) -> WarmProcess:
        """Start a script in its folder.

        Raises:
            TaskError: no interpreter could be started.
        """
        try:
            return self._start(script, folder, environment)
        except _Lost:
            # It died before it took the request: the next one starts it.
            try:
                return self._start(script, folder, environment)
            except _Lost as error:
                raise TaskError(f"Expected Python to start the script, but {error}.") from error

    def _start(self, script: Path, folder: Path, environment: Mapping[str, str]) -> WarmProcess:
        request = folder / REQUEST_FILE
        asked = {"path": str(script), "folder": str(folder), "environment": dict(environment)}
        request.write_text(json.dumps(asked))
        mine, theirs = socket.socketpair()
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
        with request.open("rb") as file, theirs:
            given = [theirs.fileno(), pipes[0][1], pipes[1][1], file.fileno()]
            try:
                self._send(given)
            except OSError as error:
                mine.close()
                for read, _ in pipes:
                    os.close(read)
                raise TaskError(f"Expected to start Python, but {error}.") from error
            finally:
                for _, write in pipes:
                    os.close(write)
        request.unlink()
        return WarmProcess(mine, *(os.fdopen(read, "rb", 0) for read, _ in pipes))

    def close(self) -> None:
        """End the interpreter and every script that still runs."""
        with self._lock:
            self._end()

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


class WarmProcess:
    """One script that runs. See `process.Child`."""

    def __init__(self, control: socket.socket, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self._control = control
        self._text = b""
        self._code: int | None = None
        control.settimeout(FORK_TIMEOUT_S)
        try:
            self.pid: int = self._fact()["pid"]
        except (OSError, ValueError) as error:
            self.close()
            raise _Lost(str(error)) from error

    def has_ended(self) -> bool:
        """Whether it has ended; its id is kept until `reap`."""
        self._control.settimeout(0)
        try:
            self._take_code()
        except BlockingIOError:
            return False
        return True

    def reap(self) -> int:
        """Give its id back; return its exit code, -n when signal n ended it."""
        self._control.settimeout(None)
        code = self._take_code()
        self.close()
        return code

    def _take_code(self) -> int:
        if self._code is None:
            try:
                self._code = int(self._fact()["code"])
            except (ConnectionError, ValueError):
                # The interpreter itself was lost, and nobody knows how its scripts end.
                self._code = -signal.SIGKILL
        return self._code

    def close(self) -> None:
        self._control.close()
        self.stdout.close()
        self.stderr.close()

    def _fact(self) -> dict[str, Any]:
        """The next line of the control socket. Raises ValueError at its end."""
        while b"\n" not in self._text:
            data = self._control.recv(4_096)
            if not data:
                raise ValueError("the interpreter has ended")
            self._text += data
        line, _, self._text = self._text.partition(b"\n")
        fact: dict[str, Any] = json.loads(line)
        return fact


#: The worker's own.
WARM = WarmPython()
atexit.register(WARM.close)
