"""The words, paths and places with which flows are refused."""

from __future__ import annotations

import pytest
from tests.unit.flow.flow_types import FLOW, HEAD, refusal, violations

from tiercel_engine.flow.report import VIOLATIONS_MAX

IN_TASK = 'io.kestra.core.models.flows.Flow["tasks"]->java.util.ArrayList[0]'


def test_an_unknown_property_of_the_flow_names_it_and_the_known_ones() -> None:
    error = refusal(FLOW + "foo: 1")

    (violation,) = error.violations
    assert violation.path == 'io.kestra.core.models.flows.Flow["foo"]'
    assert (violation.line, violation.column) == (5, 1)
    assert violation.message.startswith(
        'Unrecognized field "foo" (class io.kestra.core.models.flows.Flow),'
        " not marked as ignorable (26 known properties: "
    )
    assert '"pluginDefaults"' in violation.message
    assert str(error) == violation.message


def test_an_unknown_property_of_a_task_names_the_type() -> None:
    (violation, *_) = violations(HEAD + "tasks:\n- {id: a, type: old.Say, mesage: x}")

    assert violation.path == IN_TASK + '->test.Say["mesage"]'
    assert violation.message.startswith('Unrecognized field "mesage" (class test.Say)')
    assert (violation.line, violation.column) == (4, 26)


@pytest.mark.parametrize(
    ("extra", "path"),
    [
        ("labels: {a: b}\nconcurrency: {limit: 1, x: 1}", 'Flow["concurrency"]->'),
        ("retry: {type: constant, x: 1}", 'Flow["retry"]->'),
        ("inputs: [{id: a, type: INT, x: 1}]", "ArrayList[0]->io.kestra.core.models.flows.input"),
        ("outputs: [{id: a, x: 1}]", 'Flow["outputs"]->'),
        ("sla: [{id: a, type: MAX_DURATION, behavior: FAIL, duration: PT1S, x: 1}]", "sla.SLA"),
        ("pluginDefaults: [{type: a, x: 1}]", "PluginDefault"),
        ("listeners: [{x: 1}]", "Listener"),
        ("triggers: [{id: a, type: io.kestra.plugin.core.trigger.Webhook, key: k, x: 1}]", "Webh"),
        (
            "errors: [{id: b, type: io.kestra.plugin.core.flow.Switch, value: a,"
            " cases: {c: [{id: d, type: test.Say, message: m, x: 1}]}}]",
            'Switch["cases"]->java.util.LinkedHashMap["c"]->java.util.ArrayList[0]->test.Say["x"]',
        ),
    ],
)
def test_an_unknown_property_is_refused_at_every_level(extra: str, path: str) -> None:
    (violation,) = violations(FLOW + extra)
    assert 'Unrecognized field "x"' in violation.message
    assert path in violation.path


@pytest.mark.parametrize(
    "written", ["allow_failure: true", "run_if: 'true'", "retry: {type: constant, max_attempts: 1}"]
)
def test_the_names_of_our_attributes_are_no_properties(written: str) -> None:
    (violation,) = violations(HEAD + f"tasks:\n- {{id: a, type: test.Say, message: m, {written}}}")
    assert "Unrecognized field" in violation.message
    task = violations(HEAD + "tasks: [{id: a, type: test.Say, message: m}]\nafter_execution: []")
    assert 'Unrecognized field "after_execution"' in task[0].message


def test_an_unknown_type_is_told_twice_as_clients_expect() -> None:
    error = refusal(HEAD + "tasks:\n- id: a\n  type: nope.Nope")

    assert str(error) == "Invalid type: nope.Nope"
    first, second = error.violations
    assert (first.path, first.message) == (IN_TASK, "Invalid type: nope.Nope")
    assert (first.line, first.column) == (5, 9)
    assert second.path == IN_TASK
    assert second.message.startswith("Could not resolve type id 'nope.Nope' as a subtype of")


def test_a_missing_type_is_an_invalid_one() -> None:
    assert str(refusal(HEAD + "tasks: [{id: a}]")) == "Invalid type: null"


