"""Names of instances: stable for one that is started again, unique among live ones of a machine.

A name is `role-host-number`; its holder keeps an exclusive lock on `<name>.lock` in the run
folder, which the operating system drops when the process dies, however it dies. The next one
takes the lowest number that is free, so a restarted executor gets its old name, fences its own
ghost and takes its partitions back at once.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tiercel_engine.errors import Conflict

#: Instances of one role on one machine.
INSTANCES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Instance:
    """A name that this process holds until `release` or its end."""

    name: str
    lock: IO[str]

    def release(self) -> None:
        self.lock.close()


def claim_instance(folder: Path, role: str) -> Instance:
    """Take the lowest free name of `role` on this machine.

    Raises:
        Conflict: all `INSTANCES_MAX` names are taken.
    """
    host = re.sub(r"[^A-Za-z0-9_.]+", "_", socket.gethostname())
    for number in range(INSTANCES_MAX):
        instance = _try_claim(folder, f"{role}-{host}-{number}")
        if instance is not None:
            return instance
    raise Conflict(f"{INSTANCES_MAX} instances of {role} run on this machine already.")


def claim_name(folder: Path, name: str) -> Instance:
    """Take exactly this name.

    Raises:
        Conflict: a live process holds it.
    """
    instance = _try_claim(folder, name)
    if instance is None:
        holder = (folder / f"{name}.lock").read_text(encoding="ascii").strip()
        raise Conflict(
            f"Process {holder or '?'} holds {name} in {folder.parent}. Stop it, or choose another "
            "data folder with --data."
        )
    return instance


def _try_claim(folder: Path, name: str) -> Instance | None:
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / f"{name}.lock").open("a+", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    # The holder's process id is for people and for tests that kill it.
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return Instance(name, lock)
