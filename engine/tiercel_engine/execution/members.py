"""The task runs inside a flowable that knows them: loops, and those that may stop them."""

from __future__ import annotations

from tiercel_engine.execution.model import Execution


def inside(x: Execution, run_id: str) -> list[str]:
    """Every task run inside, those of inner flowables that know theirs included, newest first."""
    found: list[str] = []
    keepers = [run_id]
    while keepers:
        for member in x.members.get(keepers.pop(), ()):
            found.append(member)
            if member in x.members:
                keepers.append(member)
    return sorted(found, reverse=True)
