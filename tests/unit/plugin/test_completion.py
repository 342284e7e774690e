"""What templates may say at a place of a flow."""

from __future__ import annotations

import pytest

from tiercel_engine.flow.parse import load_flow
from tiercel_engine.plugin.completion import expressions_at, names_of_language
from tiercel_engine.plugin.inventory import Inventory
from tiercel_engine.plugin.registry import PluginRegistry

SOURCE = """
id: completed
namespace: house.kitchen
labels: {team: blue}
inputs:
  - {id: name, type: STRING}
  - {id: deep.er, type: INT}
variables:
  region: {eu-west: {zone: a}}
tasks:
  - id: first
    type: io.kestra.plugin.core.debug.Return
    format: x
  - id: both
    type: io.kestra.plugin.core.flow.Sequential
    tasks:
      - {id: in-side, type: io.kestra.plugin.core.debug.Return, format: x}
      - {id: last, type: io.kestra.plugin.core.log.Log, message: x}
triggers:
  - {id: daily, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 0 * * *"}
"""


@pytest.fixture(scope="module")
def known() -> Inventory:
    return Inventory(PluginRegistry.load())


@pytest.mark.parametrize(
    ("task_id", "outputs"),
    [
        ("first", []),
        ("both", ["outputs.first.value"]),
        ("in-side", ["outputs.first.value"]),
        ("last", ["outputs.first.value", "outputs['in-side'].value"]),
        (None, ["outputs.first.value", "outputs.both", "outputs['in-side'].value", "outputs.last"]),
        ("unknown", ["outputs.first.value", "outputs['in-side'].value"]),
    ],
)
def test_a_task_sees_the_outputs_of_those_before_it(
    known: Inventory, task_id: str | None, outputs: list[str]
) -> None:
    flow = load_flow(SOURCE, PluginRegistry.load())

    found = expressions_at(flow, task_id, known)["taskOutputs"]

    assert [one for one in found if one in outputs] == outputs
    assert task_id in (None, "unknown") or found == outputs


def test_a_flow_gives_its_inputs_variables_labels_and_trigger(known: Inventory) -> None:
    found = expressions_at(load_flow(SOURCE, PluginRegistry.load()), "last", known)

    assert found["inputs"] == ["inputs.name", "inputs.deep.er"]
    assert found["variables"] == [
        "vars.region",
        "vars.region['eu-west']",
        "vars.region['eu-west'].zone",
    ]
    assert {"execution.id", "taskrun.value", "trigger.date", "labels.team"} <= set(
        found["executionContext"]
    )


def test_the_language_has_its_filters_and_functions() -> None:
    names = names_of_language()

    assert "upper" in names["filters"]
    assert "now" in names["functions"]
