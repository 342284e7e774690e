"""The outcome of one command: events, and what leaves the execution when they are committed."""

from __future__ import annotations

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.apply import apply
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.timers import Timer
from tiercel_schemas.codec import AvroRecord
from tiercel_schemas.commands import (
    ChildEnded,
    ChildPaused,
    KillExecution,
    RestartExecution,
    ResumeExecution,
)
from tiercel_schemas.common import ChildPositions, Payload, ReplyTo
from tiercel_schemas.concurrency import ReleaseSlot
from tiercel_schemas.events import Event
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey, TriggerKey, derive_id
from tiercel_schemas.jobs import Revocation, TaskJob
from tiercel_schemas.logs import LogEntry, MetricEntry
from tiercel_schemas.state import State
from tiercel_schemas.triggers import TriggerExecutionEnded


def trigger_ended(trigger: str, execution_id: str, state: str) -> tuple[str, AvroRecord]:
    """What the trigger that waits for an execution is told of its end: (key, command)."""
    key = TriggerKey.parse(trigger)
    return str(key.flow), TriggerExecutionEnded(*key, execution_id=execution_id, state=state)


#: A command that makes more events than this is taken for a loop: its execution is aborted. Some
#: touch every open task run of an execution (a kill), so it is more than any execution has.
STEP_EVENTS_MAX = 1_000_000


class EndlessStep(Rejected):
    """One command causes more events than `STEP_EVENTS_MAX`."""


#: A job's task and variables together; above it the task fails loudly instead of being sent.
JOB_BYTES_MAX = 900_000


