"""From source to Flow: what is kept, what the API answers, defaults, leniency."""

from __future__ import annotations

import pytest
from tests.unit.flow.flow_types import FLOW, HEAD, Say, load, refusal

from tiercel_engine.flow.defaults import TypeDefault
from tiercel_engine.flow.task import UnknownTask
from tiercel_engine.flow.trigger import UnknownTrigger
from tiercel_engine.plugin.flowables import If, Sequential


def test_the_smallest_flow_has_an_id_a_namespace_and_a_task() -> None:
    flow = load(FLOW, revision=7, tenant="acme")

    assert (flow.id, flow.namespace, flow.revision, flow.tenant) == ("greet", "team", 7, "acme")
    task = flow.task("say")
    assert isinstance(task, Say)
    assert task.message == "hi"
    assert task.properties == {"id": "say", "type": "test.Say", "message": "hi"}


def test_properties_are_what_the_api_answers() -> None:
    flow = load(
        HEAD
        + """\
revision: 99
description: A flow
labels: {team: x, n: 1}
inputs:
  - {name: who, type: STRING}
  - {id: n, type: INT, defaults: 3}
  - {id: opt, type: BOOLEAN, required: false, description: ~}
variables: {a: ~}
tasks:
  - {id: say, type: test.Say, message: hi}
outputs:
  - {id: res, value: x}
""",
        revision=2,
    )

    assert flow.properties == {
        "id": "greet",
        "namespace": "team",
        "revision": 2,
        "inputs": [
            {"id": "who", "type": "STRING", "required": True},
            {"id": "n", "type": "INT", "required": True, "defaults": 3},
            {"id": "opt", "type": "BOOLEAN", "required": False},
        ],
        "disabled": False,
        "deleted": False,
        "description": "A flow",
        "labels": [{"key": "team", "value": "x"}, {"key": "n", "value": "1"}],
        "variables": {"a": None},
        "tasks": [{"id": "say", "type": "test.Say", "message": "hi"}],
        "outputs": [{"id": "res", "type": "STRING", "value": "x"}],
    }
    assert flow.labels == (("team", "x"), ("n", "1"))


def test_labels_may_be_a_list_of_keys_and_values() -> None:
    flow = load(FLOW + "labels: [{key: a, value: true}, {key: a, value: 2}]")
    assert flow.labels == (("a", "true"), ("a", "2"))


def test_scalars_become_text_where_text_is_wanted() -> None:
    flow = load(
        "id: 1\nnamespace: 2\ntasks: [{id: true, type: test.Say, message: 4.5}]\n"
        "inputs: [{id: 1.5, type: INT}, {name: 7, type: INT}]"
    )
    assert (flow.id, flow.namespace) == ("1", "2")
    assert [each["id"] for each in flow.properties["inputs"]] == ["1.5", "7"]
    assert flow.properties["tasks"][0]["id"] == "true"
    task = flow.task("true")
    assert isinstance(task, Say)
    assert task.message == "4.5"


def test_null_means_not_given() -> None:
    flow = load(FLOW + "description:\ntriggers:\nlabels:\nconcurrency:\n")
    assert (flow.description, flow.triggers, flow.labels, flow.concurrency) == (None, [], (), None)


def test_an_older_type_name_means_the_same_class() -> None:
    task = load(FLOW.replace("test.Say", "old.Say")).task("say")
    assert isinstance(task, Say)
    assert task.type == "old.Say"


NESTED = (
    HEAD
    + """\
tasks:
  - id: outer
    type: io.kestra.plugin.core.flow.Sequential
    tasks:
      - id: choice
        type: io.kestra.plugin.core.flow.If
        condition: "{{ true }}"
        then: [{id: yes-task, type: test.Say, message: y}]
        else: [{id: no-task, type: test.Say, message: n}]
    errors: [{id: oops, type: test.Say, message: e}]
listeners:
  - tasks: [{id: after, type: test.Say, message: l}]
"""
)


