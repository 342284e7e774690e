"""The states of executions, task runs and attempts, and what they mean.

The names are Kestra's. Which state may follow which is in
`tiercel_engine.execution.transitions`.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where an execution, a task run or an attempt stands."""

    CREATED = "CREATED"
    SUBMITTED = "SUBMITTED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    RESTARTED = "RESTARTED"
    RETRYING = "RETRYING"
    KILLING = "KILLING"
    BREAKPOINT = "BREAKPOINT"
    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    FAILED = "FAILED"
    KILLED = "KILLED"
    CANCELLED = "CANCELLED"
    RETRIED = "RETRIED"
    SKIPPED = "SKIPPED"
    RESUBMITTED = "RESUBMITTED"


#: Nothing follows by itself.
TERMINATED = frozenset(
    {
        State.SUCCESS,
        State.WARNING,
        State.FAILED,
        State.KILLED,
        State.CANCELLED,
        State.RETRIED,
        State.SKIPPED,
        State.RESUBMITTED,
    }
)

#: Worst last; what a block of task runs ends with is its worst member.
SEVERITY = {
    State.SUCCESS: 0,
    State.SKIPPED: 0,
    State.PAUSED: 1,
    State.WARNING: 2,
    State.FAILED: 3,
    State.CANCELLED: 4,
    State.KILLED: 4,
}


def is_terminated(state: str) -> bool:
    """Whether nothing follows by itself."""
    return state in TERMINATED
