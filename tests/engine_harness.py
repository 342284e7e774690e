"""Drives the execution core without a log: commands in, events out, time standing still."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from tiercel_engine.clock import FakeClock
from tiercel_engine.errors import Rejected
from tiercel_engine.execution.apply import fold
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.process import process
from tiercel_engine.execution.skips import NO_SKIPS
from tiercel_engine.execution.step import Step
from tiercel_engine.expression.quick import QuickRenderer
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.parse import load_flow
from tiercel_engine.plugin import executions, flowables
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_schemas import commands as c
from tiercel_schemas import events as e
from tiercel_schemas.common import ChildPositions, Payload, PositionRange
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey, template_key

EXECUTION = "0" * 21 + "X"


class Work(RunnableTask):
    """A task whose result the test decides."""

    TYPE: ClassVar[str] = "test.Work"

    message: str | None = None

    def run(self, context: RunContext) -> dict[str, Any]:
        raise AssertionError("the harness runs no task")


def registry() -> PluginRegistry:
    """Flowables, engine tasks and `test.Work`."""
    types = PluginRegistry()
    for plugin in (*flowables.PLUGINS, *executions.PLUGINS):
        types.register(plugin)
    types.register(Work)
    return types


class StillWorld:
    """A world whose time and chance the test holds in its hands."""

    def __init__(self, clock: FakeClock, flows: Iterable[Flow] = ()) -> None:
        self.clock = clock
        self.renderer = QuickRenderer()
        self.skips = NO_SKIPS
        self.rng = random.Random(1)
        self.keeps_templates = False
        self.plans = {(FlowKey("main", f.namespace, f.id), f.revision): Plan(f) for f in flows}
        self.ids = 0
        self.groups = {"gpu"}
        self.seal: Callable[[str], Any] | None = lambda text: {"sealed": text}
        self.unseal: Callable[[Mapping[str, Any]], str] | None = lambda sealed: sealed["sealed"]

    def now_us(self) -> int:
        return self.clock.now_us()

    def has_workers(self, group: str) -> bool:
        return group in self.groups

    def new_id(self) -> str:
        self.ids += 1
        return f"run{self.ids:04}"

    def random(self) -> float:
        return self.rng.random()

    def plan(self, key: FlowKey, revision: int | None) -> Plan | None:
        if revision is None:
            revision = self.latest_revision(key)
        return self.plans.get((key, revision))

    def latest_revision(self, key: FlowKey) -> int:
        return max((r for k, r in self.plans if k == key), default=0)

    def revision(self, key: FlowKey, number: int) -> FlowRevision | None:
        return None

    def missing(self, key: FlowKey, revision: int | None) -> str:
        return f"There is no revision {revision} of the flow {key.namespace}.{key.flow_id}."

    def is_deleted(self, key: FlowKey) -> bool:
        return self.latest_revision(key) == 0

    def problem_with(self, revision: FlowRevision) -> str | None:
        return None


class Engine:
    """One execution of one flow. Every step is checked: folding its events gives its state.

    Args:
        source: the flow; others that it starts executions of follow, divided by `---`.
    """

    def __init__(self, source: str) -> None:
        self.clock = FakeClock()
        self.flow, *others = [load_flow(text, registry()) for text in source.split("\n---\n")]
        self.world = StillWorld(self.clock, [self.flow, *others])
        for text, flow in zip(source.split("\n---\n")[1:], others, strict=True):
            if text.startswith("# template"):
                self.world.keeps_templates = True
                key = template_key("main", flow.namespace, flow.id)
                self.world.plans[key, flow.revision] = Plan(flow)
        self.execution = Execution(EXECUTION)
        self.events: list[e.Event] = []
        self.jobs: list[Any] = []
        self.follow_ups: list[Any] = []
        self.commands: list[Any] = []
        self.copies: list[Any] = []
        self.metrics: list[Any] = []
        self.last: Step | None = None

    def do(self, command: Any) -> Step:
        """Process a command and take its outcome over."""
        step = process(self.execution, command, self.world)
        if step.events:
            batch = e.EventBatch(
                execution_id=EXECUTION,
                first_seq=step.first_sequence,
                at_us=step.at_us,
                cause=type(command).__name__,
                events=tuple(step.events),
            )
            assert fold(self.execution, batch) == step.execution
        self.execution = step.execution
        self.events += step.events
        self.jobs += step.jobs
        self.follow_ups += step.follow_ups
        self.metrics += step.metrics
        self.commands += [command for _, command in step.commands]
        self.last = step
        return step

    def create(self, **changes: Any) -> Step:
        """Start the flow."""
        return self.do(
            c.CreateExecution(
                command_id="create",
                execution_id=EXECUTION,
                namespace=self.flow.namespace,
                flow_id=self.flow.id,
                created_us=self.clock.now_us(),
                **{"inputs": Payload(json="{}"), "trigger": Payload(), **changes},
            )
        )

    def run_of(self, task_id: str) -> Any:
        """The newest task run of a task."""
        return self.execution.task_runs[self.execution.runs_of_task[task_id]]

    def start(self, task_id: str, worker: str = "w1", epoch: int | None = None) -> Step:
        """A worker starts the newest attempt of a task."""
        run = self.execution.lease(self.run_of(task_id).id)
        assert run is not None
        return self.do(
            c.StartAttempt(
                execution_id=EXECUTION,
                task_run_id=run.id,
                attempt=run.attempt,
                epoch=epoch or run.epoch,
                worker_id=worker,
                started_us=self.clock.now_us(),
            )
        )

    def end(
        self,
        task_id: str,
        state: str = "SUCCESS",
        worker: str = "w1",
        outputs: str | None = None,
        epoch: int | None = None,
        effects_json: str | None = None,
    ) -> Step:
        """A worker reports the end of the newest attempt of a task."""
        run = self.run_of(task_id)
        now_us = self.clock.now_us()
        return self.do(
            c.EndAttempt(
                execution_id=EXECUTION,
                task_run_id=run.id,
                attempt=run.attempt,
                epoch=epoch or run.epoch,
                worker_id=worker,
                state=state,
                outputs=Payload(json=outputs or "{}"),
                started_us=now_us,
                ended_us=now_us,
                error="it failed" if state == "FAILED" else None,
                effects_json=effects_json,
            )
        )

    def answer(self, task_id: str | None, value: str, state: str = "SUCCESS") -> Step:
        """A worker has rendered the template that is out for a task, or for the flow (None).

        `value`: JSON, or the error when the state is FAILED.
        """
        owner = self.run_of(task_id).id if task_id is not None else ""
        evaluation = self.execution.evaluations[owner]
        now_us = self.clock.now_us()
        failed = state == "FAILED"
        return self.do(
            c.EndAttempt(
                execution_id=EXECUTION,
                task_run_id=owner,
                attempt=evaluation.attempt,
                epoch=evaluation.epoch,
                worker_id="w1",
                state=state,
                outputs=None if failed else Payload(json=f'{{"value":{value}}}'),
                started_us=now_us,
                ended_us=now_us,
                error=value if failed else None,
            )
        )

    def run(
        self, task_id: str, state: str = "SUCCESS", worker: str = "w1", **result: str | None
    ) -> Step:
        """Start and end the newest attempt of a task."""
        self.start(task_id, worker)
        return self.end(task_id, state, worker, **result)

    def rejected(self, command: Any) -> str:
        """The reason for which a command is refused."""
        try:
            self.do(command)
        except Rejected as rejection:
            return str(rejection)
        raise AssertionError(f"Expected {command} to be rejected, but it was accepted.")

    def kill(self) -> Step:
        return self.do(c.KillExecution(command_id="kill", execution_id=EXECUTION))

    def child(
        self,
        task_id: str,
        state: str = "SUCCESS",
        outputs: str | None = None,
        child_id: str | None = None,
    ) -> Step:
        """The execution that a task started has ended."""
        run = self.run_of(task_id)
        payload = None if outputs is None else Payload(json=outputs)
        to = child_id or run.child_id
        return self.do(c.ChildEnded(EXECUTION, run.id, to, state, payload))

    def item(
        self, task_id: str, index: int, state: str, outputs: str | None = None, attempt: int = 0
    ) -> Step:
        """One of many executions that a task started has ended."""
        run = self.run_of(task_id)
        payload = None if outputs is None else Payload(json=outputs)
        number = attempt or run.attempt
        return self.do(
            c.ChildEnded(
                EXECUTION, run.id, f"item{index}", state, payload, index=index, attempt=number
            )
        )

    def stored(self, task_id: str, chunk: int, state: str = "SUCCESS") -> Step:
        """A worker has stored a set of outputs of executions that a task started."""
        run = self.run_of(task_id)
        now_us = self.clock.now_us()
        return self.do(c.EndAttempt(EXECUTION, run.id, -chunk - 1, 1, "w1", state, now_us, now_us))

    def pause(self) -> Step:
        return self.do(c.PauseExecution(command_id="pause", execution_id=EXECUTION))

    def resume(self, task_id: str | None = None, outputs: str | None = None) -> Step:
        """Resume the paused run of a task, or the first one that there is."""
        run_id = self.run_of(task_id).id if task_id is not None else None
        payload = Payload(json=outputs)
        return self.do(c.ResumeExecution("resume", EXECUTION, payload, run_id))

    def copy(self, task_id: str | None = None, **changes: Any) -> Step:
        """Copy the execution: from its start, from the newest run of a task, from what failed."""
        run_id = None if task_id is None else self.run_of(task_id).id
        now_us = self.clock.now_us()
        command = c.CopyExecution("copy", EXECUTION, EXECUTION, now_us, run_id, **changes)
        step = self.do(command)
        self.copies = [command for _, command in step.commands]
        return step

    def become_copy(self) -> list[Step]:
        """Go on with the copy that was made last, in the place of its source."""
        self.execution = Execution(EXECUTION)
        return [self.do(command) for command in self.copies]

    def restart(self, children: tuple[str, ...] = ()) -> Step:
        """Restart it. `children`: failed executions of its own that the door has found."""
        where = tuple(ChildPositions(child, (PositionRange(1, 2),)) for child in children)
        command = c.RestartExecution(command_id="restart", execution_id=EXECUTION, children=where)
        return self.do(command)
