"""Warnings about what templates refer to."""

from __future__ import annotations

import pytest

from tiercel_engine.flow.parse import load_flow
from tiercel_engine.plugin.references import WARNINGS_MAX, doubtful_references
from tiercel_engine.plugin.registry import PluginRegistry

TYPES = PluginRegistry.load()
LOG = "io.kestra.plugin.core.log.Log"


def warnings(message: str, more: str = "", inputs: str = "[]") -> list[str]:
    """Those of a flow with a task `first`, a list inside an If, and a task with this message."""
    source = f"""
id: f
namespace: a.b
inputs: {inputs}
tasks:
  - {{id: first, type: {LOG}, message: hi}}
  - id: choice
    type: io.kestra.plugin.core.flow.If
    condition: "{{{{ true }}}}"
    then:
      - {{id: nested-task, type: {LOG}, message: hi}}
  - id: told
    type: {LOG}
    message: >-
      {message}
{more}"""
    return doubtful_references(load_flow(source, TYPES))


@pytest.mark.parametrize(
    "message",
    [
        "{{ outputs.first.value }} {{ outputs['nested-task'] }} {{ tasks.choice.state }}",
        "{{ inputs.a }} {{ inputs.b }} {{ inputs.b.c }} {{ inputs }} {{ inputs[x] }}",
        "{% for outputs in [1] %}{{ outputs.none }}{% endfor %}",
        "{{ trigger.none }} {{ vars.none }} {{ globals.none }}",
    ],
)
def test_what_is_there_is_no_matter(message: str) -> None:
    inputs = "[{id: a, type: STRING}, {id: b.c, type: STRING}]"

    assert warnings(message, inputs=inputs) == []


def test_an_unknown_task_or_input_is_named_with_what_was_meant() -> None:
    found = warnings(
        "{{ outputs.fist.value }} {{ inputs.nam ?? 1 }} {{ tasks.xyz.state }}",
        inputs="[{id: name, type: STRING}]",
    )

    assert found == [
        "Task [told] (tasks[2]) refers to the unknown input [nam]: did you mean [name]?",
        "Task [told] (tasks[2]) refers to the unknown task [fist]: did you mean [first]?",
        "Task [told] (tasks[2]) refers to the unknown task [xyz]",
    ]


def test_outputs_and_inputs_of_the_flow_are_looked_at_too() -> None:
    more = 'outputs: [{id: o, type: STRING, value: "{{ outputs.none }}"}]'
    inputs = "[{id: a, type: STRING}, {id: b, type: STRING, defaults: '{{ inputs.c }}'}]"

    found = warnings("hi", more, inputs)

    assert found == [
        "Output [o] refers to the unknown task [none]",
        "Input [b] refers to the unknown input [c]",
    ]


def test_what_another_flow_renders_is_left_alone() -> None:
    more = """
  - id: sub
    type: io.kestra.plugin.core.flow.Subflow
    namespace: a.b
    flowId: other
    outputs: {x: "{{ outputs.of_the_other.value }}"}
    inputs: {y: "{{ outputs.none }}"}
"""
    assert warnings("hi", more) == ["Task [sub] (tasks[3]) refers to the unknown task [none]"]


def test_an_expression_that_does_not_parse_is_told() -> None:
    (found,) = warnings("{{ 1 + }}")

    assert found.startswith("Task [told] (tasks[2]) has an expression that does not parse: ")


def test_a_task_inside_a_flowable_is_warned_of_once_and_by_its_own_name() -> None:
    more = f"""
  - id: outer
    type: io.kestra.plugin.core.flow.Sequential
    tasks:
      - {{id: inner, type: {LOG}, message: "{{{{ outputs.zz }}}}"}}
"""
    assert warnings("hi", more) == [
        "Task [inner] (tasks[3].tasks[0]) refers to the unknown task [zz]"
    ]


def test_warnings_end_somewhere() -> None:
    many = " ".join(f"{{{{ outputs.none{i} }}}}" for i in range(WARNINGS_MAX + 1))

    assert len(warnings(many)) == WARNINGS_MAX
