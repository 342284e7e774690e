"""One command against one partition: process it, keep its state, put its records out."""

from __future__ import annotations

from typing import Any

import structlog

from tiercel_engine.errors import NotFound, Rejected
from tiercel_engine.execution.abort import abort
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.process import process
from tiercel_engine.execution.skips import NO_SKIPS
from tiercel_engine.execution.step import EndlessStep, Step, trigger_ended
from tiercel_engine.executor import slots
from tiercel_engine.executor.outbox import Outbox
from tiercel_engine.executor.partition import Partition
from tiercel_engine.executor.recovery import Recovery
from tiercel_engine.executor.tally import Tally
from tiercel_engine.executor.world import ExecutorWorld
from tiercel_schemas import commands as c
from tiercel_schemas import events as e
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey, is_dashboard
from tiercel_schemas.state import State

log = structlog.get_logger(__name__)

#: Commands to a flow, in the place of an execution.
_OF_FLOWS = (c.SaveFlow, c.PurgeRevisions)


class Handler:
    """Runs commands through `process` and keeps what comes out."""

    def __init__(self, world: ExecutorWorld, recovery: Recovery, tally: Tally) -> None:
        self._tally = tally
        self._world = world
        self._recovery = recovery

    def handle(self, partition: Partition, command: Any, outbox: Outbox) -> str | None:
        """Process one command; returns why it belongs to the dead letters, if it does."""
        if isinstance(command, slots.SLOT_COMMANDS):
            slots.handle(partition, command, self._world.now_us(), outbox)
            return None
        try:
            execution = self._execution(partition, command)
        except AttributeError:
            return f"Expected a command, but it is a {type(command).__name__}."
        except NotFound as error:
            self._reject(partition, command, Rejected(str(error), "NOT_FOUND"), outbox)
            return None
        except Rejected as rejection:
            self._reject(partition, command, rejection, outbox)
            return None
        try:
            if self._is_skipped(execution, command):
                raise Rejected("The server's settings skip this execution.", "CONFLICT")
            step = process(execution, command, self._world)
            self._keep(partition, command, step, outbox)
        except EndlessStep as error:
            if not execution.exists:
                self._reject(partition, command, error, outbox)
                return None
            log.error("command_endless", execution_id=execution.id, command=_name(command))
            return self._abort(partition, execution, command, error, outbox)
        except Rejected as rejection:
            self._reject(partition, command, rejection, outbox)
        except AssertionError:
            # A broken invariant: what is in memory cannot be trusted, the process must not go on.
            raise
        except Exception as error:
            log.exception("command_failed", execution_id=execution.id, command=_name(command))
            return self._abort(partition, execution, command, error, outbox)
        return None

    def _is_skipped(self, x: Execution, command: Any) -> bool:
        """Whether nothing that is said to the execution counts, as the operator wishes."""
        return (
            x.exists
            and self._world.skips != NO_SKIPS
            and not isinstance(command, c.KillExecution | c.DeleteExecution)
            and self._world.skips.cover(x.id, FlowKey(x.tenant, x.namespace, x.flow_id))
        )

    def _execution(self, partition: Partition, command: Any) -> Execution:
        if isinstance(command, _OF_FLOWS):
            return Execution(self._subject(command))
        execution = partition.execution(command.execution_id)
        positions = getattr(command, "positions", ())
        if not execution.exists and positions:
            found = self._recovery.execution(partition.number, execution.id, positions)
            if found.sequence < partition.last_sequence(execution.id):
                raise Rejected("The execution has changed meanwhile: try again.", "MOVED")
            return found
        return execution

    def _keep(self, partition: Partition, command: Any, step: Step, outbox: Outbox) -> None:
        if isinstance(command, c.CreateExecution) and command.execution_id in partition.ended:
            if command.reply_to is not None and command.reply_to.trigger:
                self._tell_parent(command, "", outbox)
            return
        self._tally.decided(_name(command), step)
        if step.stale is not None:
            self._say_stale(partition, command, step.stale, outbox)
            log.debug(
                "command_stale",
                execution_id=step.execution.id,
                command=_name(command),
                reason=step.stale,
            )
        outbox.add_step(
            partition.number,
            step,
            _name(command),
            getattr(command, "command_id", None),
            getattr(command, "positions", ()),
        )
        for flow in step.flows:
            self._world.stage(flow)
            self._limit(partition, flow, outbox)
        if step.events:
            partition.accept(step)

    def _limit(self, partition: Partition, saved: FlowRevision, outbox: Outbox) -> None:
        is_flow = not (saved.deleted or saved.purged or is_dashboard(saved.tenant))
        if is_flow and partition.slots:
            slots.flow_saved(partition, self._world.parsed(saved), self._world.now_us(), outbox)

    def _say_stale(self, partition: Partition, command: Any, reason: str, outbox: Outbox) -> None:
        """Tell whoever waits for a command that nothing had to change."""
        command_id = getattr(command, "command_id", None)
        if command_id is not None:
            outbox.add_rejection(
                partition.number,
                e.CommandRejected(
                    execution_id=self._subject(command),
                    command_id=command_id,
                    cause=_name(command),
                    reason=reason,
                    kind="STALE",
                    at_us=self._world.now_us(),
                ),
            )

    def _reject(
        self, partition: Partition, command: Any, rejection: Rejected, outbox: Outbox
    ) -> None:
        self._tally.refused(_name(command))
        command_id = getattr(command, "command_id", None)
        subject = self._subject(command)
        self._tell_parent(command, str(rejection), outbox)
        log.info(
            "command_rejected", execution_id=subject, command=_name(command), reason=str(rejection)
        )
        if command_id is None:
            return
        outbox.add_rejection(
            partition.number,
            e.CommandRejected(
                execution_id=subject,
                command_id=command_id,
                cause=_name(command),
                reason=str(rejection),
                kind=rejection.kind,
                at_us=self._world.now_us(),
            ),
        )

    @staticmethod
    def _tell_parent(command: Any, reason: str, outbox: Outbox) -> None:
        """An execution that does not come to be must not be waited for."""
        starts = isinstance(command, c.CreateExecution | c.RestartExecution)
        if starts and command.reply_to is not None:
            to = command.reply_to
            if to.trigger:
                outbox.add_command(*trigger_ended(to.trigger, command.execution_id, State.FAILED))
                return
            ended = c.ChildEnded(
                to.execution_id,
                to.task_run_id,
                command.execution_id,
                State.FAILED,
                error=reason,
                index=to.index,
                attempt=to.attempt,
            )
            outbox.add_command(to.execution_id, ended)

    @staticmethod
    def _subject(command: Any) -> str:
        if isinstance(command, _OF_FLOWS):
            return str(FlowKey(command.tenant, command.namespace, command.flow_id))
        subject: str = command.execution_id
        return subject

    def _abort(
        self,
        partition: Partition,
        execution: Execution,
        command: Any,
        error: Exception,
        outbox: Outbox,
    ) -> str:
        """A command that breaks the engine ends its own execution, and nothing else."""
        self._tally.refused(_name(command))
        reason = f"{type(error).__name__}: {error}"
        if execution.exists and not execution.is_ended and execution.state != State.KILLING:
            step = Step(execution, self._world.now_us())
            abort(step, f"The engine could not go on after {_name(command)}: {reason}")
            outbox.add_step(partition.number, step, "Abort", None, ())
            partition.accept(step)
        elif not execution.exists:
            self._tell_parent(command, reason, outbox)
        return reason


def _name(command: Any) -> str:
    return type(command).__name__
