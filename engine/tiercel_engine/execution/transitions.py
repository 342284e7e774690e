"""Which state may follow which: the whole life of executions and task runs, as data.

`apply` refuses what is not in these tables (a broken invariant), so `process` cannot leave them;
docs/states.md draws them. They follow Kestra's.
"""

from __future__ import annotations

from collections.abc import Mapping

from tiercel_schemas.state import State

S = State

_ENDED = frozenset({S.SUCCESS, S.WARNING, S.FAILED, S.KILLED, S.CANCELLED, S.RETRIED})

#: The life of an execution. "" is the state of one that does not exist yet.
EXECUTION: Mapping[str, frozenset[State]] = {
    "": frozenset({S.CREATED}),
    S.CREATED: frozenset({S.RUNNING, S.QUEUED, S.RESTARTED, S.KILLING} | _ENDED),
    S.QUEUED: frozenset({S.RUNNING, S.KILLING, S.CANCELLED, S.KILLED, S.FAILED}),
    S.RUNNING: frozenset({S.PAUSED, S.BREAKPOINT, S.RETRYING, S.KILLING} | _ENDED),
    S.PAUSED: frozenset({S.RESTARTED, S.RUNNING, S.KILLING} | _ENDED),
    S.BREAKPOINT: frozenset({S.RUNNING, S.KILLING} | _ENDED),
    S.RETRYING: frozenset({S.RUNNING, S.PAUSED, S.BREAKPOINT, S.KILLING} | _ENDED),
    S.RESTARTED: frozenset({S.RUNNING, S.KILLING} | _ENDED),
    S.KILLING: frozenset({S.KILLED}),
    S.SUCCESS: frozenset({S.RESTARTED} | _ENDED),
    S.WARNING: frozenset({S.RESTARTED} | _ENDED),
    S.FAILED: frozenset({S.RESTARTED} | _ENDED),
    S.KILLED: frozenset({S.RESTARTED} | _ENDED),
    S.CANCELLED: frozenset({S.RESTARTED} | _ENDED),
    S.RETRIED: frozenset(),
}

#: The life of a task run.
TASK_RUN: Mapping[str, frozenset[State]] = {
    S.CREATED: frozenset({S.RUNNING, S.PAUSED, S.BREAKPOINT, S.KILLING, S.SKIPPED} | _ENDED),
    S.BREAKPOINT: frozenset({S.CREATED, S.KILLING} | _ENDED),
    S.RUNNING: frozenset({S.PAUSED, S.RETRYING, S.KILLING} | _ENDED),
    S.PAUSED: frozenset({S.RUNNING, S.RESTARTED, S.KILLING} | _ENDED),
    S.KILLING: frozenset({S.RETRYING} | _ENDED),
    S.RETRYING: frozenset({S.CREATED, S.RUNNING, S.KILLING} | _ENDED),
    S.RESTARTED: frozenset({S.CREATED, S.RUNNING, S.KILLING} | _ENDED),
    S.SUCCESS: frozenset({S.RESTARTED, S.RUNNING} | _ENDED),
    S.WARNING: frozenset({S.RESTARTED, S.RUNNING} | _ENDED),
    S.FAILED: frozenset({S.RETRYING, S.RESTARTED, S.RUNNING} | _ENDED),
    S.KILLED: frozenset({S.RESTARTED, S.RUNNING} | _ENDED),
    S.CANCELLED: frozenset({S.RESTARTED, S.RUNNING} | _ENDED),
    S.RETRIED: frozenset(),
    S.SKIPPED: frozenset({S.RESTARTED, S.RUNNING} | _ENDED),
}


def check(table: Mapping[str, frozenset[State]], old: str, new: str, what: str) -> None:
    """Assert that `new` may follow `old`."""
    assert new in table[old], (
        f"Expected {what} to leave {old or 'nothing'} for one of "
        f"{sorted(table[old])}, but it was {new}."
    )
