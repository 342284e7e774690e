"""Who is told that an execution came to another state: flow triggers, and the public topic.

Written in the transaction of the change itself, so that each is told exactly once, in order. The
index of listeners follows the flow catalog; only flows that mention a Flow trigger are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import structlog

from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.errors import InvalidFlow
from tiercel_engine.eventlog.base import NewRecord
from tiercel_engine.execution.landmarks import first_failed_task, last_task
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.variables import task_outputs
from tiercel_engine.executor.settings import EventsFormat
from tiercel_engine.expression.analysis import References, analyse
from tiercel_engine.flow.base import Rule
from tiercel_engine.plugin.triggers import Flow as FlowTrigger
from tiercel_engine.plugin.upstream import Place, interests, needs_retries
from tiercel_schemas import codec
from tiercel_schemas.common import Payload
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.topics import Topics
from tiercel_schemas.triggers import ExecutionChanged, ExecutionEvent

log = structlog.get_logger(__name__)

#: Outputs of tasks that are told along; larger ones are left out.
TASK_OUTPUTS_BYTES_MAX = 256 * 1024
#: A flow whose source has none of these has no Flow trigger.
MENTIONS = ("trigger.Flow", "triggers.types.Flow")
NORMAL = "NORMAL"

_encode = msgspec.json.Encoder().encode


class Listeners:
    """Which flows listen to which executions. Read in the executor's thread alone."""

    def __init__(self, catalog: FlowCatalog) -> None:
        self._catalog = catalog
        #: Flows whose newest revision is not in the index yet; filled by whoever takes it in.
        self._changed: dict[FlowKey, None] = {}
        self._places: dict[Place, dict[FlowKey, frozenset[str]]] = {}
        self._of_flow: dict[FlowKey, frozenset[Place]] = {}
        self._with_retries: set[FlowKey] = set()
        #: What the templates of a flow's triggers refer to, when it is outputs of tasks.
        self._refers: dict[FlowKey, References] = {}
        catalog.on_change(self._note)

    def _note(self, revision: FlowRevision) -> None:
        key = FlowKey(revision.tenant, revision.namespace, revision.flow_id)
        if key in self._of_flow or any(words in revision.source for words in MENTIONS):
            self._changed[key] = None

    def of(self, execution: Execution) -> dict[FlowKey, bool]:
        """Flows to tell of the execution's state, and whether they ask for retries."""
        while self._changed:
            self._index(self._changed.popitem()[0])
        if not self._of_flow:
            return {}
        own = FlowKey(execution.tenant, execution.namespace, execution.flow_id)
        found: dict[FlowKey, bool] = {}
        for namespace in (execution.namespace, None):
            for flow_id in (execution.flow_id, None):
                for key, states in self._places.get((namespace, flow_id), {}).items():
                    is_other = key != own and key.tenant == own.tenant
                    if is_other and execution.state in states:
                        found[key] = key in self._with_retries
        return found

    def refers(self, key: FlowKey) -> References:
        """What the templates of a flow's triggers refer to."""
        return self._refers[key]

    def _index(self, key: FlowKey) -> None:
        for place in self._of_flow.pop(key, ()):
            self._places[place].pop(key, None)
        self._with_retries.discard(key)
        self._refers.pop(key, None)
        written: list[Any] = []
        places: dict[Place, frozenset[str]] = {}
        try:
            flow = self._catalog.flow(key)
            for trigger in flow.triggers if flow is not None and not flow.disabled else ():
                if not isinstance(trigger, FlowTrigger) or trigger.disabled or flow is None:
                    continue
                of_trigger, states = interests(trigger, flow.dialect)
                for place in of_trigger:
                    places[place] = places.get(place, frozenset()) | states
                written.append(trigger.properties)
                if needs_retries(trigger):
                    self._with_retries.add(key)
        except (InvalidFlow, Rule) as error:
            log.warning("flow_trigger_unreadable", flow=str(key), reason=str(error))
        if places:
            self._of_flow[key] = frozenset(places)
            self._refers[key] = analyse(written)
        for place, states in places.items():
            self._places.setdefault(place, {})[key] = states


class Announcer:
    """The records that tell of a step's changes of state."""

    def __init__(self, topics: Topics, catalog: FlowCatalog, public: EventsFormat) -> None:
        """`public`: how the public topic is written, too."""
        self._topics = topics
        self._listeners = Listeners(catalog)
        self._public = public

    def records(self, step: Step) -> Iterator[NewRecord]:
        """What is written about a step, in the order of its changes."""
        for before, execution in step.changes:
            if execution.kind != NORMAL:
                continue
            if self._public != "off":
                yield self._event(before, execution, step.at_us)
            for key, with_retries in self._listeners.of(execution).items():
                outputs = task_outputs(execution, self._listeners.refers(key))
                told = _told(key, execution, step, with_retries, outputs)
                yield NewRecord(self._topics.trigger_commands.name, str(key), codec.encode(told))

    def _event(self, before: str, x: Execution, at_us: int) -> NewRecord:
        event = ExecutionEvent(
            execution_id=x.id,
            sequence=x.sequence,
            tenant=x.tenant,
            namespace=x.namespace,
            flow_id=x.flow_id,
            flow_revision=x.flow_revision,
            state=x.state,
            previous_state=before or None,
            at_us=at_us,
            labels=x.labels,
        )
        value = codec.encode(event) if self._public == "avro" else _encode(event)
        return NewRecord(self._topics.execution_events.name, x.id, value)


def _told(
    key: FlowKey, x: Execution, step: Step, with_retries: bool, outputs: dict[str, Any]
) -> ExecutionChanged:
    plan = None if step.known_plan is None else step.known_plan[1]
    text = _encode(outputs).decode() if outputs else None
    if text is not None and len(text) > TASK_OUTPUTS_BYTES_MAX:
        log.warning("task_outputs_left_out", execution_id=x.id, flow=str(key), bytes=len(text))
        text = None
    retried = {run.state for run in x.task_runs.values() if run.attempt > 1} if with_retries else ()
    return ExecutionChanged(
        *key,
        execution_id=x.id,
        source_namespace=x.namespace,
        source_flow_id=x.flow_id,
        source_revision=x.flow_revision,
        state=x.state,
        sequence=x.sequence,
        at_us=step.at_us,
        started_us=x.created_us,
        labels=x.labels,
        inputs=x.inputs,
        outputs=x.outputs,
        trigger=x.trigger,
        task_outputs=None if text is None else Payload(json=text),
        attempt=x.attempt_number,
        retried=tuple(sorted(retried)),
        depth=x.depth,
        first_failed_task_id=first_failed_task(x, plan),
        last_task_id=last_task(x, plan),
    )
