"""What the state keeps of a task run that starts many executions: counters and bits, no list.

Memory per execution that it started is one bit while that runs, or when it ended badly: those are
what a restart runs again. Outputs are kept only until a worker has stored them.
"""

from __future__ import annotations

import msgspec
from immutables import Map

from tiercel_engine.execution.index_set import EMPTY, IndexSet, members
from tiercel_schemas.ids import derive_id
from tiercel_schemas.state import State

#: Ends that a restart or a retry runs again; KILLING: it was told to stop, nobody waited for it.
RESTARTED = (State.FAILED, State.KILLED, State.CANCELLED, State.KILLING)

#: Executions that one command starts, or tells to stop, at most.
CHUNK = 200

#: Executions of one task run that run at once at most: the others wait in the counters, not in
#: the memory of the executors.
OPEN_MAX = 10_000

#: (index, outputs as JSON text).
ItemOutputs = tuple[int, str]


class Sending(msgspec.Struct, frozen=True):
    """Outputs on their way to internal storage: sent how often, when last (microseconds)."""

    outputs: tuple[ItemOutputs, ...]
    epoch: int
    sent_us: int


class FanOut(msgspec.Struct, frozen=True):
    """The executions of one task run, by index from 0.

    Attributes:
        count: how many there are to be.
        attempt: the task run's attempt that runs.
        next: the first index that was never started.
        again: bad ones from here on are to run again in this attempt.
        running: how many run.
        open: which.
        bad: state -> those that ended in it, for the states of `RESTARTED`.
        ended: state -> how many ended in it.
        outputs, outputs_chars: what has not been sent to storage yet, and its size.
        chunks: how many sets of outputs were sent.
        sending: number of a set -> the set, until it is stored.
        keeps: whether the outputs, or at least their order, are kept to the end.
        stores: whether a worker stores the outputs, though the task does not say so itself.
        order: indices of the outputs, in the order of the ends; only when they are kept.
        stopped: nothing more starts in this attempt.
        paused: those of the open ones that wait for a resume.
        replaced: index -> the execution that goes on for one that runs.
    """

    count: int
    attempt: int = 1
    next: int = 0
    again: int = 0
    running: int = 0
    open: IndexSet = EMPTY
    bad: Map[str, IndexSet] = Map()
    ended: Map[str, int] = Map()
    outputs: tuple[ItemOutputs, ...] = ()
    outputs_chars: int = 0
    chunks: int = 0
    sending: Map[int, Sending] = Map()
    replaced: Map[int, str] = Map()
    paused: IndexSet = EMPTY
    keeps: bool = False
    stores: bool = False
    order: tuple[int, ...] = ()
    stopped: bool = False

    @property
    def has_more(self) -> bool:
        """Whether something is still to be started."""
        return not self.stopped and (self.next < self.count or self.has_bad_left)

    @property
    def has_bad_left(self) -> bool:
        """Whether something that ended badly before this attempt is to run again."""
        if self.again >= self.count:
            return False
        left = (next(members(words, self.again), None) for words in self.bad.values())
        return any(index is not None for index in left)


#: Worst first: what the whole ends with.
_PRIORITY = (State.FAILED, State.KILLED, State.KILLING, State.CANCELLED, State.WARNING)


def worst(fan: FanOut) -> str:
    """The state that its ends add up to."""
    found = next((state for state in _PRIORITY if fan.ended.get(state)), State.SUCCESS)
    return State.KILLED if found == State.KILLING else found


def item_id(execution_id: str, run_id: str, index: int, fan: FanOut) -> str:
    """The execution that counts for an index: derived, unless it goes on as another one."""
    replaced = fan.replaced.get(index)
    if replaced is not None:
        return replaced
    return derived_id(execution_id, run_id, index, fan.attempt)


def derived_id(execution_id: str, run_id: str, index: int, attempt: int) -> str:
    """The id of the execution that an attempt of the run starts for an index."""
    return derive_id("item", execution_id, run_id, str(index), str(attempt))