class Step:
    """What one command does. Drop it, and nothing has happened.

    Attributes:
        execution: the state, all emitted events applied.
        first_sequence: number of the first event that this step emits.
        events, jobs, revocations, flows, logs, metrics: what its transaction writes.
        groups: task run id -> worker group of its job, where it has one.
        commands: (key, command) to other executions, written by it, too.
        changes: (state before, execution) each time that it came to another state.
        inbox: (worker id, record): what one worker alone is told.
        known_plan: the plan that was looked up last, and the revision that it is of.
        children: failed executions that this one has started and may restart, by id.
        reply_outputs, reply_error: what whoever waits for the execution's end asked for.
        successor_id: the execution that takes this one's place when it is RETRIED.
        follow_ups: what to process next, at once: a flowable with more children to start than one
            command may create, what was due while the execution was held.
        stale: why the command did nothing, when it came too late or twice.
    """

    __slots__ = (
        "at_us",
        "changes",
        "children",
        "commands",
        "events",
        "events_max",
        "execution",
        "first_sequence",
        "flows",
        "follow_ups",
        "groups",
        "inbox",
        "jobs",
        "known_plan",
        "logs",
        "metrics",
        "reply_error",
        "reply_outputs",
        "revocations",
        "stale",
        "successor_id",
    )

    def __init__(self, execution: Execution, at_us: int) -> None:
        self.execution = execution
        self.at_us = at_us
        self.events_max = STEP_EVENTS_MAX
        self.first_sequence = execution.sequence + 1
        self.events: list[Event] = []
        self.jobs: list[TaskJob] = []
        self.groups: dict[str, str] = {}
        self.revocations: list[Revocation] = []
        self.flows: list[FlowRevision] = []
        self.logs: list[LogEntry] = []
        self.metrics: list[MetricEntry] = []
        self.commands: list[tuple[str, AvroRecord]] = []
        self.changes: list[tuple[str, Execution]] = []
        self.inbox: list[tuple[str, AvroRecord]] = []
        self.children: dict[str, ChildPositions] = {}
        self.reply_outputs: Payload | None = None
        self.reply_error: str | None = None
        self.successor_id: str | None = None
        self.follow_ups: list[Timer] = []
        self.stale: str | None = None
        self.known_plan: tuple[int, Plan] | None = None

    def emit(self, event: Event) -> Execution:
        """Apply and record an event: the only way state changes."""
        if len(self.events) >= self.events_max:
            raise EndlessStep(
                f"Expected one command to cause at most {self.events_max} events, but there are "
                "more: does the flow loop?"
            )
        before = self.execution
        self.execution = apply(before, event, self.at_us)
        self.events.append(event)
        if self.execution.state != before.state:
            self.changes.append((before.state, self.execution))
            self._say_if_paused(before.state)
        if self.execution.is_over and not before.is_over:
            self._reply()
            self._give_slot_back()
        return self.execution

    def _say_if_paused(self, before: str) -> None:
        """Tell a task run that waits for many executions whether this one waits for a resume."""
        x = self.execution
        if x.reply_to is None or x.reply_to.index < 0 or State.PAUSED not in (before, x.state):
            return
        to = x.reply_to
        is_paused = x.state == State.PAUSED
        told = ChildPaused(to.execution_id, to.task_run_id, to.index, to.attempt, is_paused)
        self.commands.append((to.execution_id, told))

    def tell(self, to: ReplyTo) -> None:
        """Tell a task run how the execution, which has ended, ended."""
        x = self.execution
        ended = ChildEnded(
            execution_id=to.execution_id,
            task_run_id=to.task_run_id,
            child_id=x.id,
            state=x.state,
            outputs=x.outputs,
            index=to.index,
            attempt=to.attempt,
        )
        self.commands.append((ended.execution_id, ended))

    def _reply(self) -> None:
        """Tell the task run that started the execution how it has ended."""
        x = self.execution
        if x.reply_to is None:
            return
        if x.reply_to.trigger:
            self.commands.append(trigger_ended(x.reply_to.trigger, x.id, x.state))
            return
        ended = ChildEnded(
            execution_id=x.reply_to.execution_id,
            task_run_id=x.reply_to.task_run_id,
            child_id=x.id,
            state=x.state,
            outputs=self.reply_outputs or x.outputs,
            error=self.reply_error,
            successor_id=self.successor_id,
            index=x.reply_to.index,
            attempt=x.reply_to.attempt,
        )
        self.commands.append((ended.execution_id, ended))

    def _give_slot_back(self) -> None:
        x = self.execution
        if x.slot:
            key = FlowKey(x.tenant, x.namespace, x.flow_id)
            release = ReleaseSlot(
                tenant=x.tenant, namespace=x.namespace, flow_id=x.flow_id, execution_id=x.id
            )
            self.commands.append((str(key), release))

    def kill_child(self, child_id: str) -> None:
        """Kill an execution that this one started."""
        command_id = derive_id("kill", self.execution.id, child_id, str(self.first_sequence))
        self.commands.append((child_id, KillExecution(command_id, child_id)))

    def resume_child(self, child_id: str, outputs: Payload) -> None:
        """Let an execution go on that this one started."""
        command_id = derive_id("resume", self.execution.id, child_id, str(self.first_sequence))
        self.commands.append((child_id, ResumeExecution(command_id, child_id, outputs)))

    def restart_child(self, child: ChildPositions, reply_to: ReplyTo | None = None) -> None:
        """Run an execution again that this one started, and those that it started itself."""
        x = self.execution
        command_id = derive_id("restart", x.id, child.execution_id, str(self.first_sequence))
        command = RestartExecution(
            command_id=command_id,
            execution_id=child.execution_id,
            positions=child.positions,
            children=tuple(self.children.values()),
            reply_to=reply_to,
        )
        self.commands.append((child.execution_id, command))

    def revoke(
        self, task_run_id: str, attempt: int, epoch: int, reason: str, worker_id: str | None
    ) -> None:
        """Tell workers to drop or stop an attempt."""
        self.revocations.append(
            Revocation(
                execution_id=self.execution.id,
                task_run_id=task_run_id,
                attempt=attempt,
                epoch=epoch,
                worker_id=worker_id,
                reason=reason,
                at_us=self.at_us,
            )
        )

    def log(self, level: str, message: str, task_run_id: str | None = None) -> None:
        """Add a line to the execution's log: why the executor decided as it did."""
        run = self.execution.task_runs.get(task_run_id) if task_run_id else None
        self.logs.append(
            LogEntry(
                namespace=self.execution.namespace,
                flow_id=self.execution.flow_id,
                execution_id=self.execution.id,
                task_run_id=task_run_id,
                task_id=run.task_id if run else None,
                attempt=max(run.attempt, 1) if run else 1,
                at_us=self.at_us,
                level=level,
                thread="executor",
                message=message,
            )
        )
