"""What a Flow trigger listens to: one form for `conditions`, `preconditions` and `dependsOn`. Pure.

The executor asks which executions may concern a trigger (`interests`), so that it tells of no
others; the scheduler asks which condition an execution meets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.regex import pattern_for
from tiercel_engine.flow.dialect import Dialect
from tiercel_engine.plugin.condition_rules import BrokenCondition, Condition, Subject, hold
from tiercel_engine.plugin.conditions import condition_type
from tiercel_engine.plugin.triggers import ExecutionFilter, FieldFilter, Flow, TimeWindow
from tiercel_engine.plugin.windows import (
    WindowRule,
    duration_rule,
    end_after,
    end_before,
    rule_of,
)
from tiercel_schemas.state import TERMINATED, State

#: Namespace and flow that executions must have; None for any.
Place = tuple[str | None, str | None]


class Upstream(msgspec.Struct, frozen=True):
    """One condition among several that must be met within a window.

    Attributes:
        key: tells it from the others of its trigger, whatever their order.
    """

    key: str
    namespace: str | None = None
    flow_id: str | None = None
    states: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    when: str | None = None
    conditions: tuple[Condition, ...] = ()
    filter: ExecutionFilter | None = None

    def is_met(self, subject: Subject) -> bool:
        """Whether the subject's execution meets it. Raises UserError."""
        source = subject.execution()
        return (
            self.namespace in (None, source.namespace)
            and self.flow_id in (None, source.flow_id)
            and (not self.states or source.state in self.states)
            and all(source.labels.get(key) == value for key, value in self.labels)
            and (self.when is None or subject.renderer.truthy(self.when, subject.variables))
            and hold(self.conditions, subject)
            and (self.filter is None or _passes(self.filter, subject))
        )


class Several(msgspec.Struct, frozen=True):
    """What a trigger that waits for several executions asks for.

    Attributes:
        needed: how many of the conditions must be met.
        resets: whether a start forgets what had come.
    """

    upstreams: tuple[Upstream, ...]
    window: WindowRule
    needed: int
    resets: bool = True


def states_of(trigger: Flow, dialect: Dialect) -> frozenset[str]:
    """The states in which executions concern the trigger."""
    if trigger.states is not None:
        return frozenset(trigger.states)
    return TERMINATED | {State.PAUSED} if dialect.flow_trigger_pauses else TERMINATED


def own_conditions(trigger: Flow) -> list[Condition]:
    """Conditions that every execution must meet, those with a memory apart."""
    return [one for one in trigger.conditions or () if not _is_multiple(one)]


def several(trigger: Flow) -> Several | None:
    """What it waits for, when one execution alone is not enough.

    Raises:
        Rule: its window lacks something.
    """
    if trigger.depends_on:
        upstreams = tuple(
            _upstream(
                namespace=one.namespace,
                flow_id=one.flow_id,
                states=tuple(one.states or ()),
                labels=one.labels,
                when=one.when,
            )
            for one in trigger.depends_on
        )
        count = len({one.key for one in upstreams})
        needed = {"ALL": count, "ANY": 1, "AT_LEAST": trigger.min_satisfied or 1}[trigger.mode]
        return Several(upstreams, rule_of(trigger.window), min(needed, count))
    if trigger.preconditions is not None:
        wanted = trigger.preconditions
        upstreams = tuple(
            _upstream(
                namespace=one.namespace,
                flow_id=one.flow_id,
                states=tuple(one.states or ()),
                labels=one.labels,
                when=one.when,
            )
            for one in wanted.flows
        ) + tuple(_upstream(filter=one) for one in wanted.where)
        count = len({one.key for one in upstreams})
        return Several(upstreams, rule_of(wanted.time_window), count, wanted.reset_on_success)
    multiple = next((one for one in trigger.conditions or () if _is_multiple(one)), None)
    return None if multiple is None else _multiple(multiple)


def _multiple(condition: Condition) -> Several:
    inner = condition.get("conditions") or {}
    written = condition.get("timeWindow")
    window = (
        rule_of(TimeWindow.model_validate(written, by_alias=True))
        if isinstance(written, Mapping)
        else duration_rule(condition.get("window"), condition.get("windowAdvance"))
    )
    upstreams = tuple(Upstream(key=str(name), conditions=(one,)) for name, one in inner.items())
    resets = str(condition.get("resetOnSuccess", "true")).lower() != "false"
    return Several(upstreams, window, len(upstreams), resets)


