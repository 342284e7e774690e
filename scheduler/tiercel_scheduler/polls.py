"""Triggers that look: asks workers to look, and starts what they have found.

Theory of operation. When a trigger is due, a job goes out in the transaction that writes its state
with the next epoch. The worker answers to the trigger, as it answers to an execution otherwise; the
first answer of the epoch counts. One that does not come in time is asked for again, under another
epoch. Starts, cursor and consumed answer commit together.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from tiercel_engine.clock import Clock
from tiercel_engine.flow.model import Flow
from tiercel_engine.plugin.condition_rules import Subject, hold
from tiercel_engine.plugin.dates import US, flow_variables
from tiercel_engine.plugin.polling import STARTS_MAX, Answer, PollingTrigger, Wish
from tiercel_engine.storage.claims import unpack
from tiercel_engine.storage.objects import Storage
from tiercel_scheduler.handler import Handler
from tiercel_scheduler.outbox import Outbox
from tiercel_scheduler.shelf import Shelf, key_of
from tiercel_scheduler.starts import WRONG, Start, Starter
from tiercel_schemas.commands import EndAttempt, ReturnJob, StartAttempt
from tiercel_schemas.common import Payload
from tiercel_schemas.ids import TriggerKey, derive_id
from tiercel_schemas.jobs import TaskJob
from tiercel_schemas.logs import LogEntry
from tiercel_schemas.state import State
from tiercel_schemas.triggers import TriggerState

#: An answer that has not come by then is not waited for.
ANSWER_US = 300 * US
#: A job given back is tried again after this; a look that failed after this at the earliest.
AGAIN_US = 1 * US
FAILED_AGAIN_US = 10 * US
KINDS = ("POLLING", "REALTIME")

Reply = StartAttempt | EndAttempt | ReturnJob


class Polls:
    """Belongs to the scheduler's thread."""

    def __init__(self, handler: Handler, starter: Starter, storage: Storage, clock: Clock) -> None:
        self._handler = handler
        self._starter = starter
        self._storage = storage
        self._clock = clock

    def look(self, shelf: Shelf, state: TriggerState, outbox: Outbox) -> None:
        """A trigger is due: ask a worker."""
        found = self._handler.find(state)
        trigger = None if found is None else found[1]
        if found is None or not isinstance(trigger, PollingTrigger):
            self._handler.put(shelf, replace(state, next_us=None), outbox)
            return
        now_us = self._clock.now_us()
        asked = replace(
            state,
            epoch=state.epoch + 1,
            worker_id=None,
            evaluated_us=now_us,
            next_us=now_us + ANSWER_US,
        )
        outbox.job(_job(found[0], trigger, asked, now_us))
        self._handler.put(shelf, asked, outbox)

    def reply(self, shelf: Shelf, reply: Reply, outbox: Outbox) -> None:
        """A worker says something about a look; of an older epoch it is not heard."""
        state = shelf.get(TriggerKey.parse(reply.task_run_id))
        if state is None or state.kind not in KINDS or state.epoch != reply.epoch:
            return
        now_us = self._clock.now_us()
        if isinstance(reply, StartAttempt):
            began = replace(state, worker_id=reply.worker_id, next_us=now_us + ANSWER_US)
            self._handler.put(shelf, began, outbox)
            return
        # Whatever follows, this epoch is over.
        state = replace(state, worker_id=None, epoch=state.epoch + 1)
        found = self._handler.find(state)
        if isinstance(reply, ReturnJob) or found is None:
            self._handler.put(shelf, replace(state, next_us=now_us + AGAIN_US), outbox)
            return
        flow, trigger = found
        if isinstance(trigger, PollingTrigger):
            self._answer(shelf, state, flow, trigger, reply, outbox)

    def _answer(
        self,
        shelf: Shelf,
        state: TriggerState,
        flow: Flow,
        trigger: PollingTrigger,
        end: EndAttempt,
        outbox: Outbox,
    ) -> None:
        now_us = self._clock.now_us()
        pause_us = round(trigger.interval * US)
        if end.state not in (State.SUCCESS, State.WARNING):
            outbox.log(_line(flow, trigger, now_us, end.error or f"The look ended {end.state}."))
            failure = end.error or end.state if trigger.fail_on_trigger_error else None
            after = replace(state, next_us=now_us + max(pause_us, FAILED_AGAIN_US))
            if failure is not None:
                after = self._start(after, flow, trigger, Wish({}), end, outbox, failure)
            self._handler.put(shelf, after, outbox)
            return
        try:
            answer = msgspec.convert(unpack(end.outputs, self._storage) or {}, Answer)
            wishes = [
                one for one in answer.starts[:STARTS_MAX] if self._is_wanted(flow, trigger, one)
            ]
        except (*WRONG, msgspec.ValidationError) as error:
            outbox.log(_line(flow, trigger, now_us, str(error)))
            answer, wishes = Answer(), []
        state = replace(state, next_us=now_us + pause_us)
        if answer.cursor is not None:
            state = replace(state, cursor=msgspec.json.encode(answer.cursor).decode())
        for wish in wishes:
            state = self._start(state, flow, trigger, wish, end, outbox)
        self._handler.put(shelf, state, outbox)

    def _is_wanted(self, flow: Flow, trigger: PollingTrigger, wish: Wish) -> bool:
        variables = {**flow_variables(flow), "trigger": wish.variables}
        subject = Subject(self._starter.renderer, variables)
        if trigger.when is not None and not subject.renderer.truthy(trigger.when, variables):
            return False
        return hold(trigger.conditions or (), subject)

    def _start(
        self,
        state: TriggerState,
        flow: Flow,
        trigger: PollingTrigger,
        wish: Wish,
        end: EndAttempt,
        outbox: Outbox,
        failure: str | None = None,
    ) -> TriggerState:
        is_locked = not trigger.allow_concurrent
        start = Start(
            execution_id=derive_id("look", *key_of(state), wish.key or f"epoch-{end.epoch}"),
            variables=wish.variables,
            locks=is_locked or bool(trigger.stop_after),
            failure=failure,
        )
        outbox.create(self._starter.command(flow, trigger, start))
        return replace(
            state,
            date_us=self._clock.now_us(),
            execution_id=start.execution_id if is_locked else None,
            last_execution_id=start.execution_id,
        )


def _job(flow: Flow, trigger: PollingTrigger, state: TriggerState, now_us: int) -> TaskJob:
    """The look as a job: the flow's key is in the place of the execution, its own of the run."""
    cursor: Any = None if state.cursor is None else msgspec.json.decode(state.cursor)
    variables = {
        **flow_variables(flow),
        "trigger": {"id": trigger.id, "type": trigger.type},
        "cursor": cursor,
    }
    return TaskJob(
        execution_id=str(key_of(state).flow),
        task_run_id=str(key_of(state)),
        attempt=1,
        epoch=state.epoch,
        namespace=flow.namespace,
        flow_id=flow.id,
        flow_revision=flow.revision,
        task_id=trigger.id,
        task_json=msgspec.json.encode(trigger.task()).decode(),
        variables=Payload(json=msgspec.json.encode(variables).decode()),
        submitted_us=now_us,
        tenant=flow.tenant,
        dialect=flow.dialect.name,
    )


def _line(flow: Flow, trigger: PollingTrigger, at_us: int, message: str) -> LogEntry:
    return LogEntry(
        namespace=flow.namespace,
        flow_id=flow.id,
        trigger_id=trigger.id,
        attempt=1,
        at_us=at_us,
        level="WARN",
        thread="scheduler",
        message=message,
    )
