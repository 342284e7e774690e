"""Notes on flows that are valid but old or doubtful."""

from __future__ import annotations

import pytest
from tests.unit.flow.flow_types import FLOW, HEAD, TYPES, load

from tiercel_engine.flow.validate import Notices, notices, tasks_with_paths

CORE = "io.kestra.plugin.core"


def notes(source: str) -> Notices:
    return notices(load(source), TYPES.replacement)


def test_a_flow_of_today_gets_no_notes() -> None:
    assert notes(FLOW) == Notices([], [], [])


def test_each_older_type_name_is_told_once_with_its_replacement() -> None:
    found = notes(
        HEAD
        + f"""\
tasks:
  - {{id: a, type: old.Say, message: m}}
  - {{id: b, type: old.Say, message: m}}
  - id: c
    type: io.kestra.core.tasks.flows.Sequential
    tasks: [{{id: d, type: older.Say, message: m}}]
triggers:
  - id: t
    type: io.kestra.core.models.triggers.types.Flow
    conditions:
      - type: {CORE}.condition.Not
        conditions:
          - {{type: io.kestra.core.models.conditions.types.VariableCondition, expression: x}}
"""
    )
    assert found.infos == [
        "old.Say is replaced by test.Say",
        f"io.kestra.core.tasks.flows.Sequential is replaced by {CORE}.flow.Sequential",
        "older.Say is replaced by test.Say",
        f"io.kestra.core.models.triggers.types.Flow is replaced by {CORE}.trigger.Flow",
        "io.kestra.core.models.conditions.types.VariableCondition is replaced by"
        f" {CORE}.condition.Expression",
    ]


def test_deprecated_parts_are_told_by_their_paths() -> None:
    found = notes(
        HEAD
        + f"""\
inputs: [{{id: a, type: BOOL}}, {{id: b, type: BOOLEAN}}]
taskDefaults: []
listeners: []
tasks:
  - id: c
    type: {CORE}.flow.Sequential
    tasks:
      - id: d
        type: {CORE}.flow.EachSequential
        value: "[]"
        tasks: [{{id: e, type: test.Say, message: m}}]
"""
    )
    assert found.deprecation_paths == [
        "taskDefaults",
        "listeners",
        "inputs[1].type",
        "tasks[0].tasks[0]",
    ]


@pytest.mark.parametrize(
    ("extra", "warning"),
    [
        (
            f"triggers: [{{id: t, type: {CORE}.trigger.Flow}}]",
            "Trigger [t] has no conditions and fires on every execution",
        ),
        (
            "inputs: [{id: a, type: INT, required: false, defaults: 1}]",
            "Input [a] has defaults, so that `required: false` has no effect",
        ),
        (
            "inputs: [{id: a, type: INT}, {id: b, type: INT, defaults: 1}, {id: c, type: INT}]\n"
            f"triggers: [{{id: t, type: {CORE}.trigger.Schedule, cron: '* * * * *',"
            " inputs: {c: 1}}]",
            "Trigger [t] gives no value for [a]",
        ),
    ],
)
def test_what_is_probably_not_meant_is_warned_about(extra: str, warning: str) -> None:
    assert notes(FLOW + extra).warnings == [warning]


def test_an_id_that_is_reserved_from_dialect_2_on_is_warned_about() -> None:
    assert notes(FLOW.replace("greet", "pause")).warnings == [
        "The flow id [pause] is a reserved word from dialect 2.0 on"
    ]


def test_paths_lead_through_branches() -> None:
    flow = load(
        HEAD
        + f"""\
tasks:
  - id: s
    type: {CORE}.flow.Switch
    value: x
    cases: {{one: [{{id: a, type: test.Say, message: m}}]}}
    defaults: [{{id: b, type: test.Say, message: m}}]
afterExecution: [{{id: c, type: test.Say, message: m}}]
"""
    )
    assert {task.id: path for path, task in tasks_with_paths(flow)} == {
        "s": "tasks[0]",
        "a": "tasks[0].cases.one[0]",
        "b": "tasks[0].defaults[0]",
        "c": "afterExecution[0]",
    }
