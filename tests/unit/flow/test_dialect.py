"""Which dialect a flow has, and what that means."""

import re
from dataclasses import fields

import pytest
from tests.unit.flow.flow_types import FLOW, load

from tiercel_engine.config import Settings
from tiercel_engine.errors import InvalidFlow
from tiercel_engine.expression.render import Renderer
from tiercel_engine.flow.dialect import (
    DEFAULT,
    NAME_PATTERN,
    Dialect,
    LoopLimits,
    decide,
    dialect_of,
    evidence,
)
from tiercel_engine.flow.inputs import resolve_inputs

OF_LOOP_UNTIL = "io.kestra.plugin.core.flow.LoopUntil"
OF_WAIT_FOR = "io.kestra.plugin.core.flow.WaitFor"


def task(kind: str, **properties: object) -> dict[str, object]:
    return {"id": "t", "type": kind, **properties}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "0.21",
            {
                "on_child_failure": "CONTINUE",
                "stderr_warns": True,
                "renders_input_defaults": False,
                "refuses_optional_defaults": False,
                "foreach_item_base": 1,
                "numbers_values": False,
                "flow_trigger_pauses": False,
                "restarts_failed_child": True,
                "env_prefix": "KESTRA_",
                "kv_error_on_missing": False,
            },
        ),
        (
            "1.3",
            {
                "on_child_failure": "CONTINUE",
                "stderr_warns": False,
                "renders_input_defaults": True,
                "refuses_optional_defaults": True,
                "foreach_item_base": 0,
                "numbers_values": True,
                "flow_trigger_pauses": True,
                "fails_trigger_inputs": False,
                "deletes_folders": True,
                "kv_error_on_missing": True,
                "env_prefix": "ENV_",
            },
        ),
        (
            "2.0",
            {
                "on_child_failure": "FAIL",
                "scopes_trigger_outputs": True,
                "fails_trigger_inputs": True,
                "refuses_reserved_ids": True,
                "deletes_folders": False,
            },
        ),
        ("0.20", {"restarts_failed_child": False}),
        ("0.22", {"kv_error_on_missing": True, "stderr_warns": True}),
    ],
)
def test_each_version_has_its_meanings(name: str, expected: dict[str, object]) -> None:
    dialect = dialect_of(name)

    assert {key: getattr(dialect, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "kind", "limits"),
    [
        ("0.21", OF_LOOP_UNTIL, LoopLimits(100, 3_600.0, 1.0)),
        ("1.3", OF_LOOP_UNTIL, LoopLimits(None, None, 60.0)),
        ("1.3", OF_WAIT_FOR, LoopLimits(100, 3_600.0, 1.0)),
    ],
)
def test_a_loop_has_the_limits_of_its_name_and_time(
    name: str, kind: str, limits: LoopLimits
) -> None:
    assert dialect_of(name).loop_limits(kind) == limits


@pytest.mark.parametrize("name", ["", "1", "v1.3", "1.3.2", "0.9", "3.0", "1.3\n"])
def test_what_is_no_version_is_no_dialect(name: str) -> None:
    with pytest.raises(ValueError, match="Expected a dialect such as"):
        dialect_of(name)


