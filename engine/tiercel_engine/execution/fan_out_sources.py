"""Which task fans out over what, in one table."""

from __future__ import annotations

from tiercel_engine.execution.fan_out_items import ItemSource
from tiercel_engine.execution.fan_out_loop import LoopSource
from tiercel_engine.execution.fan_out_source import Source
from tiercel_engine.execution.model import TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.child_flows import Items
from tiercel_engine.plugin.flowables import Loop


def source_of(step: Step, plan: Plan, world: World, run: TaskRun, task: Task) -> Source:
    """What the run's task goes through."""
    if isinstance(task, Items):
        return ItemSource(step, plan, world, run, task)
    assert isinstance(task, Loop), f"Expected a task that fans out, but it was {task.type}."
    return LoopSource(step, plan, world, run, task)
