"""What the executor holds of one partition: live executions, timers, leases, ended ids.

All of it follows from the log; it is dropped and rebuilt whenever a transaction's outcome is in
doubt.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator

from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.slots import GrantSlots, Slots
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.timers import LeaseLost, Timer, all_timers, new_timers
from tiercel_engine.executor.settings import ExecutorSettings
from tiercel_schemas import events as e
from tiercel_schemas.ids import FlowKey

US = 1_000_000


#: What tells who holds a lease.
_STARTED = (e.AttemptStarted, e.EvaluationStarted, e.SessionStarted)


class EndedIds:
    """Ids of ended executions that must not start again, oldest first, bounded."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings = settings
        self._given: OrderedDict[str, int] = OrderedDict()
        self._recent: OrderedDict[str, int] = OrderedDict()

    def __contains__(self, execution_id: str) -> bool:
        return execution_id in self._given or execution_id in self._recent

    def add(self, execution_id: str, at_us: int, given: bool) -> None:
        """Remember an ended id; `given` from outside: for the whole window."""
        ids = self._given if given else self._recent
        ids[execution_id] = at_us
        ids.move_to_end(execution_id)
        limit = self._settings.remembered_ids_max if given else self._settings.recent_ids_max
        while len(ids) > limit:
            ids.popitem(last=False)
        oldest_us = at_us - round(self._settings.remembered_s * US)
        while self._given and next(iter(self._given.values())) < oldest_us:
            self._given.popitem(last=False)

    def discard(self, execution_id: str) -> None:
        """Forget an id, because its execution runs again."""
        self._given.pop(execution_id, None)
        self._recent.pop(execution_id, None)

    def dump(self) -> tuple[dict[str, int], dict[str, int]]:
        """(given from outside, others): id -> when it ended, microseconds."""
        return dict(self._given), dict(self._recent)

    def load(self, given: dict[str, int], recent: dict[str, int]) -> None:
        """Take over what `dump` gave."""
        self._given = OrderedDict(given)
        self._recent = OrderedDict(recent)


class Partition:
    """The live state of one partition of the commands and executions topics."""

    def __init__(self, number: int, settings: ExecutorSettings) -> None:
        self.number = number
        self.executions: dict[str, Execution] = {}
        #: Slots of flows that limit their executions and whose key belongs here.
        self.slots: dict[FlowKey, Slots] = {}
        self.ended = EndedIds(settings)
        self.commands_since_checkpoint = 0
        #: Executions whose id was given from outside.
        self.given_ids: set[str] = set()
        #: Ended execution -> number of its last event: what was read elsewhere may be older.
        self._ended_sequences: OrderedDict[str, int] = OrderedDict()
        self._sequences_max = settings.recent_ids_max
        self._start_timeout_us = round(settings.start_timeout_s * US)
        self._timers: list[tuple[int, int, Timer | GrantSlots]] = []
        self._timer_count = 0
        self._leases: dict[str, set[tuple[str, str]]] = {}

    def execution(self, execution_id: str) -> Execution:
        """The live execution; one with sequence 0 when there is none."""
        found = self.executions.get(execution_id)
        return Execution(execution_id) if found is None else found

    def last_sequence(self, execution_id: str) -> int:
        """Number of the last event of an execution that ended not long ago; 0: not known."""
        return self._ended_sequences.get(execution_id, 0)

    def ended_sequences(self) -> dict[str, int]:
        """`last_sequence` of all that are known."""
        return dict(self._ended_sequences)

    def load_ended_sequences(self, sequences: dict[str, int]) -> None:
        """Take over what `ended_sequences` gave."""
        self._ended_sequences = OrderedDict(sequences)

    def slots_of(self, key: FlowKey) -> Slots:
        """The slots of a flow; untouched ones when nobody has asked for any yet."""
        return self.slots.get(key) or Slots(key)

    def keep(self, execution: Execution, at_us: int) -> None:
        """Put a state in its place: a live one into memory, an ended one out of it."""
        if execution.is_over:
            self.executions.pop(execution.id, None)
            given = execution.id in self.given_ids
            self.given_ids.discard(execution.id)
            self.ended.add(execution.id, at_us, given)
            self._ended_sequences[execution.id] = execution.sequence
            self._ended_sequences.move_to_end(execution.id)
            if len(self._ended_sequences) > self._sequences_max:
                self._ended_sequences.popitem(last=False)
        else:
            self.ended.discard(execution.id)
            self._ended_sequences.pop(execution.id, None)
            self.executions[execution.id] = execution

    def start_timers(self) -> None:
        """After a rebuild: derive timers and leases from every live execution."""
        for execution in self.executions.values():
            for due_us, timer in all_timers(execution, self._start_timeout_us):
                self.add_timer(due_us, timer)
            for run_id in execution.leased:
                lease = execution.lease(run_id)
                if lease is not None and (worker_id := lease.worker_id) is not None:
                    self._leases.setdefault(worker_id, set()).add((execution.id, run_id))
        for key, slots in self.slots.items():
            if slots.queue and slots.has_room:
                self.add_timer(0, GrantSlots(key))

    def accept(self, step: Step) -> None:
        """Take over the outcome of a step."""
        execution, events = step.execution, step.events
        for timer in step.follow_ups:
            self.add_timer(step.at_us, timer)
        for due_us, timer in new_timers(execution, events, self._start_timeout_us):
            self.add_timer(due_us, timer)
        for event in events:
            if isinstance(event, e.ExecutionCreated):
                if event.deduplicate:
                    self.given_ids.add(execution.id)
            elif isinstance(event, _STARTED):
                held = self._leases.setdefault(event.worker_id, set())
                held.add((execution.id, event.task_run_id))
        self.keep(execution, step.at_us)

    def add_timer(self, due_us: int, timer: Timer | GrantSlots) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (due_us, self._timer_count, timer))

    def next_due_us(self) -> int | None:
        """When the earliest timer is due."""
        return self._timers[0][0] if self._timers else None

    def due_timers(self, now_us: int, limit: int) -> list[Timer | GrantSlots]:
        """Take the timers that are due out, at most `limit`."""
        due: list[Timer | GrantSlots] = []
        while self._timers and self._timers[0][0] <= now_us and len(due) < limit:
            due.append(heapq.heappop(self._timers)[2])
        return due

    def lost_leases(self, worker_id: str) -> Iterator[LeaseLost]:
        """The attempts that this worker still holds; its entry is dropped."""
        for execution_id, run_id in self._leases.pop(worker_id, ()):
            execution = self.executions.get(execution_id)
            run = execution.lease(run_id) if execution is not None else None
            if run is not None and run.worker_id == worker_id:
                yield LeaseLost(execution_id, run_id, run.attempt, run.epoch, worker_id)

    def lease_holders(self) -> list[str]:
        """Workers that hold, or held, a lease here."""
        return list(self._leases)

    def prune_leases(self) -> None:
        """Drop entries of attempts that have ended; called now and then, not per event."""
        for worker_id, runs in list(self._leases.items()):
            kept = {pair for pair in runs if self._is_held(worker_id, *pair)}
            if kept:
                self._leases[worker_id] = kept
            else:
                del self._leases[worker_id]

    def _is_held(self, worker_id: str, execution_id: str, run_id: str) -> bool:
        execution = self.executions.get(execution_id)
        run = execution.lease(run_id) if execution is not None else None
        return run is not None and run.worker_id == worker_id