@pytest.mark.parametrize(
    ("source", "data", "default", "expected"),
    [
        pytest.param("", {}, "1.3", "1.3", id="nothing said"),
        pytest.param("", {}, "0.21", "0.21", id="nothing said, another server"),
        pytest.param("", {"labels": {"dialect": "0.21"}}, "1.3", "0.21", id="label in a map"),
        pytest.param(
            "", {"labels": [{"key": "dialect", "value": "2.0"}]}, "1.3", "2.0", id="listed label"
        ),
        pytest.param("", {"labels": {"dialect": "sql"}}, "1.3", "1.3", id="another label"),
        pytest.param("# dialect: 0.21\nid: a", {}, "1.3", "0.21", id="comment"),
        pytest.param('# dialect: "2.0"\r\nid: a', {}, "1.3", "2.0", id="quoted comment"),
        pytest.param("id: a\n# dialect: 0.21", {}, "1.3", "1.3", id="comment further down"),
        pytest.param(
            "# dialect: 0.21", {"labels": {"dialect": "1.0"}}, "1.3", "1.0", id="label and comment"
        ),
        pytest.param("", {"draft": True}, "1.3", "2.0", id="only in the second generation"),
        pytest.param("", {"draft": True}, "2.1", "2.1", id="second generation on a newer server"),
        pytest.param("", {"listeners": []}, "2.0", "1.3", id="only in the first generation"),
        pytest.param("", {"listeners": []}, "0.21", "0.21", id="first generation, old server"),
        pytest.param("", {"draft": True, "listeners": []}, "1.3", "1.3", id="a mix"),
        pytest.param(
            "", {"draft": True, "labels": {"dialect": "0.21"}}, "1.3", "0.21", id="author wins"
        ),
    ],
)
def test_the_dialect_follows_from_the_best_evidence(
    source: str, data: dict[str, object], default: str, expected: str
) -> None:
    assert decide(source, data, default) == expected


@pytest.mark.parametrize(
    "part",
    [
        task("io.kestra.plugin.core.flow.Loop"),
        task("io.kestra.plugin.core.flow.Parallel", onChildFailure="FAIL"),
        task("io.kestra.plugin.core.trigger.Flow", dependsOn=[]),
        task("io.kestra.plugin.core.trigger.Schedule", when="{{ true }}"),
        task("x.Task", workerSelector={}),
    ],
)
def test_constructs_of_the_second_generation_are_seen_at_any_depth(part: dict[str, object]) -> None:
    new, old = evidence({"tasks": [task("x.Block", cases={"a": [part]})]})

    assert (len(new), old) == (1, [])


@pytest.mark.parametrize(
    "part",
    [
        task("io.kestra.plugin.core.flow.ForEachItem"),
        task("io.kestra.plugin.core.flow.EachParallel"),
        task("io.kestra.plugin.core.state.Set"),
        task("io.kestra.core.tasks.log.Log"),
        task("BOOLEAN"),
        task("x.Trigger", conditions=[]),
        task("x.Script", runner="DOCKER"),
    ],
)
def test_constructs_of_the_first_generation_are_seen_at_any_depth(part: dict[str, object]) -> None:
    new, old = evidence({"tasks": [task("x.Block", tasks=[part])]})

    assert (new, len(old)) == ([], 1)


def test_a_task_that_reads_when_is_of_any_generation() -> None:
    assert evidence({"tasks": [task("x.Task", when="{{ true }}")]}) == ([], [])


def test_a_stored_dialect_is_never_decided_again() -> None:
    flow = load("# dialect: 2.0\n" + FLOW, dialect="0.21")

    assert flow.dialect.name == "0.21"


def test_a_stored_dialect_that_is_none_is_told() -> None:
    with pytest.raises(InvalidFlow, match="Expected a dialect such as"):
        load(FLOW, dialect="new")


def test_the_setting_takes_what_a_flow_takes() -> None:
    (pattern,) = (
        found.pattern
        for found in Settings.model_fields["dialect"].metadata
        if hasattr(found, "pattern")
    )

    assert pattern == NAME_PATTERN
    assert Settings().dialect == DEFAULT


def test_every_difference_is_explained() -> None:
    documented = set(re.findall(r"^        (\w+):", Dialect.__doc__ or "", re.MULTILINE))

    assert documented == {field.name for field in fields(Dialect) if field.name[0] != "_"}


@pytest.mark.parametrize(("dialect", "value"), [("0.21", "{{ 'a' ~ 'b' }}"), ("1.3", "ab")])
def test_defaults_of_inputs_are_rendered_where_the_dialect_says_so(
    dialect: str, value: str
) -> None:
    flow = load(
        FLOW + "inputs: [{id: n, type: STRING, defaults: \"{{ 'a' ~ 'b' }}\"}]", dialect=dialect
    )
    renderer = Renderer()

    assert resolve_inputs(flow, {}, render=renderer.value) == {"n": value}
