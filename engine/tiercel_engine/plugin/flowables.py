"""The properties of every flowable task.

Only what an author writes and which tasks lie inside; how they run is `execution.flowable`'s.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, Field, model_validator

from tiercel_engine.flow.base import Part, Rule, Text
from tiercel_engine.flow.input_base import Input
from tiercel_engine.flow.input_types import AnyInput, leaves
from tiercel_engine.flow.model import Output
from tiercel_engine.flow.order import cycle_among
from tiercel_engine.flow.task import AnyTask, DurationS, Task
from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.plugin.base import EngineTask, FlowableTask
from tiercel_engine.plugin.child_flows import ForEachItem, Subflow

_NEW = "io.kestra.plugin.core.flow."
_OLD = "io.kestra.core.tasks.flows."

#: Values to go through: a list, a map, or the text of a template that gives one.
Values = list[Any] | dict[str, Any] | Text
Tasks = Annotated[list[AnyTask], Field(min_length=1)]


class Block(FlowableTask):
    """What has tasks inside may have tasks for its failure and for its end."""

    errors: list[AnyTask] = Field([])
    finally_: list[AnyTask] = Field([], alias="finally")

    def branches(self) -> dict[str, list[Task]]:
        """The lists of tasks of its normal course, by branch name."""
        return {}

    def child_lists(self) -> dict[str, list[Task]]:
        """`branches` and, when there are any, `errors` and `finally`."""
        ends = {"errors": self.errors, "finally": self.finally_}
        return {**self.branches(), **{name: tasks for name, tasks in ends.items() if tasks}}


class TaskBlock(Block):
    """A block with one list of tasks."""

    tasks: Tasks

    def branches(self) -> dict[str, list[Task]]:
        return {"tasks": self.tasks}


class Sequential(TaskBlock):
    """Runs its tasks one after the other."""

    TYPE: ClassVar[str] = _NEW + "Sequential"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "Sequential",)


class AllowFailure(TaskBlock):
    """Runs its tasks one after the other; a failure of the block is a warning."""

    TYPE: ClassVar[str] = _NEW + "AllowFailure"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "AllowFailure",)


ChildFailure = Literal["CONTINUE", "CANCEL", "FAIL", "CANCELLED", "FAILED"]


class Parallel(TaskBlock):
    """Runs its tasks at the same time."""

    TYPE: ClassVar[str] = _NEW + "Parallel"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "Parallel",)

    #: How many at once; 0 for all.
    concurrent: int = Field(0, ge=0)
    on_child_failure: ChildFailure | None = Field(None, alias="onChildFailure")


class DagTask(Part):
    """A task of a Dag and the ids of those that must have ended before it starts."""

    PEER_NAME: ClassVar[str] = _NEW + "Dag$DagTask"

    task: AnyTask
    depends_on: list[str] = Field([], alias="dependsOn")


class Dag(Block):
    """Runs each task as soon as all that it depends on have ended."""

    TYPE: ClassVar[str] = _NEW + "Dag"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "Dag",)

    tasks: list[DagTask] = Field(min_length=1)
    concurrent: int = Field(0, ge=0)
    on_child_failure: ChildFailure | None = Field(None, alias="onChildFailure")

    def branches(self) -> dict[str, list[Task]]:
        return {"tasks": [entry.task for entry in self.tasks]}

    @model_validator(mode="after")
    def _order_holds(self) -> Dag:
        needs = {entry.task.id: entry.depends_on for entry in self.tasks}
        unknown = sorted({name for names in needs.values() for name in names} - needs.keys())
        if unknown:
            raise Rule(f"{self.id}: Not existing task id in dependency: {', '.join(unknown)}")
        cycle = cycle_among(needs)
        if cycle:
            raise Rule(f"{self.id}: Cyclic dependency detected: {', '.join(cycle)}")
        return self


class If(Block):
    """Runs `then` when the condition holds, else `else`."""

    TYPE: ClassVar[str] = _NEW + "If"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "If",)

    condition: Text
    then: Tasks
    else_: list[AnyTask] = Field([], alias="else")

    def branches(self) -> dict[str, list[Task]]:
        return {"then": self.then, **({"else": self.else_} if self.else_ else {})}


class Switch(Block):
    """Runs the case that its value names, else `defaults`."""

    TYPE: ClassVar[str] = _NEW + "Switch"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "Switch",)

    value: Text
    cases: dict[str, list[AnyTask]] = Field({})
    defaults: list[AnyTask] = Field([])

    def branches(self) -> dict[str, list[Task]]:
        cases = {f"cases.{name}": tasks for name, tasks in self.cases.items()}
        return {**cases, **({"defaults": self.defaults} if self.defaults else {})}

    @model_validator(mode="after")
    def _has_tasks(self) -> Switch:
        if not self.cases and not self.defaults:
            raise Rule("No task defined, neither cases or default have any tasks")
        return self


class EachSequential(TaskBlock):
    """Runs its tasks for each value, one value after the other (deprecated)."""

    TYPE: ClassVar[str] = _NEW + "EachSequential"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "EachSequential",)
    DEPRECATED: ClassVar[bool] = True

    value: Values


class EachParallel(TaskBlock):
    """Runs its tasks for all values at the same time (deprecated)."""

    TYPE: ClassVar[str] = _NEW + "EachParallel"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "EachParallel",)
    DEPRECATED: ClassVar[bool] = True

    value: Values
    concurrent: int = Field(0, ge=0)


class ForEach(TaskBlock):
    """Runs its tasks for each value; inside one value they are sequential."""

    TYPE: ClassVar[str] = _NEW + "ForEach"

    values: Values
    #: How many values at once; 0 for all.
    concurrency_limit: int = Field(1, ge=0, alias="concurrencyLimit")


class Loop(TaskBlock):
    """Runs its tasks for each value, each in an execution of its own (dialect 2.0)."""

    TYPE: ClassVar[str] = _NEW + "Loop"

    values: Values
    #: How many values at once; 0 for all; None: as the dialect has it.
    concurrency_limit: int | None = Field(None, ge=0, alias="concurrencyLimit")
    transmit_failed: bool = Field(True, alias="transmitFailed")
    outputs: list[Output] = Field([])
    fetch_type: Literal["AUTO", "FETCH", "STORE"] = Field("AUTO", alias="fetchType")
    break_when: Text | None = Field(None, alias="breakWhen")


class CheckFrequency(Part):
    """How often a loop may go round. What is None depends on the dialect."""

    PEER_NAME: ClassVar[str] = _NEW + "LoopUntil$CheckFrequency"

    max_iterations: int | Text | None = Field(None, alias="maxIterations")
    max_duration: DurationS | None = Field(None, alias="maxDuration")
    interval: DurationS | None = None


class LoopUntil(TaskBlock):
    """Runs its tasks again and again until the condition holds."""

    TYPE: ClassVar[str] = _NEW + "LoopUntil"
    ALIASES: ClassVar[tuple[str, ...]] = (_NEW + "WaitFor",)

    condition: Text
    check_frequency: CheckFrequency | None = Field(None, alias="checkFrequency")
    fail_on_max_reached: bool = Field(False, alias="failOnMaxReached")


class Pause(Block):
    """Waits for a resume, for a time, or for the tasks of its old form."""

    TYPE: ClassVar[str] = _NEW + "Pause"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "Pause",)

    #: A duration or a template of one.
    pause_duration: Text | float | None = Field(
        None, validation_alias=AliasChoices("pauseDuration", "delay")
    )
    behavior: Literal["RESUME", "WARN", "FAIL", "CANCEL"] = "RESUME"
    on_resume: list[AnyInput] = Field([], alias="onResume")
    on_pause: AnyTask | None = Field(None, alias="onPause")
    tasks: list[AnyTask] = Field([])

    @property
    def asked(self) -> list[Input]:
        """What a resume gives values for; those in forms instead of the forms."""
        return leaves(self.on_resume)

    def branches(self) -> dict[str, list[Task]]:
        on_pause = {"onPause": [self.on_pause]} if self.on_pause is not None else {}
        return {**on_pause, **({"tasks": self.tasks} if self.tasks else {})}


class NamespaceFiles(Part):
    """Which files of the namespace are put into the working directory."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.tasks.NamespaceFiles"

    enabled: bool | Text = True
    include: list[str] | Text | None = None
    exclude: list[str] | Text | None = None
    namespaces: list[str] | Text | None = None
    folder_per_namespace: bool | Text = Field(False, alias="folderPerNamespace")
    if_exists: Text | None = Field(None, alias="ifExists")


