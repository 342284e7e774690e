"""Whether conditions hold: pure rules over a date, an execution and variables.

Follows the peer's condition types of `conditions.py`; dates are compared strictly, as there. The
scheduler, the API's webhooks and the flow triggers ask here. MultipleCondition has a memory and
belongs to the windows of flow triggers.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time
from types import MappingProxyType
from typing import Any

import msgspec

from tiercel_engine.errors import UserError
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.moments import parse_iso
from tiercel_engine.expression.render import Renderer
from tiercel_engine.later import later
from tiercel_engine.plugin.conditions import condition_type

_holidays = later("holidays")

DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
POSITIONS = {"FIRST": 1, "SECOND": 2, "THIRD": 3, "FOURTH": 4}
DATE = "{{ trigger.date }}"
#: Conditions inside conditions.
DEPTH_MAX = 20

Condition = Mapping[str, Any]


class BrokenCondition(UserError):
    """A condition that cannot be judged; the message says why."""


class Source(msgspec.Struct, frozen=True):
    """The execution that conditions look at.

    Attributes:
        outputs: those of its flow.
        retried: states of task runs that needed more than one attempt.
    """

    namespace: str
    flow_id: str
    state: str
    labels: Mapping[str, str] = MappingProxyType({})
    outputs: Mapping[str, Any] = MappingProxyType({})
    retried: frozenset[str] = frozenset()


class Subject(msgspec.Struct, frozen=True):
    """What conditions are judged against.

    Attributes:
        variables: what templates see.
        source: the execution; None for schedules and webhooks.
    """

    renderer: Renderer
    variables: Mapping[str, Any]
    source: Source | None = None

    def text(self, condition: Condition, name: str, default: str | None = None) -> str:
        """A rendered property."""
        value = condition.get(name, default)
        if value is None:
            raise BrokenCondition(f"Expected the condition to have {name}, but it has none.")
        return self.renderer.text(str(value), self.variables).strip()

    def execution(self) -> Source:
        if self.source is None:
            raise BrokenCondition("This condition needs an execution, but there is none here.")
        return self.source


def hold(conditions: Sequence[Condition], subject: Subject, depth: int = 0) -> bool:
    """Whether all conditions hold.

    Raises:
        BrokenCondition, InvalidExpression: one cannot be judged.
    """
    if depth > DEPTH_MAX:
        raise BrokenCondition(f"Expected conditions at most {DEPTH_MAX} deep.")
    return all(_holds(one, subject, depth) for one in conditions)


def _holds(condition: Condition, subject: Subject, depth: int) -> bool:
    name = (condition_type(str(condition.get("type"))) or "").rpartition(".")[2]
    if name in ("Not", "Or"):
        inner = condition.get("conditions") or ()
        found = (hold([one], subject, depth + 1) for one in inner)
        return any(found) if name == "Or" else not any(found)
    rule = RULES.get(name)
    if rule is None:
        raise BrokenCondition(f"A trigger of this type cannot have the condition {name}.")
    return rule(condition, subject)


def _moment(text: str) -> datetime:
    try:
        found = parse_iso(text)
    except Fault as fault:
        raise BrokenCondition(fault.message) from fault
    if found is None:
        raise BrokenCondition(f"Expected an ISO 8601 date, but it was {text!r}.")
    if not isinstance(found, datetime):
        found = datetime.combine(found, time())
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _date(condition: Condition, subject: Subject) -> datetime:
    return _moment(subject.text(condition, "date", DATE))


def _date_time_between(condition: Condition, subject: Subject) -> bool:
    date = _date(condition, subject)
    after, before = (
        _moment(subject.text(condition, name)) if condition.get(name) is not None else None
        for name in ("after", "before")
    )
    if after is None and before is None:
        raise BrokenCondition("Expected DateTimeBetween to have after or before.")
    return (after is None or date > after) and (before is None or date < before)


def _day_week(condition: Condition, subject: Subject) -> bool:
    return DAYS[_date(condition, subject).weekday()] == _day(condition, subject)


def _day(condition: Condition, subject: Subject) -> str:
    day = subject.text(condition, "dayOfWeek").upper()
    if day not in DAYS:
        raise BrokenCondition(f"Expected dayOfWeek to be one of {', '.join(DAYS)}, not {day!r}.")
    return day


def _day_week_in_month(condition: Condition, subject: Subject) -> bool:
    date = _date(condition, subject)
    if DAYS[date.weekday()] != _day(condition, subject):
        return False
    position = subject.text(condition, "dayInMonth").upper()
    if position == "LAST":
        return date.day + 7 > monthrange(date.year, date.month)[1]
    if position not in POSITIONS:
        raise BrokenCondition(f"Expected dayInMonth to be FIRST … FOURTH or LAST, not {position!r}")
    return (date.day + 6) // 7 == POSITIONS[position]


def _time_between(condition: Condition, subject: Subject) -> bool:
    """Times have offsets; the date is looked at in the offset of each bound."""
    date = _date(condition, subject)

    def bound(name: str) -> time | None:
        if condition.get(name) is None:
            return None
        text = subject.text(condition, name)
        try:
            found = time.fromisoformat(text)
        except ValueError:
            raise BrokenCondition(f"Expected {name} to be a time, but it was {text!r}.") from None
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

    after, before = bound("after"), bound("before")
    if after is None and before is None:
        raise BrokenCondition("Expected TimeBetween to have after or before.")
    is_after = after is None or date.astimezone(after.tzinfo).time() > after.replace(tzinfo=None)
    is_before = before is None or date.astimezone(before.tzinfo).time() < before.replace(
        tzinfo=None
    )
    return is_after and is_before


def _weekend(condition: Condition, subject: Subject) -> bool:
    return _date(condition, subject).weekday() >= 5


def _public_holiday(condition: Condition, subject: Subject) -> bool:
    date = _date(condition, subject)
    country = subject.text(condition, "country")
    part = subject.text(condition, "subDivision") if condition.get("subDivision") else None
    try:
        return date.date() in _holidays().country_holidays(country, subdiv=part, years=date.year)
    except NotImplementedError as error:
        raise BrokenCondition(f"Expected a country with known holidays, but {error}") from error


def _expression(condition: Condition, subject: Subject) -> bool:
    return subject.text(condition, "expression") not in ("", "false")


def _execution_flow(condition: Condition, subject: Subject) -> bool:
    source = subject.execution()
    return (source.namespace, source.flow_id) == (
        subject.text(condition, "namespace"),
        subject.text(condition, "flowId"),
    )


def _execution_namespace(condition: Condition, subject: Subject) -> bool:
    wanted = subject.text(condition, "namespace")
    is_prefix = str(condition.get("prefix", "false")).lower() == "true"
    how = subject.text(condition, "comparison", "PREFIX" if is_prefix else "EQUALS").upper()
    namespace = subject.execution().namespace
    match how:
        case "EQUALS":
            return namespace == wanted
        case "PREFIX":
            return namespace.startswith(wanted)
        case "SUFFIX":
            return namespace.endswith(wanted)
    raise BrokenCondition(f"Expected comparison to be EQUALS, PREFIX or SUFFIX, but it was {how}.")


def _execution_labels(condition: Condition, subject: Subject) -> bool:
    labels = condition.get("labels") or {}
    if isinstance(labels, Sequence):
        labels = {one.get("key"): one.get("value") for one in labels}
    known = subject.execution().labels
    return all(known.get(str(key)) == str(value) for key, value in labels.items())


def _execution_outputs(condition: Condition, subject: Subject) -> bool:
    outputs = {"trigger": {"outputs": subject.execution().outputs}}
    text = subject.renderer.text(str(condition.get("expression", "")), outputs).strip()
    return text == "true"


def _execution_status(condition: Condition, subject: Subject) -> bool:
    return _is_among(condition, {subject.execution().state})


def _has_retry_attempt(condition: Condition, subject: Subject) -> bool:
    retried = subject.execution().retried
    return bool(retried) and _is_among(condition, retried)


def _is_among(condition: Condition, states: set[str] | frozenset[str]) -> bool:
    wanted, unwanted = condition.get("in") or (), condition.get("notIn") or ()
    if wanted and not any(state in wanted for state in states):
        return False
    return not any(state in unwanted for state in states)


#: The rule of each condition type.
RULES: dict[str, Callable[[Condition, Subject], bool]] = {
    "DateTimeBetween": _date_time_between,
    "DayWeek": _day_week,
    "DayWeekInMonth": _day_week_in_month,
    "ExecutionFlow": _execution_flow,
    "ExecutionLabels": _execution_labels,
    "ExecutionNamespace": _execution_namespace,
    "ExecutionOutputs": _execution_outputs,
    "ExecutionStatus": _execution_status,
    "Expression": _expression,
    "FlowCondition": _execution_flow,
    "FlowNamespaceCondition": _execution_namespace,
    "HasRetryAttempt": _has_retry_attempt,
    "PublicHoliday": _public_holiday,
    "TimeBetween": _time_between,
    "Weekend": _weekend,
}
