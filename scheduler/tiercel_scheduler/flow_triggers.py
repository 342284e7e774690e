"""Flow triggers: executions that start because others came to a state.

Theory of operation. The executor tells of a change of state in the transaction of that change, once
per flow that may listen. What a trigger has seen within its window is part of its state, which only
the owner of the flow's partition writes, in the transaction that takes the news. So each change is
judged once by each trigger, and the id of what it starts derives from the trigger and the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from tiercel_engine.clock import Clock, iso
from tiercel_engine.flow.model import Flow
from tiercel_engine.plugin.condition_rules import Source, Subject, hold
from tiercel_engine.plugin.dates import flow_variables
from tiercel_engine.plugin.triggers import Flow as FlowTrigger
from tiercel_engine.plugin.upstream import Several, own_conditions, several, states_of
from tiercel_engine.plugin.windows import counted
from tiercel_engine.storage.claims import unpack
from tiercel_engine.storage.lazy import variables_of
from tiercel_engine.storage.objects import Storage
from tiercel_scheduler.handler import Handler
from tiercel_scheduler.misses import Misses
from tiercel_scheduler.outbox import Outbox
from tiercel_scheduler.shelf import Shelf, key_of
from tiercel_scheduler.starts import CORRELATION_LABEL, WRONG, Start, Starter
from tiercel_schemas.common import Label, Payload
from tiercel_schemas.ids import FlowKey, derive_id
from tiercel_schemas.logs import LogEntry
from tiercel_schemas.triggers import Arrival, ExecutionChanged, TriggerState

#: Executions that start each other; more are taken for an endless chain.
DEPTH_MAX = 100


class _Case(msgspec.Struct, frozen=True):
    """One trigger looking at one change."""

    shelf: Shelf
    state: TriggerState
    flow: Flow
    trigger: FlowTrigger
    change: ExecutionChanged


class FlowTriggers:
    """Judges changes; belongs to the scheduler's thread."""

    def __init__(
        self,
        handler: Handler,
        starter: Starter,
        storage: Storage,
        clock: Clock,
        default_zone: str,
    ) -> None:
        self._handler = handler
        self._starter = starter
        self._storage = storage
        self._clock = clock
        self._default_zone = default_zone
        self._misses = Misses(handler, starter, clock)
        #: Values of the change in hand that lie in storage, by address.
        self._fetched: dict[str, Any] = {}

    def missed(self, shelf: Shelf, state: TriggerState, outbox: Outbox) -> None:
        """The window of a trigger with `onMiss` has ended without a start."""
        self._misses.look(shelf, state, outbox)

    def changed(self, shelf: Shelf, change: ExecutionChanged, outbox: Outbox) -> None:
        """An execution came to a state that triggers of a flow may wait for."""
        self._fetched.clear()
        key = FlowKey(change.tenant, change.namespace, change.flow_id)
        for state in list(shelf.of_flow(key).values()):
            if state.kind != "FLOW" or state.disabled:
                continue
            found = self._handler.find(state)
            if found is None or found[0].disabled or found[1].disabled:
                continue
            flow, trigger = found
            if isinstance(trigger, FlowTrigger):
                self._judge(_Case(shelf, state, flow, trigger, change), outbox)

    def _judge(self, case: _Case, outbox: Outbox) -> None:
        """What cannot be judged counts as not met, with a warning in the trigger's log."""
        trigger, change = case.trigger, case.change
        if change.state not in states_of(trigger, case.flow.dialect):
            return
        try:
            subject = self._subject(case, second=False)
            if not hold(own_conditions(trigger), subject):
                return
            if trigger.when is not None:
                second = self._subject(case, second=True)
                if not second.renderer.truthy(trigger.when, second.variables):
                    return
            wanted = several(trigger)
            if wanted is None:
                self._start(case, (), case.state, outbox)
            else:
                self._arrive(case, wanted, outbox)
        except WRONG as error:
            outbox.log(self._line(case, "WARN", str(error)))

    def _arrive(self, case: _Case, wanted: Several, outbox: Outbox) -> None:
        """Remember the change under each condition that it meets; start when enough are met."""
        change = case.change
        second = self._subject(case, second=bool(case.trigger.depends_on))
        met = [one.key for one in wanted.upstreams if one.is_met(second)]
        if not met:
            return
        known = counted(case.state.arrivals, wanted.window, change.at_us, self._default_zone)
        if known is None:
            return
        arrivals = {one.condition: one for one in known}
        for key in met:
            arrivals[key] = Arrival(
                condition=key,
                execution_id=change.execution_id,
                namespace=change.source_namespace,
                flow_id=change.source_flow_id,
                state=change.state,
                at_us=change.at_us,
                outputs=change.outputs,
            )
        keys = {one.key for one in wanted.upstreams}
        arrivals = {key: one for key, one in arrivals.items() if key in keys}
        state = replace(case.state, arrivals=tuple(arrivals.values()))
        if len(arrivals) < wanted.needed:
            self._handler.put(case.shelf, state, outbox)
            return
        seen = state.arrivals
        state = replace(state, arrivals=()) if wanted.resets else state
        self._start(case, seen, state, outbox)

    def _start(
        self, case: _Case, seen: tuple[Arrival, ...], state: TriggerState, outbox: Outbox
    ) -> None:
        change, flow = case.change, case.flow
        if change.depth >= DEPTH_MAX:
            outbox.log(self._line(case, "WARN", f"Expected at most {DEPTH_MAX} in a chain."))
            return
        key = key_of(state)
        labels = tuple(one for one in change.labels if one.key == CORRELATION_LABEL)[:1]
        known = self._subject(case, second=False).variables
        start = Start(
            known={name: known[name] for name in ("outputs", "execution")},
            execution_id=derive_id("flow", *key, change.execution_id, str(change.sequence)),
            variables=self._variables(case, seen),
            labels=labels or (Label(CORRELATION_LABEL, change.execution_id),),
            locks=bool(case.trigger.stop_after),
            asks_nothing=True,
            depth=change.depth + 1,
        )
        command = self._starter.command(flow, case.trigger, start)
        if command.failure is not None and not flow.dialect.fails_trigger_inputs:
            outbox.log(self._line(case, "WARN", command.failure))
            self._handler.put(case.shelf, state, outbox)
            return
        outbox.create(command)
        state = self._misses.settled(flow, case.trigger, state, change.at_us, outbox)
        started = replace(state, date_us=change.at_us, last_execution_id=start.execution_id)
        self._handler.put(case.shelf, started, outbox)

    def _variables(self, case: _Case, seen: tuple[Arrival, ...]) -> dict[str, Any]:
        """`{{ trigger }}`: the change, and the outputs of everything that was waited for."""
        change = case.change
        outputs = self._outputs(case, seen)
        return {
            **_about(change),
            "executionLabels": _nested(change.labels),
            "startDate": iso(change.started_us),
            "endDate": iso(change.at_us),
            **_landmarks(change),
            **({"outputs": outputs} if outputs else {}),
        }

    def _outputs(self, case: _Case, seen: tuple[Arrival, ...]) -> dict[str, Any]:
        """Merged, and per flow; the dialect says which wins where both have a name."""
        change = case.change
        sources = [(one.flow_id, self._value(one.outputs)) for one in seen]
        if not seen:
            sources = [(change.source_flow_id, self._value(change.outputs))]
        merged: dict[str, Any] = {}
        scoped: dict[str, Any] = {}
        for flow_id, outputs in sources:
            merged.update(outputs)
            if outputs:
                scoped[flow_id] = outputs
        if case.flow.dialect.scopes_trigger_outputs:
            return {**merged, **scoped}
        return {**scoped, **merged}

    def _subject(self, case: _Case, second: bool) -> Subject:
        """What conditions see; `second`: `flow` is the one that ran, as in dialect 2.0."""
        change = case.change
        outputs = self._value(change.outputs)
        labels = {label.key: label.value for label in change.labels}
        execution = {
            "id": change.execution_id,
            "state": change.state,
            "startDate": iso(change.started_us),
            "outputs": outputs,
            "namespace": change.source_namespace,
            "flowId": change.source_flow_id,
        }
        variables = {
            **flow_variables(case.flow),
            "labels": labels,
            "execution": execution,
            "inputs": self._value(change.inputs),
            "outputs": self._task_outputs(change, outputs),
            "trigger": {**_about(change), **_landmarks(change), "outputs": outputs},
        }
        if second:
            variables |= {
                "namespace": change.source_namespace,
                "flowId": change.source_flow_id,
                "state": change.state,
                "hasRetryAttempt": bool(change.retried),
            }
            variables["flow"] = {
                "id": change.source_flow_id,
                "namespace": change.source_namespace,
                "revision": change.source_revision,
                "tenantId": change.tenant,
            }
        source = Source(
            namespace=change.source_namespace,
            flow_id=change.source_flow_id,
            state=change.state,
            labels=labels,
            outputs=outputs,
            retried=frozenset(change.retried),
        )
        return Subject(self._starter.renderer, variables, source)

    def _task_outputs(
        self, change: ExecutionChanged, outputs: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Outputs of the flow, and over them those of its tasks; large ones fetched when asked."""
        payload = change.task_outputs
        if payload is None or payload.json is None:
            return outputs
        text = msgspec.json.encode({**outputs, **msgspec.json.decode(payload.json)}).decode()
        return variables_of(Payload(json=text), self._storage)

    def _value(self, payload: Payload | None) -> Mapping[str, Any]:
        if payload is not None and payload.claim is not None:
            uri = payload.claim.uri
            if uri not in self._fetched:
                self._fetched[uri] = unpack(payload, self._storage)
            value = self._fetched[uri]
        else:
            value = unpack(payload, self._storage)
        return value if isinstance(value, Mapping) else {}

    def _line(self, case: _Case, level: str, message: str) -> LogEntry:
        return LogEntry(
            namespace=case.flow.namespace,
            flow_id=case.flow.id,
            trigger_id=case.trigger.id,
            attempt=1,
            at_us=self._clock.now_us(),
            level=level,
            thread="scheduler",
            message=message,
        )


def _nested(labels: Iterable[Label]) -> dict[str, Any]:
    """First of duplicates wins; `system.x` stands under `system`, but for the correlation id."""
    nested: dict[str, Any] = {}
    for label in labels:
        prefix, dot, rest = label.key.partition(".")
        if dot and prefix == "system":
            if label.key != CORRELATION_LABEL:
                nested.setdefault("system", {}).setdefault(rest, label.value)
        else:
            nested.setdefault(label.key, label.value)
    return nested


def _landmarks(change: ExecutionChanged) -> dict[str, str]:
    found = {"firstFailedTaskId": change.first_failed_task_id, "lastTaskId": change.last_task_id}
    return {name: task_id for name, task_id in found.items() if task_id is not None}


def _about(change: ExecutionChanged) -> dict[str, Any]:
    return {
        "executionId": change.execution_id,
        "namespace": change.source_namespace,
        "flowId": change.source_flow_id,
        "flowRevision": change.source_revision,
        "state": change.state,
    }
