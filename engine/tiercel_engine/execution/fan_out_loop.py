"""The values of a Loop, and the execution that goes through its tasks for each.

Such an execution is of kind LOOP: the same revision, with the Loop's lists as its own
(`Plan.of`). It takes along what its templates refer to of the execution around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tiercel_engine.errors import InvalidExpression, TaskError
from tiercel_engine.execution.child_command import CORRELATION_LABEL, DEPTH_MAX, INPUTS_BYTES_MAX
from tiercel_engine.execution.fan_out_source import Source
from tiercel_engine.execution.fan_out_state import FanOut, item_id
from tiercel_engine.execution.gathering import folder_of
from tiercel_engine.execution.item_rendering import ItemRendering
from tiercel_engine.execution.loop_item import parents_inside
from tiercel_engine.execution.model import TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.rendering import TemplateRendering
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.variables import flow_variables, raw
from tiercel_engine.execution.world import World
from tiercel_engine.expression.text import json_text
from tiercel_engine.plugin.flowables import Loop
from tiercel_engine.storage.uri import is_storage_uri
from tiercel_schemas.commands import ChildEnded, CreateExecution
from tiercel_schemas.common import Label, LoopRun, Payload, ReplyTo

LOOP = "LOOP"
#: Outputs of all times through a Loop together, as JSON text, when they are not stored.
OUTPUTS_CHARS_MAX = 512 * 1024


class LoopSource(Source):
    """The values of a Loop. Those of a map come as all keys, then all values."""

    def __init__(self, step: Step, plan: Plan, world: World, run: TaskRun, task: Loop) -> None:
        self._step, self._plan, self._world = step, plan, world
        self._run, self._task = run, task
        limit = task.concurrency_limit
        self.limit = plan.dialect.loop_limit if limit is None else limit
        self.transmits = self.stops = task.transmit_failed
        self.collects = self.keeps = bool(task.outputs)
        self.stores = task.fetch_type == "STORE"

    def open(self) -> tuple[int, dict[str, Any]]:
        if self._step.execution.depth >= DEPTH_MAX:
            raise TaskError(f"Expected at most {DEPTH_MAX} executions inside each other.")
        keys, texts = _texts(self._values())
        self.values = (*keys, *texts)
        self._variables()
        return len(texts), {"iterationCount": len(texts)}

    def _values(self) -> Any:
        rendering = self._rendering()
        values = rendering.value(self._task.values)
        if isinstance(values, str) and is_storage_uri(values.strip()):
            # AUTO: what comes from a file goes into files.
            self.found_file = self._task.fetch_type == "AUTO"
            return rendering.value(f"{{{{ fromIon(read('{values.strip()}'), allRows=true) }}}}")
        return values

    def commands(self, indices: list[int]) -> Iterator[CreateExecution | str]:
        x = self._step.execution
        fan = x.fan_outs[self._run.id]
        trigger = {"id": self._task.id, "type": self._task.type}
        about = {"executionId": x.id, "namespace": x.namespace, "flowId": x.flow_id}
        trigger_json = msgspec.json.encode({**trigger, "variables": about}).decode()
        parents, variables = parents_inside(x.loop), self._variables()
        for index in indices:
            child_id = item_id(x.id, self._run.id, index, fan)
            key, value = self._item(index, fan)
            yield CreateExecution(
                command_id=child_id,
                execution_id=child_id,
                tenant=x.tenant,
                namespace=x.namespace,
                flow_id=x.flow_id,
                flow_revision=x.flow_revision,
                inputs=Payload(json="{}"),
                labels=tuple(label for label in x.labels if _is_passed_on(label)),
                trigger=Payload(json=trigger_json),
                parent_id=x.id,
                kind=LOOP,
                created_us=self._step.at_us,
                deduplicate=True,
                trace_parent=x.trace_parent,
                reply_to=ReplyTo(x.id, self._run.id, index=index, attempt=fan.attempt),
                depth=x.depth + 1,
                loop=LoopRun(
                    task_id=self._task.id,
                    task_run_id=self._run.id,
                    index=index,
                    key=key,
                    value=value,
                    parents=parents,
                    variables=variables,
                ),
            )

    def is_enough(self, ended: ChildEnded) -> bool:
        if self._task.break_when is None:
            return False
        x = self._step.execution
        key, value = self._item(ended.index, x.fan_outs[self._run.id])
        outputs = None if ended.outputs is None else raw(ended.outputs)
        iteration = {"executionId": ended.child_id, "state": ended.state, "outputs": outputs}
        item = {"value": value, "index": ended.index, **({} if key is None else {"key": key})}
        own = msgspec.json.decode(msgspec.json.encode({"item": item, "iteration": iteration}))
        try:
            return ItemRendering(self._rendering(), own).truthy(self._task.break_when)
        except InvalidExpression as error:
            raise TaskError(f"Failed to evaluate `breakWhen`: {error}") from error

    def outputs(self, written: dict[str, Any], fan: FanOut) -> dict[str, Any]:
        counted = {
            **written,
            "runningIterations": fan.running,
            "terminatedIterations": dict(sorted(fan.ended.items())),
        }
        if not self.collects:
            return counted
        if fan.outputs and fan.outputs_chars > OUTPUTS_CHARS_MAX:
            raise TaskError(
                f"Expected the outputs of the loop to take at most {OUTPUTS_CHARS_MAX} characters, "
                f"but they take {fan.outputs_chars}: set `fetchType: STORE`."
            )
        stores = self.stores or fan.stores
        known = {index: msgspec.json.decode(text) for index, text in fan.outputs}
        folder = folder_of(self._step.execution, self._run)
        entries = []
        for index in fan.order:
            key, value = self._item(index, fan)
            item = {"value": value, "iteration": index, **({} if key is None else {"key": key})}
            stored = {"uri": f"{folder}/{index}.ion"}
            entries.append({"item": item, "outputs": stored if stores else known[index]})
        return {**counted, "outputs": entries}

    def _item(self, index: int, fan: FanOut) -> tuple[str | None, str]:
        values = self._step.execution.values.get(self._run.id, ())
        if len(values) > fan.count:
            return values[index], values[fan.count + index]
        return None, values[index]

    def _variables(self) -> Payload:
        """What the templates inside see of this execution. Raises TaskError: it is too large."""
        x = self._step.execution
        refers = self._plan.inner_references(self._task)
        variables = flow_variables(x, self._plan, refers, self._run.path)
        text = msgspec.json.encode({k: v for k, v in variables.items() if k != "item"}).decode()
        if len(text) > INPUTS_BYTES_MAX:
            raise TaskError(
                f"Expected what the tasks of the loop refer to outside of it to take at most "
                f"{INPUTS_BYTES_MAX} bytes, but it takes {len(text)}. Pass large values as files."
            )
        return Payload(json=text)

    def _rendering(self) -> TemplateRendering:
        return TemplateRendering(self._step, self._plan, self._world, self._run.id, self._task)


def _is_passed_on(label: Label) -> bool:
    return label.key == CORRELATION_LABEL or not label.key.startswith("system.")


def _texts(values: Any) -> tuple[list[str], list[str]]:
    """(keys of a map, or none; the values as texts). Raises TaskError: they are neither."""
    if isinstance(values, str):
        try:
            values = msgspec.json.decode(values)
        except msgspec.DecodeError as error:
            raise TaskError(
                f"Expected the values to be a JSON list or map, or the address of a file, but they "
                f"were {values[:200]!r}."
            ) from error
    keys = list(values) if isinstance(values, dict) else []
    elements = list(values.values()) if isinstance(values, dict) else values
    if not isinstance(elements, list | tuple):
        raise TaskError(f"Expected the values to be a list or a map, but they were {values!r:.200}")
    if any(element is None for element in elements):
        raise TaskError("Found a null value inside the iteration values")
    return keys, [e if isinstance(e, str) else json_text(e) for e in elements]
