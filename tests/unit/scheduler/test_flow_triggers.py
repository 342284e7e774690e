"""Flow triggers over a log in memory: executor and scheduler together, under a fake clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.executor_harness import TOPICS
from tests.scheduler_harness import CORE, Stage, flow, us

from tiercel_engine.clock import FakeClock
from tiercel_engine.eventlog.memory import MemoryLog
from tiercel_schemas import codec
from tiercel_schemas import triggers as t
from tiercel_schemas.logs import LogEntry


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    clock = FakeClock(us("2025-03-05T10:00:00"))
    stage = Stage(MemoryLog(clock), clock, tmp_path)
    stage.scheduler()
    yield stage
    stage.close()


def source(flow_id: str, rest: str = "") -> str:
    return f"""id: {flow_id}
namespace: tests
{rest}
tasks:
  - {{id: work, type: io.kestra.plugin.core.log.Log, message: hi}}
"""


def on_flow(*lines: str) -> str:
    rest = "".join(f"    {line}\n" for line in lines)
    return f"  - id: after\n    type: {CORE}.trigger.Flow\n{rest}"


def run(stage: Stage, number: int, flow_id: str, state: str = "SUCCESS") -> str:
    """Run an execution to its end, and let everybody hear of it."""
    execution_id = stage.bench.create(number, flow_id)
    stage.turns(8, state)
    return execution_id


UPSTREAM = (
    "conditions:",
    f"  - type: {CORE}.condition.ExecutionFlow",
    "    namespace: tests",
    "    flowId: first",
)


def test_an_execution_starts_when_another_has_ended(stage: Stage) -> None:
    outputs = "outputs:\n  - {id: rows, type: STRING, value: 'n3'}"
    stage.save(source("first", outputs), "first")
    stage.save(source("other"), "other")
    inputs = "inputs:\n  - {id: rows, type: STRING}"
    triggers = on_flow(*UPSTREAM, 'inputs: {rows: "{{ trigger.outputs.rows }}"}')
    stage.save(flow("second", triggers, inputs), "second")
    run(stage, 1, "other")
    assert stage.created("second") == []

    execution_id = run(stage, 2, "first")

    (created,) = stage.created("second")
    variables = stage.variables(created)
    assert variables["executionId"] == execution_id
    assert (variables["namespace"], variables["flowId"]) == ("tests", "first")
    assert (variables["flowRevision"], variables["state"]) == (1, "SUCCESS")
    assert created.inputs.json == '{"rows":"n3"}'


def test_each_change_of_state_that_is_wanted_starts_one(stage: Stage) -> None:
    stage.save(source("first"), "first")
    stage.save(flow("second", on_flow("states: [RUNNING, FAILED]", *UPSTREAM)), "second")

    run(stage, 1, "first", "FAILED")
    run(stage, 2, "first", "SUCCESS")

    states = [stage.variables(x)["state"] for x in stage.created("second")]
    assert sorted(states) == ["FAILED", "RUNNING", "RUNNING"]


def test_one_flow_watches_a_namespace_and_never_starts_itself(stage: Stage) -> None:
    alert = (
        "states: [FAILED, WARNING]",
        "conditions:",
        f"  - type: {CORE}.condition.ExecutionNamespace",
        "    namespace: tests",
        "    prefix: true",
    )
    stage.save(source("first"), "first")
    stage.save(flow("alert", on_flow(*alert)), "alert")

    run(stage, 1, "first", "FAILED")
    stage.turns(20, "FAILED")

    assert len(stage.created("alert")) == 1


def test_a_trigger_without_conditions_hears_of_everything_but_its_own_flow(stage: Stage) -> None:
    stage.save(source("first"), "first")
    stage.save(flow("second", on_flow()), "second")

    run(stage, 1, "first")
    stage.turns(20)

    assert len(stage.created("second")) == 1


def test_all_of_depends_on_must_come_within_the_window(stage: Stage) -> None:
    for name in ("first", "other"):
        outputs = f"outputs:\n  - {{id: name, type: STRING, value: {name}}}"
        stage.save(source(name, outputs), name)
    wanted = (
        "dependsOn:",
        "  - {namespace: tests, flowId: first, states: [SUCCESS]}",
        "  - {namespace: tests, flowId: other}",
        "window: {lookback: PT1H}",
    )
    stage.save(flow("second", on_flow(*wanted)), "second")
    run(stage, 1, "first")
    stage.clock.advance(2 * 3600)
    run(stage, 2, "other")
    assert stage.created("second") == []
    run(stage, 3, "first", "FAILED")
    assert stage.created("second") == []

    last = run(stage, 4, "first")

    (created,) = stage.created("second")
    variables = stage.variables(created)
    assert variables["executionId"] == last
    assert variables["outputs"]["first"] == {"name": "first"}
    assert variables["outputs"]["other"] == {"name": "other"}
    run(stage, 5, "first")
    assert len(stage.created("second")) == 1, "what had come counts once"


@pytest.mark.parametrize(
    ("mode", "starts"), [("ANY", 2), ("ALL", 1), ("AT_LEAST\n    minSatisfied: 1", 2)]
)
def test_the_mode_says_how_many_must_come(stage: Stage, mode: str, starts: int) -> None:
    for name in ("first", "other"):
        stage.save(source(name), name)
    wanted = (
        "dependsOn:",
        "  - {namespace: tests, flowId: first}",
        "  - {namespace: tests, flowId: other}",
        f"mode: {mode}",
    )
    stage.save(flow("second", on_flow(*wanted)), "second")

    run(stage, 1, "first")
    run(stage, 2, "other")

    assert len(stage.created("second")) == starts


PRECONDITIONS = (
    "preconditions:",
    "  id: both",
    "  resetOnSuccess: {reset}",
    "  timeWindow: {{type: DAILY_TIME_DEADLINE, deadline: '12:00:00'}}",
    "  flows:",
    "    - {{namespace: tests, flowId: first, states: [SUCCESS]}}",
    "  where:",
    "    - id: other",
    "      filters:",
    "        - {{field: FLOW_ID, type: EQUAL_TO, value: other}}",
    "        - {{field: STATE, type: IN, values: [SUCCESS, WARNING]}}",
)


@pytest.mark.parametrize(("reset", "starts"), [("true", 1), ("false", 2)])
def test_preconditions_count_within_a_deadline(stage: Stage, reset: str, starts: int) -> None:
    for name in ("first", "other"):
        stage.save(source(name), name)
    lines = [line.format(reset=reset) for line in PRECONDITIONS]
    stage.save(flow("second", on_flow(*lines)), "second")
    run(stage, 1, "other", "FAILED")
    run(stage, 2, "first")
    assert stage.created("second") == []

    run(stage, 3, "other")
    run(stage, 4, "other")

    assert len(stage.created("second")) == starts
    stage.clock.advance(3 * 3600)
    run(stage, 5, "first")
    run(stage, 6, "other")
    assert len(stage.created("second")) == starts, "the deadline has passed"


def test_multiple_conditions_count_together(stage: Stage) -> None:
    for name in ("first", "other"):
        stage.save(source(name), name)
    lines = (
        "conditions:",
        f"  - type: {CORE}.condition.ExecutionStatus",
        "    in: [SUCCESS]",
        f"  - type: {CORE}.condition.MultipleCondition",
        "    id: both",
        "    window: P1D",
        "    windowAdvance: P0D",
        "    conditions:",
        f"      a: {{type: {CORE}.condition.ExecutionFlow, namespace: tests, flowId: first}}",
        f"      b: {{type: {CORE}.condition.ExecutionFlow, namespace: tests, flowId: other}}",
    )
    stage.save(flow("second", on_flow(*lines)), "second")
    run(stage, 1, "first")
    run(stage, 2, "other", "FAILED")
    assert stage.created("second") == []

    run(stage, 3, "other")

    assert len(stage.created("second")) == 1


def test_what_has_come_survives_the_scheduler(stage: Stage) -> None:
    for name in ("first", "other"):
        stage.save(source(name), name)
    wanted = ("dependsOn:", *(f"  - {{namespace: tests, flowId: {n}}}" for n in ("first", "other")))
    stage.save(flow("second", on_flow(*wanted)), "second")
    run(stage, 1, "first")

    stage.crash(stage.schedulers[0])
    stage.scheduler("1")
    run(stage, 2, "other")

    assert len(stage.created("second")) == 1


def test_when_sees_the_execution_that_came(stage: Stage) -> None:
    stage.save(source("first", "labels: {team: a}"), "first")
    stage.save(source("other"), "other")
    when = "when: \"{{ labels.team == 'a' and flow.id == 'first' }}\""
    stage.save(flow("second", on_flow(when)), "second")

    run(stage, 1, "first")
    run(stage, 2, "other")

    assert len(stage.created("second")) == 1


def test_inputs_that_do_not_render_start_nothing_and_warn(stage: Stage) -> None:
    stage.save(source("first"), "first")
    inputs = "inputs:\n  - {id: rows, type: STRING}"
    triggers = on_flow(*UPSTREAM, 'inputs: {rows: "{{ trigger.outputs.rows }}"}')
    stage.save(flow("second", triggers, inputs), "second")

    run(stage, 1, "first")

    assert stage.created("second") == []
    lines = [codec.decode(record.value) for record in stage.bench.records(TOPICS.logs.name)]
    warnings = [x for x in lines if isinstance(x, LogEntry) and x.trigger_id == "after"]
    assert [x.level for x in warnings] == ["WARN"]


def test_a_chain_that_never_ends_is_cut(stage: Stage) -> None:
    for name, listens_to in (("a", "b"), ("b", "a")):
        lines = ("dependsOn:", f"  - {{namespace: tests, flowId: {listens_to}}}")
        stage.save(flow(name, on_flow(*lines)), name)

    run(stage, 1, "a")
    stage.turns(800)

    assert 90 <= len(stage.created()) <= 110


def test_a_disabled_trigger_hears_nothing(stage: Stage) -> None:
    stage.save(source("first"), "first")
    stage.save(flow("second", on_flow(*UPSTREAM)), "second")
    stage.turns(2)
    stage.ask(t.SetTriggerDisabled("c1", "main", "tests", "second", "after", True), "second")
    stage.turns(1)

    run(stage, 1, "first")

    assert stage.created("second") == []


def test_a_condition_may_ask_for_retries(stage: Stage) -> None:
    stage.save(source("first"), "first")
    lines = ("conditions:", f"  - type: {CORE}.condition.HasRetryAttempt", "    in: [SUCCESS]")
    stage.save(flow("second", on_flow(*lines)), "second")

    run(stage, 1, "first")

    assert stage.created("second") == []


def test_inputs_may_refer_to_outputs_of_the_tasks_that_ran(stage: Stage) -> None:
    stage.save(source("first"), "first")
    inputs = "inputs:\n  - {id: got, type: STRING}"
    triggers = on_flow("states: [SUCCESS]", *UPSTREAM, 'inputs: {got: "{{ outputs.work.value }}"}')
    stage.save(flow("second", triggers, inputs), "second")

    run(stage, 1, "first")

    (created,) = stage.created("second")
    assert created.inputs.json == '{"got":"1"}'


def test_a_required_input_may_be_missing_when_the_trigger_gives_none(stage: Stage) -> None:
    stage.save(source("first"), "first")
    inputs = "inputs:\n  - {id: got, type: STRING}\n  - {id: n, type: INT, defaults: 3}"
    stage.save(flow("second", on_flow(*UPSTREAM), inputs), "second")

    run(stage, 1, "first")

    (created,) = stage.created("second")
    assert created.inputs.json == '{"n":3}'
