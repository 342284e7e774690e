"""The batches of a ForEachItem, and the execution that is started for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tiercel_engine.errors import InvalidExpression, TaskError, UserError
from tiercel_engine.execution.child_command import Child, create_command, restarts_failed, target
from tiercel_engine.execution.fan_out_source import Source
from tiercel_engine.execution.fan_out_state import FanOut, item_id
from tiercel_engine.execution.gathering import folder_of
from tiercel_engine.execution.item_rendering import ItemRendering
from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.rendering import TemplateRendering
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.variables import decoded_outputs, sibling
from tiercel_engine.execution.world import World
from tiercel_engine.flow.base import Rule
from tiercel_engine.plugin.child_flows import Items
from tiercel_schemas.commands import CreateExecution
from tiercel_schemas.common import ReplyTo


class ItemSource(Source):
    """The batches of a ForEachItem, as its first part has cut them."""

    stores = True

    def __init__(self, step: Step, plan: Plan, world: World, run: TaskRun, task: Items) -> None:
        self._step, self._plan, self._world = step, plan, world
        self._run, self._task = run, task
        whole = task.whole
        self.limit = whole.concurrency_limit if whole.wait else 0
        self.waits = whole.wait
        self.transmits = whole.transmit_failed
        self.restarts = whole.wait and restarts_failed(plan, whole)

    def open(self) -> tuple[int, dict[str, Any]]:
        x = self._step.execution
        count = int(self._batches()["numberOfBatches"])
        if count == 0:
            return 0, {}
        rendering = self._rendering()
        target(x, self._world, self._task.whole, rendering)
        # What a worker has to render is rendered now, before anything is decided.
        first = _for_batch(rendering, str(self._batches()["batchUri"]), 0, 0)
        for template in (self._task.whole.inputs, self._task.whole.labels):
            _try(first, template)
        base = folder_of(x, self._run).removeprefix("kestra://")
        return count, {"numberOfBatches": count, "subflowOutputsBaseUri": base}

    def commands(self, indices: list[int]) -> Iterator[CreateExecution | str]:
        x = self._step.execution
        pattern = str(self._batches()["batchUri"])
        fan = x.fan_outs[self._run.id]
        rendering = self._rendering()
        whole = self._task.whole
        try:
            flow = target(x, self._world, whole, rendering).flow
        except (UserError, InvalidExpression, TaskError) as error:
            yield from [str(error)] * len(indices)
            return
        base = self._plan.dialect.foreach_item_base
        for index in indices:
            reply_to = (
                ReplyTo(x.id, self._run.id, index=index, attempt=fan.attempt)
                if self.waits
                else None
            )
            child_id = item_id(x.id, self._run.id, index, fan)
            child = Child(child_id, reply_to, {"taskRunIteration": index + base})
            own = _for_batch(rendering, pattern, index, index + base)
            try:
                yield create_command(self._step, whole, flow, own, child)
            except (UserError, InvalidExpression, TaskError, Rule) as error:
                yield str(error)

    def outputs(self, written: dict[str, Any], fan: FanOut) -> dict[str, Any]:
        counted = {"CREATED": 0, "RUNNING": fan.running, **dict(sorted(fan.ended.items()))}
        return {**written, "iterations": counted}

    def _rendering(self) -> TemplateRendering:
        return TemplateRendering(
            self._step,
            self._plan,
            self._world,
            self._run.id,
            self._task,
            opens_secrets=False,
        )

    def _batches(self) -> dict[str, Any]:
        """What the first part has cut. Raises TaskError: it left nothing to go by."""
        return batches_of(self._step.execution, self._run, self._task)


def batches_of(x: Execution, run: TaskRun, task: Items) -> dict[str, Any]:
    """Outputs of the part before, as the worker gave them. Raises TaskError: there are none."""
    split = sibling(x, run, f"{task.whole.id}_split")
    outputs = {} if split is None else decoded_outputs(split)
    if not {"numberOfBatches", "batchUri"} <= outputs.keys():
        raise TaskError("Expected the batches of the items, but the split left none.")
    return outputs


def _for_batch(
    rendering: TemplateRendering, pattern: str, index: int, iteration: int
) -> ItemRendering:
    items = {"items": batch_uri(pattern, index), "iteration": iteration}
    return ItemRendering(rendering, {"taskrun": {**rendering.variables()["taskrun"], **items}})


def _try(rendering: ItemRendering, template: Any) -> None:
    """Render for the first execution. What is wrong with it shows when that is started.

    Raises:
        NeedsWorker: a worker must render what all have in common.
    """
    try:
        rendering.value(template)
    except InvalidExpression:
        return


def batch_uri(pattern: str, index: int) -> str:
    """The address of one batch: the split says how they are called, never which there are."""
    return pattern.replace("{index}", str(index))
