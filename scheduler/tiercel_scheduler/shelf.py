"""What the scheduler holds of one partition: the state of its triggers, and which is due next.

All of it follows from the log. Looking for what is due costs nothing per trigger that is not:
entries of a heap that a newer state has overtaken are dropped when they come up.
"""

from __future__ import annotations

import heapq

from tiercel_scheduler.due import due_us
from tiercel_schemas.ids import FlowKey, TriggerKey
from tiercel_schemas.triggers import TriggerState


def key_of(state: TriggerState) -> TriggerKey:
    """What names the trigger of a state."""
    return TriggerKey(state.tenant, state.namespace, state.flow_id, state.trigger_id)


class Shelf:
    """The triggers of one partition."""

    def __init__(self, number: int, since_us: int) -> None:
        """`since_us`: since when this process looks after them."""
        self.number = number
        self.since_us = since_us
        self._flows: dict[FlowKey, dict[str, TriggerState]] = {}
        self._heap: list[tuple[int, TriggerKey]] = []

    def __len__(self) -> int:
        return sum(len(states) for states in self._flows.values())

    def get(self, key: TriggerKey) -> TriggerState | None:
        return self._flows.get(key.flow, {}).get(key.trigger_id)

    def of_flow(self, key: FlowKey) -> dict[str, TriggerState]:
        """The states of a flow's triggers, by trigger id."""
        return self._flows.get(key, {})

    def flows(self) -> list[FlowKey]:
        """Every flow that has a state here."""
        return list(self._flows)

    def put(self, state: TriggerState) -> None:
        """Keep a state, in place of the trigger's older one."""
        key = key_of(state)
        self._flows.setdefault(key.flow, {})[state.trigger_id] = state
        due = due_us(state)
        if due is not None:
            heapq.heappush(self._heap, (due, key))

    def load(self, states: dict[str, TriggerState]) -> None:
        """Keep many states of an empty shelf at once."""
        for state in states.values():
            key = key_of(state)
            self._flows.setdefault(key.flow, {})[state.trigger_id] = state
            due = due_us(state)
            if due is not None:
                self._heap.append((due, key))
        heapq.heapify(self._heap)

    def drop(self, key: TriggerKey) -> None:
        """Forget a trigger."""
        states = self._flows.get(key.flow, {})
        states.pop(key.trigger_id, None)
        if not states:
            self._flows.pop(key.flow, None)

    def next_due_us(self) -> int | None:
        """When the next trigger is due."""
        while self._heap:
            due, key = self._heap[0]
            state = self.get(key)
            if state is not None and due_us(state) == due:
                return due
            heapq.heappop(self._heap)
        return None

    def due(self, now_us: int, limit: int) -> list[TriggerState]:
        """Take the triggers that are due out of the queue, at most `limit`; `put` them back."""
        found: dict[TriggerKey, TriggerState] = {}
        while len(found) < limit:
            next_us = self.next_due_us()
            if next_us is None or next_us > now_us:
                break
            key = heapq.heappop(self._heap)[1]
            state = self.get(key)
            assert state is not None
            found[key] = state
        return list(found.values())