def test_tasks_are_found_by_id_at_any_depth_in_order() -> None:
    flow = load(NESTED)

    outer, choice = flow.task("outer"), flow.task("choice")
    assert isinstance(outer, Sequential)
    assert isinstance(choice, If)
    assert list(outer.child_lists()) == ["tasks", "errors"]
    assert list(choice.child_lists()) == ["then", "else"]
    order = ["outer", "choice", "yes-task", "no-task", "oops", "after"]
    assert [task.id for task in flow.all_tasks()] == order


def test_defaults_are_merged_deeply_below_the_task() -> None:
    flow = load(
        HEAD
        + """\
pluginDefaults:
  - {type: test, values: {level: WARN, headers: {a: flow, b: {x: 1}}}}
  - {type: other.Type, values: {nonsense: 1}}
tasks:
  - {id: say, type: test.Say, message: hi, headers: {b: {y: 2}}}
""",
        defaults=[TypeDefault("test.Say", {"level": "DEBUG", "headers": {"a": "server", "c": 3}})],
    )

    task = flow.task("say")
    assert isinstance(task, Say)
    assert task.properties == {
        "id": "say",
        "type": "test.Say",
        "level": "WARN",
        "headers": {"a": "flow", "c": 3, "b": {"x": 1, "y": 2}},
        "message": "hi",
    }
    assert task.level == "WARN"
    written = {"id": "say", "type": "test.Say", "message": "hi", "headers": {"b": {"y": 2}}}
    assert flow.properties["tasks"] == [written]


def test_forced_defaults_win_over_the_task_but_never_change_which_task_it_is() -> None:
    flow = load(
        FLOW
        + "taskDefaults: [{type: test.Say, forced: true, values: {message: f, id: x, type: y}}]"
    )
    assert flow.tasks[0].properties == {"id": "say", "type": "test.Say", "message": "f"}


def test_a_default_covers_whole_parts_of_a_name_and_older_names() -> None:
    covered = load(FLOW + "pluginDefaults: [{type: old.Say, values: {level: WARN}}]")
    not_covered = load(FLOW + "pluginDefaults: [{type: test.S, values: {level: WARN}}]")

    assert covered.tasks[0].properties["level"] == "WARN"
    assert "level" not in not_covered.tasks[0].properties


def test_a_default_that_the_type_does_not_have_is_refused() -> None:
    error = refusal(FLOW + "pluginDefaults: [{type: test, values: {volume: 11}}]")
    assert 'Unrecognized field "volume" (class test.Say)' in str(error)


STORED = (
    HEAD
    + """\
tasks:
  - {id: gone, type: no.longer.Here, message: "{{ x }}", deep: {a: [1]}, timeout: PT5S}
  - {id: renamed, type: test.Say, messge: hi}
  - {id: broken, type: no.longer.Here, retry: 12}
triggers:
  - {id: t, type: no.longer.There, interval: PT1M}
"""
)


def test_a_stored_flow_keeps_what_is_not_known_here() -> None:
    flow = load(STORED, lenient=True)

    gone, renamed, broken = flow.tasks
    assert isinstance(gone, UnknownTask)
    assert gone.properties["deep"] == {"a": [1]}
    assert (gone.timeout, gone.problem) == ("PT5S", "Invalid type: no.longer.Here")
    assert isinstance(renamed, UnknownTask)
    assert renamed.properties == {"id": "renamed", "type": "test.Say", "messge": "hi"}
    assert isinstance(broken, UnknownTask)
    assert broken.properties["retry"] == 12
    (trigger,) = flow.triggers
    assert isinstance(trigger, UnknownTrigger)
    assert trigger.properties["interval"] == "PT1M"
    assert flow.properties["tasks"][0]["type"] == "no.longer.Here"


def test_what_is_not_known_is_refused_when_a_flow_is_saved() -> None:
    assert len(refusal(STORED).violations) >= 4


@pytest.mark.parametrize("text", ["", "text", "- a", "12", "null"])
def test_what_is_no_map_of_properties_is_no_flow(text: str) -> None:
    assert "Expected a flow" in str(refusal(text))


def test_a_flow_of_a_thousand_tasks_loads_well_within_a_second() -> None:
    source = HEAD + "tasks:\n"
    source += "".join(f"  - {{id: t{i}, type: test.Say, message: hi}}\n" for i in range(1_000))
    assert len(load(source).tasks) == 1_000
