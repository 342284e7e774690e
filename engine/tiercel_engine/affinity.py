"""Which cores a process of one interpreter uses.

The interpreter runs one thread at a time. When the threads of one process hand work to each other
several times per execution, every handover to another core wakes that core for a thread that then
waits for the interpreter: measured on the embedded server, 23 context switches and 3.1 ms of CPU
per execution on two cores, 4 and 1.9 ms on one. So a process that is one interpreter keeps to one
core; its child processes get back all that it was given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

#: The cores that this process was given, once it keeps to one; process-wide, as affinity is.
_given: set[frozenset[int]] = set()


def keep_to_one_core() -> None:
    """Let this thread, and those it starts, run on one core. No-op where the system cannot.

    Which one follows from the process id, so that several servers on a machine spread. Other
    processes are free to move away from it.
    """
    if not hasattr(os, "sched_setaffinity") or _given:
        return
    cores = frozenset(os.sched_getaffinity(0))
    if len(cores) > 1:
        _given.add(cores)
        os.sched_setaffinity(0, {sorted(cores)[os.getpid() % len(cores)]})


@contextmanager
def all_cores() -> Iterator[None]:
    """While it lasts, this thread may use all cores again: processes it starts inherit them."""
    if not _given:
        yield
        return
    own = os.sched_getaffinity(0)
    (cores,) = _given
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)
