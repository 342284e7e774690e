"""What becomes runnable next, until nothing changes any more.

Theory of operation. A list of tasks belongs to a parent: a flowable's task run, or the flow
itself (""). When a task run ends, its parent is asked again: it starts children, waits, or ends,
and then its own parent is asked. Every question is answered from counters, so a transition costs
the same in an execution with ten task runs and in one with a hundred thousand.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tiercel_engine.errors import InvalidExpression, TaskError
from tiercel_engine.execution.flowable import RESOLVERS
from tiercel_engine.execution.flowable.base import (
    Child,
    Decision,
    End,
    Resolver,
    Scope,
    Start,
)
from tiercel_engine.execution.flowable.sequential import Sequential
from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.plan import ROOT, Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.variables import decoded, flow_variables, job_variables
from tiercel_engine.execution.world import World
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.base import FlowableTask
from tiercel_schemas import events as e
from tiercel_schemas.common import Payload
from tiercel_schemas.jobs import TaskJob
from tiercel_schemas.state import State, is_terminated

#: A job's task and variables together; above it the task fails loudly instead of being sent.
JOB_BYTES_MAX = 900_000

#: Values in one event, so that a long list spreads over several records.
VALUES_PER_EVENT = 2_000

_ROOT_RESOLVER = Sequential()

#: Whom to ask: (parent's task run id or `ROOT`, branch of the child that has ended or "").
Asked = tuple[str, str]


class _Rendering:
    """Renders with the variables of one task run, which are put together at the first template."""

    def __init__(self, step: Step, plan: Plan, world: World, run_id: str, task: Task) -> None:
        self._step, self._plan, self._world = step, plan, world
        self._run_id, self._task = run_id, task
        self._variables: dict[str, Any] | None = None

    def _all(self) -> dict[str, Any]:
        if self._variables is None:
            x = self._step.execution
            run = x.task_runs[self._run_id]
            refers = self._plan.references(self._task)
            self._variables = decoded(job_variables(x, self._plan, self._task, run, refers))
        return self._variables

    def text(self, template: str) -> str:
        return self._world.renderer.text(template, self._all())

    def value(self, template: Any) -> Any:
        return self._world.renderer.value(template, self._all())

    def truthy(self, template: Any) -> bool:
        return self._world.renderer.truthy(template, self._all())


def begin(step: Step, plan: Plan, world: World) -> None:
    """Let a created or restarted execution run."""
    step.emit(e.ExecutionStateChanged(State.RUNNING))
    advance(step, plan, world, (ROOT, ""))


def advance(step: Step, plan: Plan, world: World, *asked: Asked) -> None:
    """Ask these parents, and whoever follows from their answers, how they go on.

    Args:
        asked: (parent's task run id or `ROOT`, branch of the child that has ended or "").
    """
    pending = list(asked)
    while pending and step.execution.state in (State.RUNNING, State.RETRYING):
        parent_id, changed = pending.pop()
        if parent_id != ROOT and is_terminated(step.execution.task_runs[parent_id].state):
            continue
        match _decide(step.execution, plan, parent_id, changed):
            case Start(children, more):
                pending += _start(step, plan, world, parent_id, children)
                if more:
                    step.unfinished.append(parent_id)
            case End(state):
                pending += _end(step, plan, world, parent_id, state)
    if step.execution.state == State.RETRYING and step.execution.leased:
        step.emit(e.ExecutionStateChanged(State.RUNNING))


def _decide(execution: Execution, plan: Plan, parent_id: str, changed: str) -> Decision:
    task: Task | None = None
    outputs: dict[str, Any] = {}
    resolver: Resolver = _ROOT_RESOLVER
    if parent_id != ROOT:
        run = execution.task_runs[parent_id]
        task = plan.task(run.task_id)
        assert task is not None, f"Expected task {run.task_id} in its flow's revision."
        resolver = RESOLVERS[task.TYPE]
        if run.outputs is not None and run.outputs.json:
            outputs = msgspec.json.decode(run.outputs.json)
    parent_task_id = ROOT if task is None else task.id
    path = execution.task_runs[parent_id].path if parent_id != ROOT else ()

    def newest(task_id: str) -> TaskRun | None:
        runs = execution.valued_runs.get(task_id) if path else None
        found = execution.runs_of_task.get(task_id) if runs is None else runs.get(path)
        run = execution.task_runs.get(found) if found is not None else None
        return run if run is not None and run.parent_id == parent_id else None

    def has_ended(task_id: str) -> bool:
        run = newest(task_id)
        return run is not None and is_terminated(run.state)

    return resolver.decide(
        Scope(
            task=task,
            tasks=lambda branch: plan.tasks(parent_task_id, branch),
            block=lambda branch: execution.block(parent_id, branch),
            has_started=lambda task_id: newest(task_id) is not None,
            has_ended=has_ended,
            outputs=outputs,
            values=execution.values.get(parent_id, ()),
            changed=changed,
        )
    )


def _start(
    step: Step, plan: Plan, world: World, parent_id: str, children: tuple[Child, ...]
) -> list[Asked]:
    """Create the children; returns whom to ask next."""
    ask: list[Asked] = []
    for child in children:
        run_id = world.new_id()
        parent = step.execution.task_runs.get(parent_id)
        step.emit(
            e.TaskRunCreated(
                task_run_id=run_id,
                task_id=child.task.id,
                parent_task_run_id=parent_id or None,
                branch=child.branch,
                value=parent.value if child.value is None and parent else child.value,
                iteration=child.iteration,
            )
        )
        if not _may_run(step, plan, world, run_id, child.task):
            ask.append((parent_id, child.branch))
        elif isinstance(child.task, FlowableTask):
            ask.append(_open(step, plan, world, run_id, child.task))
        else:
            submit(step, plan, world, run_id, child.task)
            if run_id not in step.execution.leased:
                ask.append((parent_id, child.branch))
    return ask


def _open(step: Step, plan: Plan, world: World, run_id: str, task: Task) -> Asked:
    """Start a flowable: it runs in the executor and is asked at once."""
    run = step.execution.task_runs[run_id]
    resolver = RESOLVERS.get(task.TYPE)
    try:
        if resolver is None:
            raise TaskError(f"The flowable task {task.type} is not supported by this version.")
        opening = resolver.open(task, _Rendering(step, plan, world, run_id, task))
    except (InvalidExpression, TaskError) as error:
        step.log("ERROR", str(error), run_id)
        step.emit(e.TaskRunStateChanged(run_id, State.RUNNING))
        state = allowed(task, State.FAILED)
        step.emit(e.TaskRunStateChanged(run_id, state, reason=str(error)))
        return run.parent_id, run.branch
    outputs = None
    if opening.outputs is not None:
        outputs = Payload(json=msgspec.json.encode(opening.outputs).decode())
    step.emit(e.TaskRunStateChanged(run_id, State.RUNNING, outputs=outputs))
    for first in range(0, len(opening.values), VALUES_PER_EVENT):
        values = opening.values[first : first + VALUES_PER_EVENT]
        step.emit(e.ValuesResolved(run_id, values))
    return run_id, ""


def _may_run(step: Step, plan: Plan, world: World, run_id: str, task: Task) -> bool:
    """Evaluate `runIf`: falsy ends the run SKIPPED, an error FAILED."""
    if task.run_if is True or task.run_if == "true":
        return True
    try:
        if _Rendering(step, plan, world, run_id, task).truthy(task.run_if):
            return True
    except InvalidExpression as error:
        step.log("ERROR", str(error), run_id)
        step.emit(e.TaskRunStateChanged(run_id, State.FAILED, reason=str(error)))
        return False
    step.emit(e.TaskRunStateChanged(run_id, State.SKIPPED))
    return False


def submit(step: Step, plan: Plan, world: World, run_id: str, task: Task) -> None:
    """Send a job for the run's next attempt; a job that is too large fails the run instead."""
    attempt = step.execution.task_runs[run_id].attempt + 1
    _send(step, plan, run_id, task, attempt, epoch=1)


def resubmit(step: Step, plan: Plan, run_id: str, task: Task) -> None:
    """Send the same attempt again under the next epoch; whoever held it is told to stop."""
    run = step.execution.task_runs[run_id]
    step.revoke(run_id, run.attempt, run.epoch, "SUPERSEDED", None)
    _send(step, plan, run_id, task, run.attempt, run.epoch + 1)


def _send(step: Step, plan: Plan, run_id: str, task: Task, attempt: int, epoch: int) -> None:
    before = step.execution.task_runs[run_id]
    step.emit(e.AttemptSubmitted(task_run_id=run_id, attempt=attempt, epoch=epoch))
    x = step.execution
    run = x.task_runs[run_id]
    variables = job_variables(x, plan, task, run, plan.references(task))
    text = msgspec.json.encode(variables).decode()
    task_json = plan.task_json(task)
    if len(text) + len(task_json) > JOB_BYTES_MAX:
        message = (
            f"Expected the variables of task {task.id} to take at most {JOB_BYTES_MAX} bytes, but "
            f"they take {len(text) + len(task_json)}. Pass large values as files of internal "
            "storage."
        )
        step.log("ERROR", message, run_id)
        _fail_unsent(step, run, before.ended_us or step.at_us, message)
        return
    step.jobs.append(
        TaskJob(
            execution_id=x.id,
            task_run_id=run_id,
            attempt=attempt,
            epoch=epoch,
            tenant=x.tenant,
            namespace=x.namespace,
            flow_id=x.flow_id,
            flow_revision=x.flow_revision,
            task_id=task.id,
            task_json=task_json,
            variables=Payload(json=text),
            value=run.value,
            submitted_us=step.at_us,
            trace_parent=x.trace_parent,
        )
    )


def _fail_unsent(step: Step, run: TaskRun, started_us: int, message: str) -> None:
    step.emit(
        e.AttemptEnded(
            task_run_id=run.id,
            attempt=run.attempt,
            epoch=run.epoch,
            state=State.FAILED,
            started_us=started_us,
            ended_us=step.at_us,
            error=message,
        )
    )


def _end(step: Step, plan: Plan, world: World, parent_id: str, state: str) -> list[Asked]:
    """End a flowable or the execution; returns whom to ask next."""
    if parent_id == ROOT:
        _finish(step, plan, world, state)
        return []
    run = step.execution.task_runs[parent_id]
    task = plan.task(run.task_id)
    assert task is not None, f"Expected task {run.task_id} in its flow's revision."
    step.emit(e.TaskRunStateChanged(parent_id, allowed(task, state)))
    return [(run.parent_id, run.branch)]


def allowed(task: Task, state: str) -> str:
    """The final state after `allowFailure` and `allowWarning` (features.md, Final state)."""
    if state == State.FAILED and task.allow_failure:
        state = State.WARNING
    if state == State.WARNING and task.allow_warning:
        state = State.SUCCESS
    return state


def _finish(step: Step, plan: Plan, world: World, state: str) -> None:
    """End the execution: render the flow's outputs, take the final state."""
    outputs = plan.flow.outputs
    if outputs:
        refers = plan.output_references()
        variables = decoded(flow_variables(step.execution, plan, refers))
        try:
            values = {o.id: world.renderer.value(o.value, variables) for o in outputs}
        except InvalidExpression as error:
            if state != State.FAILED:
                step.log("ERROR", f"Failed to render output values: {error}")
                state = State.FAILED
        else:
            text = msgspec.json.encode(values).decode()
            step.emit(e.ExecutionOutputsSet(Payload(json=text)))
    step.emit(e.ExecutionStateChanged(state))
