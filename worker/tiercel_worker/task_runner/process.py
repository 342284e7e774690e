"""Follows one command or script and reads what it prints, as it prints it.

Theory of operation. The command leads a new session below a supervisor (`spawner.py`). One loop
reads both of its pipes; memory is bounded by `LINE_BYTES_MAX`, and a command that prints faster
than its lines are taken waits in its own `write`. A cancellation sends SIGTERM to all that it has
started at once, and SIGKILL `TERMINATE_S` later. When the command has ended by itself, whatever is
left of its process group gets as long, and is then killed; what has left the group by a session of
its own was meant to stay.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable
from typing import IO

from tiercel_engine.plugin.context import RunContext
from tiercel_worker.task_runner.spawner import Child

#: A longer line is taken in pieces of this size.
LINE_BYTES_MAX = 4 << 20
READ_BYTES = 64 << 10
#: How often the loop looks whether the command is over, when it prints nothing.
LOOK_S = 0.05
#: How long a cancelled command, or what an ended one left behind, may take to end by itself.
TERMINATE_S = 0.3
#: How long pipes are read after everything was killed.
LAST_WORDS_S = 1.0

STDOUT = "stdout"
STDERR = "stderr"

#: Called with the pipe's name and one line without its end.
OnLine = Callable[[str, str], None]


def follow(child: Child, on_line: OnLine, context: RunContext) -> int:
    """Read what a process prints until its end; return its exit code, 128 + n for signal n."""
    context.on_cancel(child.terminate)
    ending = _Ending(child, context)
    try:
        _pump(child, ending, on_line)
        while not child.wait(LOOK_S) and not ending.is_due():
            pass
        child.kill(everything=ending.is_forced())
    finally:
        code = child.end()
    return code if code >= 0 else 128 - code


class _Ending:
    """When what is left is to be killed: its time is over once it was asked to stop, or left."""

    def __init__(self, child: Child, context: RunContext) -> None:
        self._child = child
        self._context = context
        self._due_s: float | None = None

    def is_forced(self) -> bool:
        """Whether all that it has started has to go, and not its process group alone."""
        return self._context.is_cancelled()

    def is_due(self) -> bool:
        now_s = time.monotonic()
        if self._due_s is None and (self._context.is_cancelled() or self._child.wait(0)):
            self._due_s = now_s + TERMINATE_S
        return self._due_s is not None and now_s >= self._due_s


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


def _pump(process: Child, ending: _Ending, on_line: OnLine) -> None:
    """Read both pipes until they are closed, or all was killed and had its last words."""
    with selectors.DefaultSelector() as selector:
        for name, pipe in ((STDOUT, process.stdout), (STDERR, process.stderr)):
            selector.register(pipe, selectors.EVENT_READ, _Lines(name, on_line))
        stop_s: float | None = None
        while selector.get_map():
            for key, _ in selector.select(LOOK_S):
                _read(selector, key.fileobj, key.data)
            if stop_s is None and ending.is_due():
                process.kill(everything=ending.is_forced())
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
