"""One command or one due trigger against one shelf: its state, and what leaves with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import Clock
from tiercel_engine.errors import InvalidFlow, Rejected, UserError
from tiercel_engine.flow.base import Rule
from tiercel_engine.flow.cron import BadCron
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.plugin.dates import US, ScheduleRules, schedule_rules
from tiercel_engine.plugin.polling import PollingTrigger
from tiercel_engine.plugin.triggers import Flow as FlowTrigger
from tiercel_engine.plugin.upstream import miss_rules
from tiercel_scheduler.decisions import DECISIONS, Rules
from tiercel_scheduler.due import Firing, fire
from tiercel_scheduler.outbox import Outbox
from tiercel_scheduler.settings import SchedulerSettings
from tiercel_scheduler.shelf import Shelf, key_of
from tiercel_scheduler.starts import Start, Starter
from tiercel_schemas import triggers as t
from tiercel_schemas.ids import FlowKey, TriggerKey, derive_id
from tiercel_schemas.triggers import TriggerState

log = structlog.get_logger(__name__)

#: The kind of the record that says: this revision has no trigger with a state.
NONE = "NONE"


class Handler:
    """Decides; belongs to the scheduler's thread."""

    def __init__(
        self,
        catalog: FlowCatalog,
        clock: Clock,
        starter: Starter,
        settings: SchedulerSettings,
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._starter = starter
        self._settings = settings

    # -- what a flow's new revision means -------------------------------------------------------

    def reconcile(self, shelf: Shelf, key: FlowKey, outbox: Outbox) -> None:
        """Let the states of a flow's triggers follow its newest revision."""
        entry = self._catalog.entry(key, allow_deleted=True)
        known = shelf.of_flow(key)
        if entry is None or any(s.flow_revision >= entry.revision for s in known.values()):
            return
        wanted = {s.trigger_id: s for s in self._states(key, entry.revision, known)}
        if not wanted and not entry.deleted and "trigger" in entry.source:
            # Remembered, so that the next start need not read this revision again.
            now_us = self._clock.now_us()
            wanted[""] = TriggerState(*key, "", NONE, entry.revision, updated_us=now_us)
        for gone in [trigger_id for trigger_id in known if trigger_id not in wanted]:
            address = TriggerKey(*key, gone)
            shelf.drop(address)
            outbox.state(address, None)
        for state in wanted.values():
            self.put(shelf, state, outbox)

    def _states(
        self, key: FlowKey, revision: int, known: dict[str, TriggerState]
    ) -> Iterator[TriggerState]:
        try:
            flow = self._catalog.flow(key, revision)
        except InvalidFlow as error:
            log.error("flow_unreadable", flow=str(key), revision=revision, error=str(error))
            return
        for trigger in flow.triggers if flow is not None else ():
            if flow is not None and trigger.STATE_KIND:
                yield self._state(flow, trigger, trigger.STATE_KIND, known.get(trigger.id))

    def _state(
        self, flow: Flow, trigger: Trigger, kind: str, old: TriggerState | None
    ) -> TriggerState:
        definition = _digest(flow, trigger)
        if old is None:
            old = TriggerState(
                flow.tenant, flow.namespace, flow.id, trigger.id, kind, flow.revision, updated_us=0
            )
        state = replace(old, kind=kind, flow_revision=flow.revision, definition=definition)
        if state.definition == old.definition:
            return state
        if flow.disabled or trigger.disabled:
            return replace(state, next_us=None, backfill=None, arrivals=())
        if isinstance(trigger, PollingTrigger):
            return replace(state, next_us=self._clock.now_us(), epoch=state.epoch + 1)
        rules = self.rules(flow, trigger)
        next_us = None if rules is None else rules.next(self._clock.now_us())
        return replace(state, next_us=next_us, arrivals=())

    def rules(self, flow: Flow, trigger: Trigger) -> Rules | None:
        """What says when a trigger is due; None: nothing does."""
        zone = self._settings.timezone
        try:
            if isinstance(trigger, FlowTrigger):
                return miss_rules(trigger, zone, round(self._settings.miss_grace_s * US))
            return schedule_rules(flow, trigger, self._starter.renderer, zone)
        except (BadCron, UserError, Rule) as error:
            log.warning(
                "schedule_unreadable", flow=f"{flow.namespace}.{flow.id}", reason=str(error)
            )
            return None

    # -- what is due ----------------------------------------------------------------------------

    def fire(self, shelf: Shelf, state: TriggerState, outbox: Outbox) -> None:
        """Do what a due trigger is due for."""
        found = self.find(state)
        rules = None if found is None else self.rules(*found)
        if found is None or not isinstance(rules, ScheduleRules):
            # Not before its flow changes.
            self.put(shelf, replace(state, next_us=None, backfill=None), outbox)
            return
        flow, trigger = found
        firing = fire(state, rules, self._clock.now_us(), shelf.since_us)
        after = firing.state
        if firing.date_us is not None:
            start = _start(key_of(state), firing, rules, not trigger.allow_concurrent)
            outbox.create(self._starter.command(flow, trigger, start))
            after = replace(
                after,
                execution_id=start.execution_id if start.locks else None,
                last_execution_id=start.execution_id,
            )
        self.put(shelf, after, outbox)

    def find(self, state: TriggerState) -> tuple[Flow, Trigger] | None:
        """The trigger of a state, in the revision of its flow that the state follows."""
        key = key_of(state)
        try:
            flow = self._catalog.flow(key.flow, state.flow_revision)
        except InvalidFlow:
            return None
        if flow is None:
            return None
        trigger = next((x for x in flow.triggers if x.id == key.trigger_id), None)
        return None if trigger is None else (flow, trigger)

    # -- what it is told and asked --------------------------------------------------------------

    def ended(self, shelf: Shelf, command: t.TriggerExecutionEnded, outbox: Outbox) -> None:
        """The execution that locks a trigger has ended."""
        state = shelf.get(_address(command))
        if state is None:
            return
        found = self.find(state)
        stops = (found[1].stop_after or ()) if found is not None else ()
        if state.execution_id == command.execution_id:
            state = replace(state, execution_id=None)
        elif command.state not in stops:
            return
        if command.state in stops:
            state = replace(state, disabled=True)
        self.put(shelf, state, outbox)

    def ask(self, shelf: Shelf, command: Any, outbox: Outbox) -> None:
        """Decide on what somebody asked; the state that follows carries the answer."""
        key = _address(command)
        state = shelf.get(key)
        if state is None:
            log.info("trigger_unknown", trigger=str(key), command=type(command).__name__)
            # Whoever asks waits for a word of it.
            outbox.state(key, None)
            return
        found = self.find(state)
        if isinstance(command, t.DeleteTrigger):
            if found is not None:
                refusal = Rejected(
                    f"The trigger {key.trigger_id} stays, because the flow still declares it.",
                    "CONFLICT",
                )
                self._answer(shelf, state, command, refusal, outbox)
                return
            shelf.drop(key)
            outbox.state(key, None)
            return
        rules = None if found is None else self.rules(*found)
        try:
            now_us = self._clock.now_us()
            after = DECISIONS[type(command)](state, command, rules, now_us)
        except Rejected as rejection:
            self._answer(shelf, state, command, rejection, outbox)
            return
        self._answer(shelf, after, command, None, outbox)

    def _answer(
        self,
        shelf: Shelf,
        state: TriggerState,
        command: Any,
        refusal: Rejected | None,
        outbox: Outbox,
    ) -> None:
        answered = replace(
            state,
            command_id=command.command_id,
            refusal=None if refusal is None else str(refusal),
            refusal_kind="INVALID" if refusal is None else refusal.kind,
        )
        self.put(shelf, answered, outbox)

    def put(self, shelf: Shelf, state: TriggerState, outbox: Outbox) -> None:
        """Keep and write a state."""
        state = replace(state, updated_us=self._clock.now_us())
        shelf.put(state)
        outbox.state(key_of(state), state)


def _address(command: Any) -> TriggerKey:
    return TriggerKey(command.tenant, command.namespace, command.flow_id, command.trigger_id)


def _digest(flow: Flow, trigger: Trigger) -> str:
    """What the dates of a trigger depend on, in a few characters."""
    text = msgspec.json.encode([flow.disabled, trigger.properties], order="deterministic")
    return hashlib.sha256(text).hexdigest()[:16]


def _start(key: TriggerKey, firing: Firing, rules: ScheduleRules, locks: bool) -> Start:
    """The execution of one date: its id is the date's, whoever starts it."""
    assert firing.date_us is not None
    backfill = firing.backfill
    source = ("schedule",) if backfill is None else ("backfill", backfill.id)
    inputs = "{}" if backfill is None else backfill.inputs_json or "{}"
    return Start(
        execution_id=derive_id(*source, *key, str(firing.date_us)),
        variables=rules.variables(firing.date_us),
        inputs=msgspec.json.decode(inputs),
        labels=() if backfill is None else backfill.labels,
        scheduled_us=firing.date_us,
        locks=locks,
        failure=firing.failure,
    )
