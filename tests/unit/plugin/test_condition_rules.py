"""Conditions: each type, both ways, and what cannot be judged."""

from __future__ import annotations

from typing import Any

import pytest

from tiercel_engine.errors import UserError
from tiercel_engine.expression.render import Renderer
from tiercel_engine.plugin.condition_rules import BrokenCondition, Source, Subject, hold

NEW = "io.kestra.plugin.core.condition."
SOURCE = Source(
    namespace="company.team",
    flow_id="upstream",
    state="SUCCESS",
    labels={"env": "prod", "n": "1"},
    outputs={"rows": 3},
    retried=frozenset({"SUCCESS"}),
)


def judged(condition: dict[str, Any], date: str = "2024-05-06T10:00:00Z", **more: Any) -> bool:
    variables = {"trigger": {"date": date}, "flow": {"id": "f"}}
    return hold([condition], Subject(Renderer(), variables, more.get("source", SOURCE)))


def of(name: str, **properties: Any) -> dict[str, Any]:
    return {"type": NEW + name, **properties}


WEEKEND = of("Weekend")
LABELS = [{"key": "env", "value": "prod"}]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (of("DateTimeBetween", after="2024-05-06T09:59:59Z", before="2024-05-07T00:00:00Z"), True),
        (of("DateTimeBetween", after="2024-05-06T10:00:00Z"), False),
        (of("DateTimeBetween", before="2024-05-06T12:00:00+02:00"), False),
        (of("DateTimeBetween", date="2020-01-01T00:00:00Z", before="2021-01-01T00:00:00Z"), True),
        (of("DayWeek", dayOfWeek="MONDAY"), True),
        (of("DayWeek", dayOfWeek="TUESDAY"), False),
        (of("DayWeekInMonth", dayOfWeek="MONDAY", dayInMonth="FIRST"), True),
        (of("DayWeekInMonth", dayOfWeek="MONDAY", dayInMonth="SECOND"), False),
        (of("DayWeekInMonth", dayOfWeek="TUESDAY", dayInMonth="FIRST"), False),
        (
            of("DayWeekInMonth", dayOfWeek="MONDAY", dayInMonth="LAST", date="2024-05-27"),
            True,
        ),
        (of("TimeBetween", after="09:00:00Z", before="11:00:00Z"), True),
        (of("TimeBetween", after="12:00:00+02:00"), False),
        (of("TimeBetween", after="11:59:00+02:00"), True),
        (WEEKEND, False),
        (of("Weekend", date="2024-05-05T10:00:00Z"), True),
        (of("PublicHoliday", country="FR", date="2024-07-14"), True),
        (of("PublicHoliday", country="FR", date="2024-07-15"), False),
        (of("PublicHoliday", country="DE", subDivision="BY", date="2024-01-06"), True),
        (of("PublicHoliday", country="DE", subDivision="BE", date="2024-01-06"), False),
        (of("Expression", expression="{{ flow.id == 'f' }}"), True),
        (of("Expression", expression="{{ flow.id == 'g' }}"), False),
        (of("ExecutionFlow", namespace="company.team", flowId="upstream"), True),
        (of("ExecutionFlow", namespace="company", flowId="upstream"), False),
        (of("FlowCondition", namespace="company.team", flowId="upstream"), True),
        (of("ExecutionNamespace", namespace="company.team"), True),
        (of("ExecutionNamespace", namespace="company"), False),
        (of("ExecutionNamespace", namespace="company", prefix=True), True),
        (of("ExecutionNamespace", namespace="company", comparison="PREFIX"), True),
        (of("ExecutionNamespace", namespace="team", comparison="SUFFIX"), True),
        (of("FlowNamespaceCondition", namespace="company", prefix=True), True),
        (of("ExecutionLabels", labels={"env": "prod", "n": 1}), True),
        (of("ExecutionLabels", labels=LABELS), True),
        (of("ExecutionLabels", labels={"env": "dev"}), False),
        (of("ExecutionOutputs", expression="{{ trigger.outputs.rows == 3 }}"), True),
        (of("ExecutionOutputs", expression="{{ trigger.outputs.rows > 3 }}"), False),
        (of("ExecutionStatus", **{"in": ["SUCCESS", "WARNING"]}), True),
        (of("ExecutionStatus", **{"in": ["FAILED"]}), False),
        (of("ExecutionStatus", notIn=["SUCCESS"]), False),
        (of("HasRetryAttempt", **{"in": ["SUCCESS"]}), True),
        (of("HasRetryAttempt", notIn=["SUCCESS"]), False),
        (of("Not", conditions=[WEEKEND]), True),
        (of("Not", conditions=[WEEKEND, of("DayWeek", dayOfWeek="MONDAY")]), False),
        (of("Or", conditions=[WEEKEND, of("DayWeek", dayOfWeek="MONDAY")]), True),
        (of("Or", conditions=[WEEKEND]), False),
        ({"type": "io.kestra.core.models.conditions.types.WeekendCondition"}, False),
        (
            {
                "type": "io.kestra.core.models.conditions.types.VariableCondition",
                "expression": "{{ true }}",
            },
            True,
        ),
    ],
)
def test_each_condition_holds_or_not(condition: dict[str, Any], holds: bool) -> None:
    assert judged(condition) is holds


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (of("DayWeek", dayOfWeek="SOMEDAY"), "SOMEDAY"),
        (of("DayWeek"), "to have dayOfWeek"),
        (of("DateTimeBetween", after="soon"), "ISO 8601"),
        (of("DateTimeBetween"), "after or before"),
        (of("TimeBetween", after="late"), "to be a time"),
        (of("PublicHoliday", country="XX"), "holidays"),
        (of("Expression", expression="{{ nothing.there }}"), "nothing"),
        (of("MultipleCondition", conditions={}), "cannot have the condition"),
        (of("ExecutionNamespace", namespace="a", comparison="LIKE"), "EQUALS, PREFIX or SUFFIX"),
    ],
)
def test_what_cannot_be_judged_says_why(condition: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        judged(condition)


def test_a_condition_on_executions_needs_one() -> None:
    with pytest.raises(BrokenCondition, match="needs an execution"):
        judged(of("ExecutionStatus"), source=None)


def test_conditions_inside_each_other_have_a_bound() -> None:
    deep = WEEKEND
    for _ in range(30):
        deep = of("Not", conditions=[deep])
    with pytest.raises(BrokenCondition, match="deep"):
        judged(deep)
