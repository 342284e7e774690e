"""A flow revision prepared for running: what `advance` asks again and again, worked out once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tiercel_engine.expression.analysis import References, analyse
from tiercel_engine.expression.server import ServerVariables
from tiercel_engine.flow.input_types import SecretInput
from tiercel_engine.flow.model import Flow, Output
from tiercel_engine.flow.task import RetryPolicy, Task
from tiercel_engine.plugin.flowables import Loop, Template, WorkingDirectory
from tiercel_schemas.common import LoopRun

#: The parent id of what belongs to the flow itself.
ROOT = ""
#: The flow's list of tasks that run after its end.
AFTER_BRANCH = "afterExecution"


def listener_branch(number: int) -> str:
    """The name of the list of a listener's tasks; the first has number 0."""
    return f"listeners.{number}"


class Plan:
    """Lists of enabled tasks by parent and branch, retry policies, static analyses."""

    def __init__(self, flow: Flow, server: ServerVariables | None = None) -> None:
        self.flow = flow
        # Asked for each task run; a private attribute of a pydantic model takes 2 us to reach.
        self.dialect = flow.dialect
        self._tasks = {task.id: task for task in reversed([*flow.all_tasks()])}
        #: What the flow's templates see of the server.
        self.server = server or ServerVariables()
        self._lists: dict[tuple[str, str], tuple[Task, ...]] = {}
        self._retries: dict[str, RetryPolicy | None] = {}
        self._references: dict[str, References] = {}
        self._inner: dict[str, References] = {}
        self._in_folders: set[str] = set()
        self._json: dict[str, str] = {}
        self._loops: dict[str, Plan] = {}
        #: Its tasks that take their tasks from a template.
        self.templates = tuple(t for t in self._tasks.values() if isinstance(t, Template))
        #: The templates whose tasks are in it, by namespace and id.
        self.opened: dict[tuple[str, str], Flow] = {}
        #: This plan, however many templates' tasks are in it; see `execution.templates`.
        self.bare: Plan = self
        self._grown: dict[tuple[str, ...], Plan] = {}
        #: What an execution gives back.
        self.outputs: Sequence[Output] = flow.outputs
        self._vars_json: str | None = None
        self._positions: dict[str, int] | None = None
        #: Paths of the inputs that executions keep sealed.
        self.secret_inputs = tuple(
            ("inputs", *each.id.split(".")) for each in flow.inputs if isinstance(each, SecretInput)
        )
        top = {
            "tasks": flow.tasks,
            "errors": flow.errors,
            "finally": flow.finally_,
            **{listener_branch(i): each.tasks for i, each in enumerate(flow.listeners)},
            AFTER_BRANCH: flow.after_execution,
        }
        self._index(ROOT, top, flow.retry)

    def _index(
        self, parent: str, lists: dict[str, list[Task]], inherited: RetryPolicy | None
    ) -> None:
        for branch, tasks in lists.items():
            self._lists[parent, branch] = tuple(task for task in tasks if not task.disabled)
            for task in tasks:
                self._retries[task.id] = task.retry or inherited
                self._index(task.id, task.child_lists(), task.retry or inherited)
                if isinstance(task, WorkingDirectory):
                    self._in_folders.update(inner.id for inner in task.tasks)

    def position(self, task_id: str) -> int:
        """Where a task stands in the flow, parents before what is in them; unknown ones last."""
        if self._positions is None:
            self._positions = {task.id: i for i, task in enumerate(self.flow.all_tasks())}
        return self._positions.get(task_id, len(self._positions))

    def tasks(self, parent_task_id: str, branch: str) -> tuple[Task, ...]:
        """The enabled tasks of one list; `parent_task_id` is `ROOT` for the flow's own."""
        return self._lists.get((parent_task_id, branch), ())

    def of(self, loop: LoopRun | None) -> Plan:
        """The plan of one time through a Loop, when that is what an execution is."""
        if loop is None:
            return self
        found = self._loops.get(loop.task_id)
        if found is None:
            found = self._loops[loop.task_id] = LoopPlan(self, loop.task_id)
        return found

    def inner_references(self, task: Task) -> References:
        """What the templates of a task and of all tasks inside it refer to."""
        found = self._inner.get(task.id)
        if found is None:
            found = self._inner[task.id] = analyse(task.properties)
        return found

    def task(self, task_id: str) -> Task | None:
        """The task with this id, at any depth."""
        return self._tasks.get(task_id)

    def is_in_folder(self, task_id: str) -> bool:
        """Whether it runs in the folder of a WorkingDirectory."""
        return task_id in self._in_folders

    def retry(self, task_id: str) -> RetryPolicy | None:
        """The task's retry policy, else its nearest flowable's, else the flow's."""
        return self._retries.get(task_id)

    def references(self, task: Task) -> References:
        """What the task's own templates refer to; those of tasks inside it do not count."""
        found = self._references.get(task.id)
        if found is None:
            inside = {branch.partition(".")[0] for branch in task.child_lists()}
            own = {name: value for name, value in task.properties.items() if name not in inside}
            found = self._references[task.id] = analyse(own)
        return found

    def reads_secret(self, refers: References) -> bool:
        """Whether sealed inputs may be among what templates refer to."""
        return bool(self.secret_inputs) and (
            refers.dynamic
            or any(
                path[: len(secret)] == secret[: len(path)]
                for path in refers.paths
                for secret in self.secret_inputs
            )
        )

    def output_references(self) -> References:
        """What the templates of the flow's outputs refer to."""
        found = self._references.get(ROOT)
        if found is None:
            values = [output.value for output in self.outputs]
            found = self._references[ROOT] = analyse(values)
        return found

    def task_json(self, task: Task) -> str:
        """The task's properties as JSON text, as a job carries them."""
        text = self._json.get(task.id)
        if text is None:
            text = self._json[task.id] = msgspec.json.encode(task.properties).decode()
        return text

    def vars_json(self) -> str:
        """The flow's variables as JSON text."""
        if self._vars_json is None:
            self._vars_json = msgspec.json.encode(self.flow.variables).decode()
        return self._vars_json


class LoopPlan(Plan):
    """The same revision as one time through a Loop sees it: the Loop's lists are its own."""

    def __init__(self, whole: Plan, task_id: str) -> None:
        self.__dict__.update(whole.__dict__)
        self._references = dict(whole._references)
        self._references.pop(ROOT, None)
        loop = whole.task(task_id)
        self.bare, self._grown = self, {}
        self.outputs = loop.outputs if isinstance(loop, Loop) else []
        inside = {
            branch: tasks for (parent, branch), tasks in whole._lists.items() if parent == task_id
        }
        self._lists = {key: tasks for key, tasks in whole._lists.items() if key[0] != ROOT}
        self._lists |= {(ROOT, branch): tasks for branch, tasks in inside.items()}
