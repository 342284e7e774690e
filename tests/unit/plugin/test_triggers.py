"""The properties of triggers and the types of conditions."""

from __future__ import annotations

import pytest
from tests.unit.flow.flow_types import FLOW, load, refusal

from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.plugin.conditions import condition_type
from tiercel_engine.plugin.triggers import Flow, Schedule, ScheduleOnDates, Webhook

NEW = "io.kestra.plugin.core.trigger"
OLD = "io.kestra.core.models.triggers.types"


def trigger(kind: str, properties: str) -> Trigger:
    """The one trigger of a flow."""
    (found,) = load(FLOW + f"triggers:\n  - {{id: t, type: {kind}, {properties}}}").triggers
    return found


@pytest.mark.parametrize("package", [NEW, OLD])
def test_a_webhook_has_a_key(package: str) -> None:
    hook = trigger(f"{package}.Webhook", "key: abc, inputs: {a: 1}, wait: true")
    assert isinstance(hook, Webhook)
    assert (hook.key, hook.inputs, hook.wait, hook.fetch_type) == ("abc", {"a": 1}, True, "FETCH")
    assert hook.properties["key"] == "abc"


def test_a_schedule_has_a_cron_expression() -> None:
    schedule = trigger(
        f"{NEW}.Schedule",
        "cron: '0 9 * * 1', timezone: Europe/Berlin, lateMaximumDelay: PT10M,"
        " recoverMissedSchedules: LAST, when: '{{ x }}', stopAfter: [FAILED], labels: {a: b}",
    )
    assert isinstance(schedule, Schedule)
    assert (schedule.cron, schedule.late_maximum_delay) == ("0 9 * * 1", 600.0)
    on_dates = trigger(f"{NEW}.ScheduleOnDates", "dates: [2024-01-01T00:00:00Z]")
    assert isinstance(on_dates, ScheduleOnDates)
    assert on_dates.dates == ["2024-01-01T00:00:00Z"]


def test_a_flow_trigger_speaks_both_dialects() -> None:
    old = trigger(
        f"{OLD}.Flow",
        "inputs: {a: '{{ outputs }}'}, states: [SUCCESS], preconditions: {id: p,"
        " flows: [{namespace: n, flowId: f, states: [FAILED], labels: {a: b}}],"
        " where: [{id: w, filters: [{field: EXPRESSION, type: IS_TRUE, value: x}]}],"
        " timeWindow: {type: DAILY_TIME_DEADLINE, deadline: '09:00:00'}}",
    )
    new = trigger(
        f"{NEW}.Flow",
        "dependsOn: [{namespace: n, flowId: f, when: x}], mode: AT_LEAST, minSatisfied: 1,"
        " window: {every: P1D, offset: PT1H}, when: y",
    )
    assert isinstance(old, Flow)
    assert old.preconditions is not None
    assert old.preconditions.flows[0].labels == (("a", "b"),)
    assert isinstance(new, Flow)
    assert new.window is not None
    assert new.window.every == 86_400.0


@pytest.mark.parametrize(
    ("kind", "properties", "words"),
    [
        ("Flow", "window: {deadline: '09:00:00', lookback: PT1H}", "a window has one of"),
        ("Flow", "window: {from: '09:00:00'}", "must have both"),
        ("Flow", "window: {offset: PT1H}", "must have every"),
        ("Flow", "window: {every: PT0S}", "longer than nothing"),
        ("Flow", "mode: AT_LEAST, dependsOn: [{flowId: a}]", "minSatisfied of at most 1"),
        ("Flow", "onMiss: {behavior: FAIL}", "needs dependsOn or preconditions"),
        ("Flow", "onMiss: {}, dependsOn: [{flowId: a}], window: {lookback: PT1H}", "that ends"),
        ("Flow", "onMiss: {behavior: WARN}, dependsOn: [{flowId: a}]", "behavior"),
        ("Webhook", "wait: false", "triggers[0].key: must not be null"),
        ("Webhook", "key: ' '", "key must have between 1 and 256 characters"),
        ("Webhook", "key: a, kye: b", 'Unrecognized field "kye" (class io.kestra.plugin.core.tr'),
        ("Schedule", "timezone: UTC", "triggers[0].cron: must not be null"),
        ("Schedule", "cron: x, recoverMissedSchedules: SOME", "Input should be"),
        ("Flow", "preconditions: {flows: []}", "preconditions.id: must not be null"),
        ("Flow", "dependsOn: [{flow: f}]", 'Unrecognized field "flow"'),
        ("Flow", "conditions: [{type: nope}]", "Invalid type: nope"),
        ("Flow", "conditions: [{in: [A]}]", "Invalid type: null"),
        ("Nope", "a: b", f"Invalid type: {NEW}.Nope"),
    ],
)
def test_a_trigger_that_makes_no_sense_is_refused(kind: str, properties: str, words: str) -> None:
    error = refusal(FLOW + f"triggers:\n  - {{id: t, type: {NEW}.{kind}, {properties}}}")
    assert words in str(error)


def test_unknown_conditions_are_found_inside_others() -> None:
    condition = "io.kestra.plugin.core.condition"
    source = (
        FLOW
        + f"""\
triggers:
  - id: t
    type: {NEW}.Flow
    conditions:
      - type: {condition}.Or
        conditions: [{{type: {condition}.Weekend}}]
      - type: {condition}.MultipleCondition
        conditions: {{a: {{type: {condition}.Weekday}}}}
"""
    )
    assert f"Invalid type: {condition}.Weekday" in str(refusal(source))
    assert load(source.replace("Weekday", "Weekend")).triggers


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("Weekend, day: MONDAY", "Weekend: day: Extra inputs are not permitted"),
        ("DayWeek", "DayWeek: dayOfWeek: Field required"),
        (
            "Not, conditions: [{type: io.kestra.plugin.core.condition.DayWeek}]",
            "DayWeek: dayOfWeek",
        ),
        ("ExecutionLabels, labels: 1", "ExecutionLabels: labels: labels must be a map"),
    ],
)
def test_a_condition_has_the_properties_of_its_type(condition: str, words: str) -> None:
    source = FLOW + (
        f"triggers:\n  - id: t\n    type: {NEW}.Flow\n    conditions:\n"
        f"      - {{type: io.kestra.plugin.core.condition.{condition}}}\n"
    )

    assert words in str(refusal(source))
    # A stored flow is taken as it is: its trigger still is one.
    stored = load(source, lenient=True).triggers
    assert isinstance(stored[0], Flow)


@pytest.mark.parametrize(
    ("name", "today"),
    [
        ("io.kestra.plugin.core.condition.Weekend", "Weekend"),
        ("io.kestra.plugin.core.condition.WeekendCondition", "Weekend"),
        ("io.kestra.core.models.conditions.types.WeekendCondition", "Weekend"),
        ("io.kestra.core.models.conditions.types.VariableCondition", "Expression"),
        ("io.kestra.core.models.conditions.types.MultipleCondition", "MultipleCondition"),
        ("io.kestra.plugin.core.condition.FlowCondition", "FlowCondition"),
    ],
)
def test_a_condition_has_older_names(name: str, today: str) -> None:
    assert condition_type(name) == f"io.kestra.plugin.core.condition.{today}"


def test_an_unknown_condition_has_no_name() -> None:
    assert condition_type("io.kestra.plugin.core.condition.Moon") is None
