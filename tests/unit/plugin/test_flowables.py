"""The properties of flowables and the tasks inside them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.flow.flow_types import HEAD, load, refusal

from tiercel_engine.flow.task import Task
from tiercel_engine.plugin import flowables
from tiercel_engine.plugin.base import FlowableTask
from tiercel_engine.plugin.child_flows import ForEachItem, Subflow
from tiercel_engine.plugin.flowables import ForEach, LoopUntil, Pause

FLOW = "io.kestra.plugin.core.flow"
SAY = "{id: %s, type: test.Say, message: m}"


def one(kind: str, properties: str) -> Task:
    """The one task of a flow."""
    (task,) = load(HEAD + f"tasks:\n  - {{id: it, type: {FLOW}.{kind}, {properties}}}").tasks
    return task


def branches(task: Task) -> dict[str, list[str]]:
    return {name: [t.id for t in inner] for name, inner in task.child_lists().items()}


@pytest.mark.parametrize(
    ("kind", "properties", "inside"),
    [
        ("Sequential", f"tasks: [{SAY % 'a'}, {SAY % 'b'}]", {"tasks": ["a", "b"]}),
        ("AllowFailure", f"tasks: [{SAY % 'a'}]", {"tasks": ["a"]}),
        ("Parallel", f"concurrent: 2, tasks: [{SAY % 'a'}]", {"tasks": ["a"]}),
        (
            "Dag",
            f"tasks: [{{task: {SAY % 'a'}}}, {{task: {SAY % 'b'}, dependsOn: [a]}}]",
            {"tasks": ["a", "b"]},
        ),
        ("If", f"condition: true, then: [{SAY % 'a'}]", {"then": ["a"]}),
        (
            "If",
            f"condition: x, then: [{SAY % 'a'}], else: [{SAY % 'b'}]",
            {"then": ["a"], "else": ["b"]},
        ),
        (
            "Switch",
            f"value: x, cases: {{true: [{SAY % 'a'}], two: [{SAY % 'b'}]}},"
            f" defaults: [{SAY % 'c'}]",
            {"cases.true": ["a"], "cases.two": ["b"], "defaults": ["c"]},
        ),
        ("EachSequential", f"value: [1, 2], tasks: [{SAY % 'a'}]", {"tasks": ["a"]}),
        ("EachParallel", f"value: '[1]', tasks: [{SAY % 'a'}]", {"tasks": ["a"]}),
        ("ForEach", f"values: {{a: 1}}, tasks: [{SAY % 'a'}]", {"tasks": ["a"]}),
        ("Loop", f"values: [1], fetchType: STORE, tasks: [{SAY % 'a'}]", {"tasks": ["a"]}),
        ("WaitFor", f"condition: x, tasks: [{SAY % 'a'}]", {"tasks": ["a"]}),
        ("Pause", "delay: PT1S", {}),
        (
            "Pause",
            f"onPause: {SAY % 'p'}, tasks: [{SAY % 'a'}]",
            {"onPause": ["p"], "tasks": ["a"]},
        ),
        (
            "WorkingDirectory",
            f"tasks: [{SAY % 'a'}], outputFiles: ['*.txt'], namespaceFiles: {{enabled: true}}",
            {"tasks": ["a"]},
        ),
        ("Subflow", "namespace: n, flowId: f", {}),
        (
            "ForEachItem",
            f"namespace: n, flowId: f, items: x, errors: [{SAY % 'e'}]",
            {"tasks": ["it_split", "it_items", "it_merge"], "errors": ["e"]},
        ),
        ("Template", "namespace: n, templateId: t", {}),
    ],
)
def test_the_tasks_inside_are_known_by_branch(
    kind: str, properties: str, inside: dict[str, list[str]]
) -> None:
    task = one(kind, properties)
    assert isinstance(task, FlowableTask)
    assert branches(task) == inside


def test_errors_and_finally_are_branches_of_their_own() -> None:
    task = one("Parallel", f"tasks: [{SAY % 'a'}], errors: [{SAY % 'b'}], finally: [{SAY % 'c'}]")
    assert branches(task) == {"tasks": ["a"], "errors": ["b"], "finally": ["c"]}


def test_every_flowable_has_its_old_name() -> None:
    old = {alias for plugin in flowables.PLUGINS for alias in plugin.ALIASES}
    for name in ("Sequential", "Parallel", "Dag", "If", "Switch", "Subflow", "Flow", "Worker"):
        assert f"io.kestra.core.tasks.flows.{name}" in old


def test_values_keep_their_shape() -> None:
    def values(written: str) -> Any:
        task = one("ForEach", f"values: {written}, tasks: [{SAY % 'a'}]")
        assert isinstance(task, ForEach)
        return task.values

    assert values("[a, 1, {b: ~}]") == ["a", 1, {"b": None}]
    assert values("'{{ inputs.list }}'") == "{{ inputs.list }}"
    assert values("{a: 1}") == {"a": 1}


def test_defaults_of_properties_are_those_of_the_language() -> None:
    each, item = (
        one("ForEach", f"values: x, tasks: [{SAY % 'a'}]"),
        one("ForEachItem", "namespace: n, flowId: f, items: x"),
    )
    assert isinstance(each, ForEach)
    assert isinstance(item, ForEachItem)
    assert each.concurrency_limit == 1
    assert (item.wait, item.transmit_failed, item.inherit_labels) == (True, True, False)
    assert item.batch.separator == "\n"
    subflow = one("Flow", "namespace: n, flowId: f, revision: 3, inputs: {a: 1}")
    assert isinstance(subflow, Subflow)
    assert (subflow.revision, subflow.inputs) == (3, {"a": 1})


def test_durations_are_seconds_and_pauses_may_be_templates() -> None:
    loop = one(
        "LoopUntil",
        f"condition: x, tasks: [{SAY % 'a'}], checkFrequency: {{interval: PT5S, maxIterations: 3}}",
    )
    assert isinstance(loop, LoopUntil)
    assert loop.check_frequency is not None
    assert (loop.check_frequency.interval, loop.check_frequency.max_iterations) == (5.0, 3)
    pause = one("Pause", "pauseDuration: '{{ inputs.wait }}', onResume: [{id: ok, type: BOOL}]")
    assert isinstance(pause, Pause)
    assert pause.pause_duration == "{{ inputs.wait }}"
    assert [each.id for each in pause.on_resume] == ["ok"]


@pytest.mark.parametrize(
    ("kind", "properties", "words"),
    [
        ("Sequential", "tasks: []", "tasks[0].tasks: must not be empty"),
        ("Sequential", "tasks: [{id: a, type: nope}]", "Invalid type: nope"),
        ("If", f"then: [{SAY % 'a'}]", "tasks[0].condition: must not be null"),
        ("Switch", "value: x", "No task defined"),
        ("Parallel", f"concurrent: -1, tasks: [{SAY % 'a'}]", "greater than or equal to 0"),
        ("Parallel", f"onChildFailure: EXPLODE, tasks: [{SAY % 'a'}]", "Input should be"),
        (
            "Dag",
            f"tasks: [{{task: {SAY % 'a'}, dependsOn: [b]}},"
            f" {{task: {SAY % 'b'}, dependsOn: [a]}}]",
            "tasks[0]: it: Cyclic dependency detected: a, b",
        ),
        (
            "Dag",
            f"tasks: [{{task: {SAY % 'a'}, dependsOn: [z]}}]",
            "it: Not existing task id in dependency: z",
        ),
        (
            "WorkingDirectory",
            f"tasks: [{{id: s, type: {FLOW}.Sequential, tasks: [{SAY % 'a'}]}}]",
            "Only runnable tasks are allowed as children of a WorkingDirectory task",
        ),
        ("Subflow", "namespace: n", "tasks[0].flowId: must not be null"),
        ("Pause", "onResume: [{id: a, type: FOO}]", "Invalid type: FOO"),
    ],
)
def test_a_flowable_that_makes_no_sense_is_refused(kind: str, properties: str, words: str) -> None:
    error = refusal(HEAD + f"tasks:\n  - {{id: it, type: {FLOW}.{kind}, {properties}}}")
    assert words in str(error)
