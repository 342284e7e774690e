"""The tasks of templates, as part of the plan of an execution that has opened them.

Theory of operation. A template is a document of the flows topic under a tenant of its own
(`template_key`). The first task that opens one looks its newest revision up and pins it: the
values of the execution itself (`ROOT`) hold one `Pin` per template. From then on the execution's
plan is its flow's with the template's tasks inside of every task that names it, so a later
revision, or a deletion, changes nothing in it. Follows Kestra, whose Template tasks share the ids
and outputs of the flow around them.
"""

from __future__ import annotations

import msgspec

from tiercel_engine.errors import TaskError
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.plan import ROOT, Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.flowables import Loop, Template
from tiercel_schemas import events as e
from tiercel_schemas.ids import FlowKey, template_key

#: Plans with templates kept per plan without; all are let go when there would be more.
PLANS_MAX = 100


class Pin(msgspec.Struct, frozen=True, array_like=True):
    """The revision of a template that an execution runs."""

    namespace: str
    template_id: str
    revision: int


class StepPlan(Plan):
    """A plan in the hands of one step: it grows when the step opens a template. O(1) to make."""

    def __init__(self, plan: Plan) -> None:
        self.become(plan)

    def become(self, plan: Plan) -> None:
        """Be like this plan; what both know is shared."""
        self.__dict__ = plan.__dict__


class GrownPlan(Plan):
    """A plan with the tasks of one template more, which may hold Template tasks themselves."""

    def __init__(self, plan: Plan, key: FlowKey, template: Flow) -> None:
        self.__dict__.update(plan.__dict__)
        # What is kept by task id belongs to one revision of the template.
        self._tasks = {**{task.id: task for task in template.all_tasks()}, **plan._tasks}
        self._lists, self._retries = dict(plan._lists), dict(plan._retries)
        self._in_folders = set(plan._in_folders)
        self._references, self._inner, self._json = {}, {}, {}
        self._loops, self._grown = {}, {}
        self.templates = (*plan.templates, *_inside(template))
        self.opened = {**plan.opened, (key.namespace, key.flow_id): template}
        # Those that were opened before have their place in the new one, too.
        for task in self.templates:
            opened = self.opened.get((task.namespace, task.template_id))
            if opened is not None:
                self._index(task.id, _lists(opened), self._retries.get(task.id))


def _lists(template: Flow) -> dict[str, list[Task]]:
    return {"tasks": template.tasks, "errors": template.errors, "finally": template.finally_}


def _inside(template: Flow) -> tuple[Template, ...]:
    return tuple(task for task in template.all_tasks() if isinstance(task, Template))


def with_opened(plan: Plan, x: Execution, world: World) -> Plan | None:
    """The plan of an execution, with the templates that it has opened; None: one is gone."""
    if not plan.templates:
        return plan
    grown = _grown(plan, x.tenant, x.values.get(ROOT, ()), world)
    return None if grown is None else StepPlan(grown)


def open_template(step: Step, plan: Plan, world: World, task: Template) -> None:
    """Put the template's tasks into the plan in hand. Raises TaskError: it cannot be."""
    x = step.execution
    name = f"{task.namespace}.{task.template_id}"
    if not world.keeps_templates:
        raise TaskError(
            "This server keeps no templates (set `templates`): use a Subflow. "
            f"Can't find flow template '{name}'"
        )
    pins = x.values.get(ROOT, ())
    known = [msgspec.json.decode(text, type=Pin) for text in pins]
    if any((pin.namespace, pin.template_id) == (task.namespace, task.template_id) for pin in known):
        return
    found = world.plan(template_key(x.tenant, task.namespace, task.template_id), None)
    if found is None:
        raise TaskError(f"Can't find flow template '{name}'")
    _check(plan, found.flow, name)
    pin = Pin(task.namespace, task.template_id, found.flow.revision)
    step.emit(e.ValuesResolved(ROOT, (msgspec.json.encode(pin).decode(),)))
    assert isinstance(plan, StepPlan), "Expected the step's own plan of a flow with templates."
    grown = _grown(plan.bare, x.tenant, step.execution.values[ROOT], world)
    assert grown is not None, f"Expected '{name}' to stay while it is opened."
    plan.become(grown)


def _check(plan: Plan, template: Flow, name: str) -> None:
    _refuse_circle(plan, template, name)
    for task in template.all_tasks():
        if isinstance(task, Loop):
            raise TaskError(
                f"Expected no Loop in the template '{name}', but the task '{task.id}' is one."
            )
        if plan.task(task.id) is not None:
            raise TaskError(
                f"Expected the ids in the template '{name}' to differ from those around it, but "
                f"'{task.id}' is among both."
            )


def _refuse_circle(plan: Plan, template: Flow, name: str) -> None:
    """Raises TaskError: it would open itself, by those that are open already."""
    pending, seen = list(_inside(template)), set[tuple[str, str]]()
    while pending:
        task = pending.pop()
        inner = (task.namespace, task.template_id)
        if inner == (template.namespace, template.id):
            raise TaskError(
                f"Expected the template '{name}' not to open itself, but it does by the task "
                f"'{task.id}'."
            )
        if inner not in seen and inner in plan.opened:
            seen.add(inner)
            pending += _inside(plan.opened[inner])


def _grown(plan: Plan, tenant: str, pins: tuple[str, ...], world: World) -> Plan | None:
    """`plan`, which has no template's tasks, with those of all pins; None: one is gone."""
    found = plan._grown.get(pins)
    if found is not None:
        return found
    grown = plan
    for text in pins:
        pin = msgspec.json.decode(text, type=Pin)
        key = template_key(tenant, pin.namespace, pin.template_id)
        template = world.plan(key, pin.revision)
        if template is None:
            return None
        grown = GrownPlan(grown, key, template.flow)
    if len(plan._grown) >= PLANS_MAX:
        plan._grown.clear()
    plan._grown[pins] = grown
    return grown
