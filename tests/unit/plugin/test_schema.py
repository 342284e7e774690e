"""The JSON schema of flows takes the flows that the server takes, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from jsonschema import Draft7Validator
from structlog.testing import capture_logs

from tiercel_engine.errors import InvalidFlow
from tiercel_engine.flow.defaults import TypeDefault
from tiercel_engine.flow.parse import load_flow
from tiercel_engine.flow.source import read
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.inventory import Inventory
from tiercel_engine.plugin.native import task
from tiercel_engine.plugin.page import page_of_type
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_engine.plugin.schema import ROOTS

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "deploy" / "examples").rglob("*.yaml"))
LOG = "io.kestra.plugin.core.log.Log"


class Send(RunnableTask):
    """Send something."""

    TYPE: ClassVar[str] = "acme.Send"
    ALIASES: ClassVar[tuple[str, ...]] = ("acme.old.Send",)

    to: str


@task("acme.Greet")
def greet(name: str, times: int = 1, friends: list[int] | None = None) -> str:
    """Greet somebody."""
    return name * times


@pytest.fixture(scope="module")
def registry() -> PluginRegistry:
    registry = PluginRegistry.load()
    registry.register(Send)
    registry.register(greet)
    return registry


@pytest.fixture(scope="module")
def flows(registry: PluginRegistry) -> Draft7Validator:
    schema = Inventory(registry).definitions.document("flow")
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def faults(validator: Draft7Validator, source: str) -> list[str]:
    found = validator.iter_errors(read(source).data)
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in found]


def flow(body: str) -> str:
    return f"id: f\nnamespace: n\n{body}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_holds(flows: Draft7Validator, path: Path) -> None:
    assert faults(flows, path.read_text()) == []


HOLDS = {
    "an older name of a type": "tasks: [{id: a, type: acme.old.Send, to: x}]",
    "numbers and flags as texts": f"tasks: [{{id: 1, type: {LOG}, message: true}}]",
    "nothing where something may stand": "description:\ntasks: [{id: a, type: acme.Send, to: x}]",
    "labels as a list": "labels: [{key: a, value: 1}]\ntasks: [{id: a, type: acme.Send, to: x}]",
    "an input by its older name": f"inputs: [{{name: i, type: INT, min: 1}}]\n"
    f"tasks: [{{id: a, type: {LOG}, message: x}}]",
    "plugin defaults by their older name": f"taskDefaults: [{{type: {LOG}, values: {{}}}}]\n"
    f"tasks: [{{id: a, type: {LOG}, message: x}}]",
    "a template where a number stands": "tasks: [{id: a, type: acme.Greet, name: x, "
    "times: '{{ 1 }}', friends: [1, '{{ 2 }}']}]",
    "a task whose property the flow's defaults give": "pluginDefaults: [{type: acme.Send, "
    "values: {to: x}}]\ntasks: [{id: a, type: acme.Send}, {id: b, type: "
    "io.kestra.plugin.core.flow.Dag, tasks: [{task: {id: c, type: acme.Send}}]}]",
    "a condition inside a condition": "tasks: [{id: a, type: acme.Send, to: x}]\ntriggers: "
    "[{id: t, type: io.kestra.plugin.core.trigger.Flow, conditions: [{type: "
    "io.kestra.plugin.core.condition.Not, conditions: "
    "[{type: io.kestra.plugin.core.condition.ExecutionStatus, in: [SUCCESS]}]}]}]",
    "a task deep inside": "tasks: [{id: a, type: io.kestra.plugin.core.flow.Switch, value: v, "
    "cases: {x: [{id: b, type: io.kestra.plugin.core.flow.Dag, tasks: "
    "[{task: {id: c, type: acme.Send, to: x}}]}]}}]",
}


@pytest.mark.parametrize("name", HOLDS)
def test_what_the_server_takes_holds(
    flows: Draft7Validator, registry: PluginRegistry, name: str
) -> None:
    load_flow(flow(HOLDS[name]), registry)

    assert faults(flows, flow(HOLDS[name])) == []


BROKEN = {
    "no tasks": ("description: x", ": 'tasks' is a required property"),
    "an unknown property of the flow": (
        f"task: []\ntasks: [{{id: a, type: {LOG}, message: x}}]",
        ": Additional properties are not allowed ('task' was unexpected)",
    ),
    "an unknown type": ("tasks: [{id: a, type: acme.Sent}]", "tasks.0.type: "),
    "an unknown property of a task": (
        "tasks: [{id: a, type: acme.Send, to: x, from: y}]",
        "tasks.0: Additional properties are not allowed ('from' was unexpected)",
    ),
    "a property that is missing": (
        "tasks: [{id: a, type: acme.Send}]",
        "tasks.0: 'to' is a required property",
    ),
    "an unknown property in a flow with defaults": (
        "pluginDefaults: [{type: acme.Send, values: {to: x}}]\ntasks: [{id: a, type: "
        "io.kestra.plugin.core.flow.Sequential, tasks: [{id: b, type: acme.Send, for: y}]}]",
        "tasks.0.tasks.0: Additional properties are not allowed ('for' was unexpected)",
    ),
    "no number where one must be": (
        "tasks: [{id: a, type: acme.Greet, name: x, times: often}]",
        "tasks.0.times: ",
    ),
    "an id with a space": ("tasks: [{id: a b, type: acme.Send, to: x}]", "tasks.0.id: "),
    "a task deep inside": (
        "tasks: [{id: a, type: io.kestra.plugin.core.flow.If, condition: c, then: "
        "[{id: b, type: acme.Send}]}]",
        "tasks.0.then.0: 'to' is a required property",
    ),
    "an unknown condition": (
        "tasks: [{id: a, type: acme.Send, to: x}]\ntriggers: [{id: t, type: "
        "io.kestra.plugin.core.trigger.Webhook, key: k, conditions: [{type: acme.Never}]}]",
        "triggers.0.conditions.0.type: ",
    ),
    "an unknown type of inputs": (
        f"inputs: [{{id: i, type: TEXT}}]\ntasks: [{{id: a, type: {LOG}, message: x}}]",
        "inputs.0.type: ",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_the_server_refuses_does_not_hold_at_the_same_place(
    flows: Draft7Validator, registry: PluginRegistry, name: str
) -> None:
    body, told = BROKEN[name]
    with pytest.raises(InvalidFlow):
        load_flow(flow(body), registry)

    found = faults(flows, flow(body))

    assert any(fault.startswith(told) for fault in found), found


def test_a_deep_flow_is_checked_in_no_time(flows: Draft7Validator) -> None:
    body: dict[str, Any] = {"id": "end", "type": "acme.Send"}
    for depth in range(20):
        name = "io.kestra.plugin.core.flow.Sequential"
        body = {"id": f"t{depth}", "type": name, "tasks": [body]}

    found = list(flows.iter_errors({"id": "f", "namespace": "n", "tasks": [body]}))

    assert [error.message for error in found] == ["'to' is a required property"]


def test_what_the_server_gives_no_author_must_write(registry: PluginRegistry) -> None:
    defaults = [TypeDefault("acme", {"to": "all"})]
    schema = Inventory(registry, defaults).definitions.document("flow")

    assert faults(Draft7Validator(schema), flow("tasks: [{id: a, type: acme.Send}]")) == []


def test_older_names_and_types_of_the_engine_are_not_offered(flows: Draft7Validator) -> None:
    offered = flows.schema["definitions"]["task"]["properties"]["type"]["anyOf"][0]["enum"]

    assert "acme.Send" in offered
    assert "acme.old.Send" not in offered
    assert not [name for name in offered if "$" in name or name.startswith("tiercel.")]


class Strange(RunnableTask):
    """What somebody else has written."""

    TYPE: ClassVar[str] = "acme.Strange"

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: Any) -> dict[str, Any]:
        raise ValueError("no schema today")


class Bare(RunnableTask):
    """A schema without properties."""

    TYPE: ClassVar[str] = "acme.Bare"

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: Any) -> dict[str, Any]:
        return {"type": "object"}


def test_a_type_without_a_schema_leaves_the_others_theirs() -> None:
    own = PluginRegistry()
    for plugin in (Send, Strange, Bare):
        own.register(plugin)

    with capture_logs() as logs:
        inventory = Inventory(own)
        schema = Draft7Validator(inventory.definitions.document("flow"))

    told = [entry["type"] for entry in logs if entry["event"] == "plugin_without_schema"]
    assert sorted(told) == ["Bare", "Strange"]
    assert faults(schema, flow("tasks: [{id: a, type: acme.Strange, x: 1}]")) == []
    assert faults(schema, flow("tasks: [{id: a, type: acme.Send}]"))
    for name in ("acme.Strange", "acme.Bare"):
        entry = inventory.find(name)
        assert entry is not None
        assert page_of_type(inventory, entry)["schema"]["properties"]["properties"] == {}


@pytest.mark.parametrize("name", ROOTS)
def test_every_reference_of_a_schema_is_in_it(registry: PluginRegistry, name: str) -> None:
    schema = Inventory(registry).definitions.document(name, is_array=True)

    Draft7Validator.check_schema(schema)
    waiting: list[Any] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                assert part["$ref"].removeprefix("#/definitions/") in schema["definitions"]
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def test_descriptions_come_from_docstrings(flows: Draft7Validator) -> None:
    definitions = flows.schema["definitions"]

    assert definitions["acme.Send"]["description"] == "Send something."
    assert definitions["acme.Send"]["properties"]["runIf"]["description"].startswith("A template;")
    assert definitions[ROOTS["flow"]]["properties"]["finally"]["description"]
