"""Runs one command in a process group of its own and reads what it prints, as it prints it.

Theory of operation. The command leads a new session, so that everything it starts belongs to its
process group. One loop reads both of its pipes; memory is bounded by `LINE_BYTES_MAX`, and a
command that prints faster than its lines are taken waits in its own `write`. A cancellation sends
SIGTERM to the group at once, and SIGKILL `TERMINATE_S` later. When the command has ended, whatever
is left of its group gets as long, and is then killed before the group's id is given back to the
system, so no other process can be hit by mistake. What has left the group by a session of its own
is found by its environment when the attempt is cancelled, and killed, too.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from tiercel_engine.affinity import all_cores
from tiercel_engine.errors import TaskError
from tiercel_engine.plugin.context import RunContext

#: A longer line is taken in pieces of this size.
LINE_BYTES_MAX = 4 << 20
READ_BYTES = 64 << 10
#: How often the loop looks whether the command is over, when it prints nothing.
LOOK_S = 0.05
#: How long a cancelled command, or what an ended one left behind, may take to end by itself.
TERMINATE_S = 0.3
#: How long pipes are read after the group was killed.
LAST_WORDS_S = 1.0
#: A process that is killed may just have started another: so often is looked again.
MARKED_ROUNDS_MAX = 10

STDOUT = "stdout"
STDERR = "stderr"

#: Called with the pipe's name and one line without its end.
OnLine = Callable[[str, str], None]


class Child(Protocol):
    """A process that leads a session of its own, and the pipes of what it prints."""

    pid: int
    stdout: IO[bytes]
    stderr: IO[bytes]

    def has_ended(self) -> bool:
        """Whether it has ended; its id stays its own until `reap`."""

    def reap(self) -> int:
        """Wait for its end, give its id back; return its exit code, -n when signal n ended it."""


def start_process(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Child:
    """Start a command.

    Raises:
        TaskError: it could not be started.
    """
    try:
        with all_cores():
            return _Started(
                subprocess.Popen(
                    command,
                    cwd=folder,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    bufsize=0,
                )
            )
    except (OSError, ValueError) as error:
        raise TaskError(f"Expected to start {command[0]!r}, but {error}.") from error


def follow(child: Child, on_line: OnLine, context: RunContext, mark: str) -> int:
    """Read what a process prints until its end; return its exit code, 128 + n for signal n.

    Args:
        mark: a text in its environment that no other process has: when the attempt is cancelled,
            what has left the group is known by it.
    """
    group = _Group(child, context)
    context.on_cancel(group.terminate)
    try:
        _pump(child, group, on_line)
        group.wait()
    finally:
        code = group.end()
        if context.is_cancelled():
            kill_marked(mark)
        for pipe in (child.stdout, child.stderr):
            pipe.close()
    return code if code >= 0 else 128 - code


def kill_marked(mark: str) -> None:
    """Kill every process of ours that was started with this text in its environment.

    Where the system shows no environments there are none.
    """
    for _ in range(MARKED_ROUNDS_MAX):
        found = [pid for pid in _processes() if mark.encode() in _environment(pid)]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _processes() -> list[int]:
    names = os.listdir("/proc") if os.path.isdir("/proc") else []
    return [int(name) for name in names if name.isdigit()]


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""  # It has ended, or is not ours.


class _Started:
    """A process of `subprocess`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.pid = process.pid
        self.stdout: IO[bytes] = process.stdout
        self.stderr: IO[bytes] = process.stderr
        self._process = process

    def has_ended(self) -> bool:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, flags) is not None

    def reap(self) -> int:
        return self._process.wait()


class _Group:
    """A process and all it has started."""

    def __init__(self, process: Child, context: RunContext) -> None:
        self._process = process
        self._context = context
        self._lock = threading.Lock()
        self._is_over = False
        self._kill_due_s: float | None = None

    def terminate(self) -> None:
        """Ask it to stop. From any thread."""
        self._signal(signal.SIGTERM)

    def kill_if_due(self) -> bool:
        """Kill what is left, once the leader has ended or was cancelled and had its time."""
        now_s = time.monotonic()
        if self._kill_due_s is None and (self._context.is_cancelled() or self._process.has_ended()):
            self._kill_due_s = now_s + TERMINATE_S
        if self._kill_due_s is None or now_s < self._kill_due_s:
            return False
        self._signal(signal.SIGKILL)
        return True

    def wait(self) -> None:
        """Until the leader has ended, when there is nothing to read any more."""
        pause = threading.Event()
        pause_s = LOOK_S / 64
        while not self._process.has_ended():
            self.kill_if_due()
            pause.wait(pause_s)
            pause_s = min(2 * pause_s, LOOK_S)

    def end(self) -> int:
        """Kill what is left, give the id back; return the leader's exit code."""
        self._signal(signal.SIGKILL)
        with self._lock:
            self._is_over = True
            return self._process.reap()

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if self._is_over:
                return
            try:
                os.killpg(self._process.pid, number)
            except (ProcessLookupError, PermissionError):
                return  # Only the ended leader is left of the group.


class _Lines:
    """Bytes of one pipe, as lines."""

    def __init__(self, name: str, on_line: OnLine) -> None:
        self._name = name
        self._on_line = on_line
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._say(line)
        if len(self._rest) >= LINE_BYTES_MAX:
            self.close()

    def close(self) -> None:
        if self._rest:
            self._say(self._rest)
            self._rest = b""

    def _say(self, line: bytes) -> None:
        self._on_line(self._name, line.removesuffix(b"\r").decode("utf-8", "replace"))


def _pump(process: Child, group: _Group, on_line: OnLine) -> None:
    """Read both pipes until they are closed, or the group was killed and had its last words."""
    with selectors.DefaultSelector() as selector:
        for name, pipe in ((STDOUT, process.stdout), (STDERR, process.stderr)):
            selector.register(pipe, selectors.EVENT_READ, _Lines(name, on_line))
        stop_s: float | None = None
        while selector.get_map():
            for key, _ in selector.select(LOOK_S):
                _read(selector, key.fileobj, key.data)
            if stop_s is None and group.kill_if_due():
                stop_s = time.monotonic() + LAST_WORDS_S
            if stop_s is not None and time.monotonic() > stop_s:
                break
        for key in list(selector.get_map().values()):
            key.data.close()


def _read(selector: selectors.BaseSelector, pipe: object, lines: _Lines) -> None:
    stream: IO[bytes] = pipe  # type: ignore[assignment]
    data = os.read(stream.fileno(), READ_BYTES)
    if data:
        lines.feed(data)
    else:
        lines.close()
        selector.unregister(stream)
