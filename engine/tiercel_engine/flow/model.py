"""A flow's definition, as its author wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BeforeValidator, Field, PrivateAttr, WithJsonSchema

from tiercel_engine.flow.base import (
    TEXT_TYPES,
    FlowId,
    InputId,
    Namespace,
    Part,
    Rule,
    Text,
    to_text,
)
from tiercel_engine.flow.checks import Check
from tiercel_engine.flow.dialect import DEFAULT, Dialect, dialect_of
from tiercel_engine.flow.input_base import Input
from tiercel_engine.flow.input_types import AnyInput, leaves
from tiercel_engine.flow.task import AnyTask, DurationS, RetryPolicy, Task
from tiercel_engine.flow.trigger import AnyTrigger


def read_labels(value: Any) -> tuple[tuple[str, str], ...]:
    """Labels from a map, or from a list of {key, value}, as pairs in their order.

    Raises:
        Rule: neither, or a label has no text as key or value.
    """
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [
            (item.get("key"), item.get("value"))
            if isinstance(item, dict)
            else (item[0], item[1])
            if isinstance(item, tuple)
            else (None, None)
            for item in value
        ]
    else:
        pairs = [(None, None)]
    labels = []
    for key, text in pairs:
        if not isinstance(key, str) or not key or text is None or isinstance(text, dict | list):
            raise Rule("labels must be a map of texts or a list of {key, value}")
        labels.append((key, str(to_text(text))))
    return tuple(labels)


_LABEL: dict[str, Any] = {"type": TEXT_TYPES}
#: Both ways to write labels, in JSON Schema.
LABELS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "object", "additionalProperties": _LABEL},
        {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["key", "value"],
                "properties": {"key": {"type": "string", "minLength": 1}, "value": _LABEL},
            },
        },
    ]
}
#: (key, value) pairs; written as a map or as a list of {key, value}.
Labels = Annotated[
    tuple[tuple[str, str], ...], BeforeValidator(read_labels), WithJsonSchema(LABELS_SCHEMA)
]


class Output(Part):
    """One output of a flow: a template and the type its value must have."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.Output"

    id: InputId
    type: str = "STRING"
    value: Any = None
    required: bool = True
    description: Text | None = None
    display_name: Text | None = Field(None, alias="displayName")
    item_type: str | None = Field(None, alias="itemType")


class Concurrency(Part):
    """How many executions of the flow run at once, and what happens to one too many."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.Concurrency"

    limit: int = Field(ge=1)
    behavior: Literal["QUEUE", "CANCEL", "FAIL"] = "QUEUE"


class Listener(Part):
    """Tasks that run after the execution ended, when all conditions hold (deprecated)."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.listeners.Listener"

    description: Text | None = None
    conditions: list[dict[str, Any]] = Field([])
    tasks: list[AnyTask] = Field([])


class Sla(Part):
    """A promise about an execution and what to do when it is broken."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.sla.SLA"

    id: str
    type: Literal["MAX_DURATION", "EXECUTION_ASSERTION"]
    behavior: Literal["FAIL", "CANCEL", "NONE"]
    duration: DurationS | None = None
    assert_: str | None = Field(None, alias="assert")
    labels: Labels = ()


class PluginDefault(Part):
    """Properties for every task or trigger whose type is `type` or begins with it."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.PluginDefault"

    type: str
    values: dict[str, Any] = Field({})
    forced: bool = False


class Flow(Part):
    """One revision of a flow.

    Attributes:
        id: Its name within the namespace; it never changes.
        namespace: Where it belongs, such as `company.team`; it never changes.
        tenant: Of the server; what stands in the text does not count.
        revision: Given by the server; what stands in the text does not count.
        description: Words for readers, in Markdown.
        labels: A map of texts, to find executions by.
        written_inputs: What a caller gives, with types.
        variables: Values that tasks read as `{{ vars.name }}`.
        tasks: What runs, in order; at least one.
        errors: Tasks for a failure.
        finally_: Tasks for every end.
        after_execution: Tasks that run once the final state is known.
        listeners: Tasks after the end, with conditions; `afterExecution` has taken their place.
        triggers: What starts it: a schedule, a webhook, other flows.
        outputs: What an execution gives back, with types.
        plugin_defaults: Properties for every task or trigger of a type.
        concurrency: How many executions run at once: `limit`, and `behavior` for one too many.
        retry: When a failed task or execution is tried again.
        sla: Promises about how long an execution takes, or what it gives.
        checks: Conditions on the inputs, before an execution starts.
        worker_selector: Which workers run its tasks, in dialect 2.0.
        worker_group: Which workers run its tasks.
        policy_refs: Kept and not used: policies are of the peer's enterprise edition.
        draft: Kept and not used.
        disabled: Keeps it from being started.
        deleted: Given by the server; what stands in the text does not count.
    """

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.Flow"

    id: FlowId
    namespace: Namespace
    tenant: str = Field("main", alias="tenantId")
    revision: int = 1
    description: Text | None = None
    labels: Labels = ()
    written_inputs: list[AnyInput] = Field([], alias="inputs")
    variables: dict[str, Any] = Field({})
    tasks: list[AnyTask] = Field(min_length=1)
    errors: list[AnyTask] = Field([])
    finally_: list[AnyTask] = Field([], alias="finally")
    after_execution: list[AnyTask] = Field([], alias="afterExecution")
    listeners: list[Listener] = Field([])
    triggers: list[AnyTrigger] = Field([])
    outputs: list[Output] = Field([])
    plugin_defaults: list[PluginDefault] = Field(
        [], validation_alias=AliasChoices("pluginDefaults", "taskDefaults")
    )
    concurrency: Concurrency | None = None
    retry: RetryPolicy | None = None
    sla: list[Sla] = Field([])
    checks: list[Check] = Field([])
    worker_selector: dict[str, Any] | None = Field(None, alias="workerSelector")
    worker_group: dict[str, Any] | None = Field(None, alias="workerGroup")
    policy_refs: list[str] = Field([], alias="policyRefs")
    draft: bool = False
    disabled: bool = False
    deleted: bool = False

    _properties: dict[str, Any] = PrivateAttr(default_factory=dict)
    _dialect: Dialect = PrivateAttr(default_factory=lambda: dialect_of(DEFAULT))
    _tasks_by_id: dict[str, Task] = PrivateAttr(default_factory=dict)
    _inputs: list[Input] = PrivateAttr(default_factory=list)

    @property
    def properties(self) -> dict[str, Any]:
        """The flow as the API answers it: a JSON object, without `source`. Read only."""
        return self._properties

    @property
    def dialect(self) -> Dialect:
        """What the flow means where versions of the language differ."""
        return self._dialect

    def model_post_init(self, context: Any) -> None:
        """Index every task, at any depth, by its id; take inputs out of their forms."""
        self._inputs = leaves(self.written_inputs)
        for task in self.all_tasks():
            self._tasks_by_id.setdefault(task.id, task)

    @property
    def inputs(self) -> list[Input]:
        """What a caller gives values for; those in forms instead of the forms."""
        return self._inputs

    def task(self, task_id: str) -> Task | None:
        """The task with this id, at any depth."""
        return self._tasks_by_id.get(task_id)

    def all_tasks(self) -> Iterator[Task]:
        """Every task at any depth, in the order in which they were written."""
        pending = [
            *self.tasks,
            *self.errors,
            *self.finally_,
            *self.after_execution,
            *(task for listener in self.listeners for task in listener.tasks),
        ]
        pending.reverse()
        while pending:
            task = pending.pop()
            yield task
            children = [child for group in task.child_lists().values() for child in group]
            pending.extend(reversed(children))