class MissRules(msgspec.Struct, frozen=True):
    """When a trigger with `onMiss` looks whether its window ended before all had come.

    Attributes:
        grace_us: how long after the end, so that news of what came in time has been heard.
    """

    window: WindowRule
    default_zone: str
    grace_us: int

    def next(self, after_us: int) -> int | None:
        """The first look after an instant."""
        return self.end_after(after_us - self.grace_us) + self.grace_us

    def end_after(self, at_us: int) -> int:
        """The first end of a window after an instant."""
        return end_after(self.window, at_us, self.default_zone)

    def end_of(self, look_us: int) -> int:
        """The end that a look is about: the last one that it is late enough for."""
        return end_before(self.window, look_us - self.grace_us, self.default_zone)


def miss_rules(trigger: Flow, default_zone: str, grace_us: int) -> MissRules | None:
    """None: nothing happens when it waits in vain. Raises Rule as `several`."""
    wanted = several(trigger) if trigger.on_miss is not None else None
    return None if wanted is None else MissRules(wanted.window, default_zone, grace_us)


def interests(trigger: Flow, dialect: Dialect) -> tuple[frozenset[Place], frozenset[str]]:
    """Places and states of executions that may concern the trigger; more than those that do."""
    parts = several(trigger)
    places: set[Place] = set()
    own = _place(own_conditions(trigger))
    if parts is None:
        places.add(own)
    else:
        for one in parts.upstreams:
            place = _place(one.conditions)
            places.add((one.namespace or place[0] or own[0], one.flow_id or place[1] or own[1]))
    return frozenset(places), states_of(trigger, dialect)


def needs_retries(trigger: Flow) -> bool:
    """Whether a condition asks for task runs that needed several attempts."""
    asked = [trigger.when, *(one.when for one in trigger.depends_on)]
    return "HasRetryAttempt" in str(trigger.conditions) or "hasRetryAttempt" in str(asked)


def _place(conditions: Any) -> Place:
    """What conditions that must all hold say of namespace and flow, as far as it is plain."""
    namespace = flow_id = None
    for one in conditions:
        name = (condition_type(str(one.get("type"))) or "").rpartition(".")[2]
        if name in ("ExecutionFlow", "FlowCondition"):
            namespace, flow_id = _plain(one.get("namespace")), _plain(one.get("flowId"))
        elif name in ("ExecutionNamespace", "FlowNamespaceCondition"):
            is_equal = str(one.get("comparison", "EQUALS")).upper() == "EQUALS"
            if is_equal and str(one.get("prefix", "false")).lower() != "true":
                namespace = _plain(one.get("namespace"))
    return namespace, flow_id


def _plain(value: Any) -> str | None:
    return None if value is None or "{" in str(value) else str(value)


def _is_multiple(condition: Condition) -> bool:
    name = condition_type(str(condition.get("type"))) or ""
    return name.endswith(".MultipleCondition")


def _upstream(**parts: Any) -> Upstream:
    """One whose key is a digest of what it says."""
    said = [parts.get(name) for name in ("namespace", "flow_id", "states", "labels", "when")]
    written = parts.get("filter")
    said.append(None if written is None else written.model_dump(mode="json"))
    digest = hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:16]
    return Upstream(key=digest, **parts)


def _passes(one: ExecutionFilter, subject: Subject) -> bool:
    found: Iterator[bool] = (_compare(part, subject) for part in one.filters)
    return any(found) if one.operand == "OR" else all(found)


def _compare(part: FieldFilter, subject: Subject) -> bool:
    source = subject.execution()
    if part.field == "EXPRESSION":
        left = subject.renderer.text(part.value or "", subject.variables).strip()
        values = list(part.values or ())
    else:
        fields = {"FLOW_ID": source.flow_id, "NAMESPACE": source.namespace, "STATE": source.state}
        left = fields[part.field]
        values = list(part.values or ([] if part.value is None else [part.value]))
    value = values[0] if values else ""
    match part.type:
        case "EQUAL_TO":
            return left == value
        case "NOT_EQUAL_TO":
            return left != value
        case "IN":
            return left in values
        case "NOT_IN":
            return left not in values
        case "IS_TRUE":
            return left == "true"
        case "IS_FALSE":
            return left == "false"
        case "IS_NULL":
            return left == ""
        case "IS_NOT_NULL":
            return left != ""
        case "STARTS_WITH":
            return left.startswith(value)
        case "ENDS_WITH":
            return left.endswith(value)
        case "CONTAINS":
            return value in left
        case "REGEX":
            return _matches(value, left)


def _matches(pattern: str, text: str) -> bool:
    try:
        return pattern_for(pattern, text).fullmatch(text) is not None
    except Fault as fault:
        raise BrokenCondition(fault.message) from fault
