"""A Python interpreter that has started, and forks a supervisor for each command or script.

It is a program of its own, run by `spawner.py`; it imports nothing of Tiercel, so that scripts see
the interpreter that they would see alone.

Theory of operation. Each message on its socket brings four descriptors (control, stdout, stderr,
request). The fork that is made for it reads the request and is the supervisor of one script: its
child reaper (Linux), so that whatever the script starts stays below it in the tree of processes,
also what forks twice, leaves its session, or has another environment. It says on its control
socket the script's process id, then how it ended, and takes orders of one byte:

    T   ask all that belongs to the script to stop
    K   kill all of it, then go
    G   kill what is left of the script's process group, then go

A control socket that closes without an order means that the worker is gone, as K does.
"""

import atexit  # noqa: F401 - what scripts import anyway is ready in every fork
import builtins
import collections  # noqa: F401
import contextlib
import csv  # noqa: F401
import ctypes
import datetime  # noqa: F401
import gc
import json
import linecache
import math  # noqa: F401
import os
import pathlib  # noqa: F401
import random  # noqa: F401
import re  # noqa: F401
import selectors
import signal
import socket
import subprocess
import sys
import time
import types
from typing import Any, NamedTuple

DESCRIPTORS = 4
#: How long a supervisor goes on killing; what sleeps in the kernel dies when it wakes.
KILL_S = 10.0
ROUND_S_MAX = 0.05
#: Of prctl(2), Linux.
PR_SET_CHILD_SUBREAPER = 36

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class _Process(NamedTuple):
    """What /proc says of a process."""

    pid: int
    state: bytes
    parent: int
    group: int


def _look(pid: int) -> _Process | None:
    """None once it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in parentheses may hold anything.
            state, parent, group, *_ = file.read().rpartition(b")")[2].split()
    except (OSError, ValueError):
        return None
    return _Process(pid, state, int(parent), int(group))


def _descendants() -> list[_Process]:
    """Every process below this one that has not ended."""
    children: dict[int, list[_Process]] = {}
    for name in os.listdir("/proc"):
        process = _look(int(name)) if name.isdigit() else None
        if process is not None and process.state not in (b"Z", b"X"):
            children.setdefault(process.parent, []).append(process)
    found: list[_Process] = []
    parents = [os.getpid()]
    while parents:
        below = children.pop(parents.pop(), [])
        found.extend(below)
        parents.extend(process.pid for process in below)
    return found


def _signal(process: _Process, number: signal.Signals) -> None:
    """Signal a process that was seen, and no other one that has its id meanwhile."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        handle = os.pidfd_open(process.pid)
        try:
            now = _look(process.pid)
            if now is not None and now.parent in (process.parent, os.getpid()):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


class _Script:
    """The script of a supervisor, and all that it has started."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self._pid = pid
        self._control = control
        self._code: int | None = None

    def supervise(self, woken: int) -> None:
        """Until an order, or the loss of the worker, ends it."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            self._reap()
            while True:
                for key, _ in selector.select():
                    if key.fileobj == woken:
                        os.read(woken, 4_096)
                        self._reap()
                    elif self._obey(_received(self._control)):
                        return

    def _obey(self, order: bytes) -> bool:
        """Whether that was the last order."""
        if order == b"T":
            self._signal_all(signal.SIGTERM, None)
            return False
        self._kill(self._pid if order == b"G" else None)
        if self._code is None:
            self._code = -signal.SIGKILL
            _tell(self._control, {"code": self._code})
        return True

    def _kill(self, group: int | None) -> None:
        """Kill all of it, or what is in one process group."""
        until_s = time.monotonic() + KILL_S
        pause_s = 0.001
        while self._reap() and time.monotonic() < until_s:
            if not self._signal_all(signal.SIGKILL, group):
                return
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, ROUND_S_MAX)

    def _signal_all(self, number: signal.Signals, group: int | None) -> int:
        """How many there were to be signaled."""
        if not os.path.isdir("/proc/self"):
            return self._signal_group(number)
        found = [p for p in _descendants() if group is None or p.group == group]
        for process in found:
            _signal(process, number)
        return len(found)

    def _signal_group(self, number: signal.Signals) -> int:
        """Where the system shows no processes."""
        if self._code is None:
            os.killpg(self._pid, number)
        return int(self._code is None)

    def _reap(self) -> bool:
        """Take leave of who has ended; whether anything is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._pid:
                self._code = os.waitstatus_to_exitcode(status)
                _tell(self._control, {"code": self._code})


def serve(main: socket.socket) -> dict[str, Any] | None:
    """Fork for each message. Returns the request in a script, None when the worker is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Supervisors need no reaping.
    gc.freeze()  # No fork copies these pages only to look for garbage in them.
    while True:
        data, descriptors, _, _ = socket.recv_fds(main, 1, DESCRIPTORS)
        if not data:
            return None
        # One that cannot be forked is noticed by its closed control socket.
        with contextlib.suppress(OSError):
            if os.fork() == 0:
                os.close(main.detach())
                return _supervisor(descriptors)
        for number in descriptors:
            os.close(number)


def _supervisor(descriptors: list[int]) -> dict[str, Any]:
    """In the fork: start the script and look after it. Returns in the script alone."""
    control = socket.socket(fileno=descriptors[0])
    stdout, stderr, request_file = descriptors[1:]
    with open(request_file, "rb") as file:
        request: dict[str, Any] = json.load(file)
    os.setsid()
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)  # A handler: what it starts has the default one.
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    try:
        pid = _start(request, stdout, stderr)
    except (OSError, ValueError) as error:
        _tell(control, {"error": str(error)})
        os._exit(1)
    if pid == 0:
        for descriptor in (control.detach(), woken, waker, stdout, stderr):
            os.close(descriptor)
        return request
    os.close(stdout)
    os.close(stderr)
    _tell(control, {"pid": pid})
    _Script(pid, control).supervise(woken)
    control.close()  # The worker does not wait for the memory to be given back.
    os._exit(0)


def _start(request: dict[str, Any], stdout: int, stderr: int) -> int:
    """The id of the process; 0 in the process itself, when it is a script of this interpreter."""
    if "command" in request:
        process = subprocess.Popen(
            request["command"],
            cwd=request["folder"],
            env=request["environment"],
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        process.returncode = 0  # It is reaped with all others.
        return process.pid
    pid = os.fork()
    if pid == 0:
        _become(request, stdout, stderr)
    return pid


def _become(request: dict[str, Any], stdout: int, stderr: int) -> None:
    """Take the pipes, folder and environment of the request."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]


def _received(control: socket.socket) -> bytes:
    try:
        return control.recv(1)
    except OSError:
        return b""


def _tell(control: socket.socket, fact: dict[str, Any]) -> None:
    try:
        control.sendall(json.dumps(fact).encode() + b"\n")
    except OSError:
        return  # The worker has closed it already; its end of file comes next.


def run(path: str) -> None:
    """Run a script as `python path` does."""
    sys.argv[:] = [path]
    sys.path.insert(0, os.path.dirname(path))
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=path, __builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = main
    linecache.clearcache()
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
        exec(code, main.__dict__)  # the script is what this process is for
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever ends it, as the interpreter does
        # Without this function's own frame.
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        # As of an interpreter that was interrupted.
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)


if __name__ == "__main__":
    del sys.path[0]  # This file's own folder.
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        run(asked["path"])
