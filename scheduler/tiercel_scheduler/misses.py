"""Flow triggers with `onMiss`: a window ends, and not everything has come that was waited for.

Theory of operation. The trigger's state says when to look: a moment after the end of the window,
so that news of what came in time has been heard. A start within the window moves the look to the
end of the next one. What it creates, a FAILED execution, has an id that derives from trigger and
end. Ends that pass while no scheduler runs are told once, about the last of them.
"""

from __future__ import annotations

from msgspec.structs import replace

from tiercel_engine.clock import Clock, iso
from tiercel_engine.flow.model import Flow
from tiercel_engine.plugin.triggers import Flow as FlowTrigger
from tiercel_engine.plugin.upstream import MissRules
from tiercel_scheduler.handler import Handler
from tiercel_scheduler.outbox import Outbox
from tiercel_scheduler.shelf import Shelf, key_of
from tiercel_scheduler.starts import Start, Starter
from tiercel_schemas.common import Label
from tiercel_schemas.ids import derive_id
from tiercel_schemas.triggers import TriggerState


class Misses:
    """Belongs to the scheduler's thread."""

    def __init__(self, handler: Handler, starter: Starter, clock: Clock) -> None:
        self._handler = handler
        self._starter = starter
        self._clock = clock

    def look(self, shelf: Shelf, state: TriggerState, outbox: Outbox) -> None:
        """A window has ended without a start."""
        found = self._handler.find(state)
        rules = None if found is None else self._handler.rules(*found)
        if found is None or not isinstance(rules, MissRules):
            self._handler.put(shelf, replace(state, next_us=None), outbox)
            return
        now_us = self._clock.now_us()
        heard_us = shelf.since_us + rules.grace_us
        if now_us < heard_us:
            # The partition was taken over just now: what happened before is still being read.
            self._handler.put(shelf, replace(state, next_us=heard_us), outbox)
            return
        flow, trigger = found
        assert isinstance(trigger, FlowTrigger)
        after = self._missed(flow, trigger, state, rules, outbox)
        self._handler.put(shelf, replace(after, next_us=rules.next(now_us)), outbox)

    def settled(
        self, flow: Flow, trigger: FlowTrigger, state: TriggerState, at_us: int, outbox: Outbox
    ) -> TriggerState:
        """The state of a trigger that starts by what came at `at_us`: its window is not missed."""
        rules = self._handler.rules(flow, trigger)
        if not isinstance(rules, MissRules):
            return state
        look_us = state.next_us or 0
        if state.next_us is not None and rules.end_of(state.next_us) < at_us:
            # An earlier window ended a moment ago and was not looked at yet.
            state = self._missed(flow, trigger, state, rules, outbox)
        end_us = rules.end_after(at_us - 1)
        following_us = rules.end_after(end_us) + rules.grace_us
        return replace(state, next_us=max(look_us, following_us))

    def _missed(
        self,
        flow: Flow,
        trigger: FlowTrigger,
        state: TriggerState,
        rules: MissRules,
        outbox: Outbox,
    ) -> TriggerState:
        """Create the FAILED execution; what belongs to the window is forgotten."""
        assert state.next_us is not None
        assert trigger.on_miss is not None
        end_us = rules.end_of(state.next_us)
        came = [one for one in state.arrivals if one.at_us <= end_us]
        start = Start(
            execution_id=derive_id("miss", *key_of(state), str(end_us)),
            variables={
                "deadline": iso(end_us),
                "executions": [{"flowId": x.flow_id, "executionId": x.execution_id} for x in came],
            },
            labels=tuple(Label(key, value) for key, value in trigger.on_miss.labels),
            locks=bool(trigger.stop_after),
            failure=f"Expected all that {trigger.id} waits for by {iso(end_us)}, "
            f"but {len(came)} of it came.",
        )
        outbox.create(self._starter.command(flow, trigger, start))
        return replace(
            state,
            arrivals=tuple(one for one in state.arrivals if one.at_us > end_us),
            date_us=end_us,
            last_execution_id=start.execution_id,
        )