def test_a_wrong_type_tells_what_was_there_and_where() -> None:
    (violation,) = violations(FLOW.replace("id: greet", "id: [a]"))
    assert violation.path == "yaml"
    assert violation.message == (
        "Cannot deserialize value of type `java.lang.String` from Array value"
        " (token `JsonToken.START_ARRAY`)\n at [Source: (StringReader); line: 1, column: 5]"
        ' (through reference chain: io.kestra.core.models.flows.Flow["id"])'
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "namespace: a\n" + FLOW.split("\n", 2)[2],
            "id: must not be null\nid: must not be blank\n",
        ),
        (HEAD, "tasks: must not be empty\n"),
        (HEAD + "tasks: []", "tasks: must not be empty\n"),
        (HEAD + "tasks: ", "tasks: must not be empty\n"),
        (FLOW.replace("greet", "a b"), 'id: must match "^[a-zA-Z0-9][a-zA-Z0-9._-]*"\n'),
        (FLOW.replace("greet", '"a\\n"'), 'id: must match "^[a-zA-Z0-9][a-zA-Z0-9._-]*"\n'),
        (FLOW.replace("greet", "ａ"), 'id: must match "^[a-zA-Z0-9][a-zA-Z0-9._-]*"\n'),
        (FLOW.replace("greet", "x" * 101), "id: size must be between 1 and 100\n"),
        (FLOW.replace("team", "Team"), 'namespace: must match "^[a-z0-9][a-z0-9._-]*"\n'),
        (FLOW.replace("team", "x" * 151), "namespace: size must be between 1 and 150\n"),
        (
            FLOW.replace("id: say", "id: s y"),
            'tasks[0].id: must match "^[a-zA-Z0-9][a-zA-Z0-9_-]*"\n',
        ),
        (
            FLOW + "concurrency: {limit: 0}",
            "concurrency.limit: must be greater than or equal to 1\n",
        ),
        (
            FLOW + "labels: [{key: a}]",
            "labels: labels must be a map of texts or a list of {key, value}\n",
        ),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused_by_its_path(source: str, text: str) -> None:
    assert str(refusal(source)) == text


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ("errors: [{id: say, type: test.Say, message: m}]", "Duplicate task id with name [say]"),
        ("inputs: [{id: a, type: INT}, {id: a, type: INT}]", "Duplicate input id with name [a]"),
        ("outputs: [{id: a}, {id: a}, {id: a}]", "Duplicate output id with name [a]"),
        (
            "triggers: [&t {id: a, type: io.kestra.plugin.core.trigger.Webhook, key: k}, *t]",
            "Duplicate trigger id with name [a]",
        ),
        (
            "inputs: [{id: a, type: INT, dependsOn: {inputs: [b]}}]",
            "Input [a] depends on a non-existent input [b]",
        ),
        (
            "inputs: [{id: a, type: INT, dependsOn: {inputs: [b]}},"
            " {id: b, type: INT, dependsOn: {inputs: [a]}}]",
            "Cyclic dependency detected among the inputs [a, b]",
        ),
        (
            "labels: {system.username: root}",
            "System labels are set by the server only, but there is system.username=root",
        ),
        (
            "errors: [{id: b, type: io.kestra.plugin.core.flow.Subflow, namespace: team,"
            " flowId: greet}]",
            "Recursive call to flow [team.greet]",
        ),
    ],
)
def test_rules_over_several_parts_are_told_together(extra: str, problem: str) -> None:
    error = refusal(FLOW + extra)

    assert str(error) == f": Invalid Flow: {problem}\n"
    (violation,) = error.violations
    assert (violation.path, violation.message) == ("", f"Invalid Flow: {problem}")
    assert violation.line >= 1


def test_the_place_of_a_duplicate_is_that_of_the_second_one() -> None:
    (violation,) = violations(FLOW + "errors:\n  - {id: say, type: test.Say, message: m}")
    assert (violation.line, violation.column) == (6, 5)


def test_every_violation_is_reported_at_once_in_the_order_of_the_text() -> None:
    found = violations(
        "id: a b\nnamespace: team\nfoo: 1\ntasks:\n"
        "- {id: x, type: test.Say, message: m, bar: 1}\n- {id: y, type: nope}\n- 12\n"
    )

    assert [(v.line, v.message.split("\n")[0][:26]) for v in found] == [
        (3, 'Unrecognized field "foo" (c'[:26]),
        (5, 'Unrecognized field "bar" (c'[:26]),
        (6, "Invalid type: nope"),
        (6, "Could not resolve type id '"[:26]),
        (7, "Cannot deserialize value of"[:26]),
        (1, 'must match "^[a-zA-Z0-9][a-zA-Z0-9._-]*"'[:26]),
    ]


def test_a_flow_with_very_many_mistakes_gets_a_bounded_answer() -> None:
    error = refusal(HEAD + "".join(f"k{i}: 1\n" for i in range(5_000)))
    assert len(error.violations) == VIOLATIONS_MAX


def test_reserved_ids_are_refused_only_in_dialect_2() -> None:
    source = FLOW.replace("greet", "kill")
    assert "reserved word" in str(refusal(source, dialect="2.0"))
