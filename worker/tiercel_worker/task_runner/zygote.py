"""A Python interpreter that has started, and forks itself for each script.

It is a program of its own, run by `warm.py`; it imports nothing of Tiercel, so that scripts see
the interpreter that they would see alone. Theory of operation: each message on its socket brings
four descriptors (control, stdout, stderr, request). The fork that is made for it reads the request
and becomes the script. The first process keeps the control sockets: it says the script's process
id, then how it ended, and reaps the ended process only once its control socket is closed, so that
nobody can signal another process by mistake. When a control socket closes early, or the main one
does since the worker is gone, it kills what still runs.
"""

import atexit  # noqa: F401 - what scripts import anyway is ready in every fork
import builtins
import collections  # noqa: F401
import csv  # noqa: F401
import datetime  # noqa: F401
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
import subprocess  # noqa: F401
import sys
import time
import types
from typing import Any

DESCRIPTORS = 4


class _Fork:
    """One script that runs, seen from the first process."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid = pid
        self.control = control
        self.has_ended = False

    def look(self) -> None:
        """Tell its end, once."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        info = None if self.has_ended else os.waitid(os.P_PID, self.pid, flags)
        if info is not None:
            self.has_ended = True
            code = info.si_status if info.si_code == os.CLD_EXITED else -info.si_status
            _tell(self.control, {"code": code})

    def release(self) -> None:
        """Kill what is left, give the process id back."""
        _kill_group(self.pid)
        self.control.close()
        if not self.has_ended:
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def serve(main: socket.socket) -> dict[str, Any] | None:
    """Fork for each message. Returns the request in a fork, None when the worker is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    forks: dict[int, _Fork] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(main, selectors.EVENT_READ, None)
        selector.register(woken, selectors.EVENT_READ, woken)
        while True:
            for key, _ in selector.select():
                if key.data == woken:
                    os.read(woken, 4_096)
                    for fork in forks.values():
                        fork.look()
                elif isinstance(key.data, _Fork):
                    selector.unregister(key.fileobj)
                    forks.pop(key.data.pid).release()
                else:
                    data, descriptors, _, _ = socket.recv_fds(main, 1, DESCRIPTORS)
                    if not data:
                        for fork in forks.values():
                            fork.release()
                        return None
                    pid = os.fork()
                    if pid == 0:
                        for fork in forks.values():
                            fork.control.close()
                        for number in (woken, waker, main.detach()):
                            os.close(number)
                        return _become(descriptors)
                    control = _keep(descriptors)
                    _tell(control, {"pid": pid})
                    forks[pid] = _Fork(pid, control)
                    selector.register(control, selectors.EVENT_READ, forks[pid])
                    forks[pid].look()


def _keep(descriptors: list[int]) -> socket.socket:
    control, *others = descriptors
    for number in others:
        os.close(number)
    return socket.socket(fileno=control)


def _tell(control: socket.socket, fact: dict[str, Any]) -> None:
    try:
        control.sendall(json.dumps(fact).encode() + b"\n")
    except OSError:
        return  # The worker has closed it already; its end of file comes next.


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _become(descriptors: list[int]) -> dict[str, Any]:
    """In the fork: take the pipes, folder and environment of the request."""
    control, stdout, stderr, request_file = descriptors
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(request_file, "rb") as file:
        request: dict[str, Any] = json.load(file)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for number in (control, stdout, stderr):
        os.close(number)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    return request


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