class Cache(Part):
    """Files of the working directory that are kept for the next execution."""

    PEER_NAME: ClassVar[str] = _NEW + "WorkingDirectory$Cache"

    patterns: list[str]
    ttl: DurationS | None = None


def _runs_on_a_worker(task: Task) -> bool:
    if isinstance(task, EngineTask):
        return not task.UPDATES_EXECUTION
    return not isinstance(task, FlowableTask)


class WorkingDirectory(TaskBlock):
    """Runs its tasks one after the other, on one worker, in one folder."""

    TYPE: ClassVar[str] = _NEW + "WorkingDirectory"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "WorkingDirectory", _OLD + "Worker")

    namespace_files: NamespaceFiles | None = Field(None, alias="namespaceFiles")
    input_files: dict[str, Any] | Text | None = Field(None, alias="inputFiles")
    output_files: list[str] | Text | None = Field(None, alias="outputFiles")
    cache: Cache | None = None

    @model_validator(mode="after")
    def _children_run_on_a_worker(self) -> WorkingDirectory:
        if any(not _runs_on_a_worker(task) for task in self.tasks):
            raise Rule("Only runnable tasks are allowed as children of a WorkingDirectory task")
        if any(task.worker_group is not None for task in self.tasks):
            raise Rule(
                "Cannot set a Worker Group in any WorkingDirectory sub-tasks, it is only supported"
                " at the WorkingDirectory level"
            )
        return self


class Template(FlowableTask):
    """Runs the tasks of a template one after the other (deprecated)."""

    TYPE: ClassVar[str] = _NEW + "Template"
    ALIASES: ClassVar[tuple[str, ...]] = (_OLD + "Template",)
    DEPRECATED: ClassVar[bool] = True

    namespace: Text
    template_id: Text = Field(alias="templateId")
    args: dict[str, Any] = Field({})


PLUGINS: tuple[type[Task | Trigger], ...] = (
    AllowFailure,
    Dag,
    EachParallel,
    EachSequential,
    ForEach,
    ForEachItem,
    If,
    Loop,
    LoopUntil,
    Parallel,
    Pause,
    Sequential,
    Subflow,
    Switch,
    Template,
    WorkingDirectory,
)
