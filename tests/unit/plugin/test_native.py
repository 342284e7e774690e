"""Functions and classes as task types."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import BaseModel, Field
from tests.unit.worker.rig import Rig, rig_in

from tiercel_engine.errors import InvalidFlow
from tiercel_engine.flow.parse import load_flow
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.plugin.native import task
from tiercel_engine.plugin.registry import GROUP, PluginRegistry


class Sum(BaseModel):
    """`total`: of the numbers."""

    total: int


@dataclass
class Shout:
    """What `Speak` gives."""

    text: str
    times: int


@task("test.Add", "test.old.Add")
def add(numbers: list[int], start_at: Annotated[int, Field(ge=0)] = 0) -> Sum:
    """Add numbers."""
    return Sum(total=start_at + sum(numbers))


@task("test.Where")
def where(context: RunContext) -> str:
    """Tell the execution."""
    return context.execution_id


@task("test.Later")
async def later(word: str) -> dict[str, str]:
    """Wait for nothing."""
    return {"word": word}


@task("test.Speak")
class Speak:
    """Say something loudly."""

    LOUD: ClassVar[bool] = True

    text: str
    times: int = 2

    def run(self, context: RunContext) -> Shout:
        context.logger.log("INFO", self.text)
        return Shout(self.text.upper() * self.times, self.times)


@task("test.Broken")
def broken() -> None:
    """Fail."""
    raise RuntimeError("no luck")


TASKS = (add, where, later, Speak, broken)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("native")) as rig:
        for native in TASKS:
            rig.bench.registry.register(native)
        yield rig


def run(rig: Rig, kind: str, variables: dict[str, Any] | None = None, **properties: Any) -> Any:
    rig.last_run = f"{kind}{len(rig.bench.ends())}"
    rig.bench.submit({"type": kind, **properties}, rig.last_run, variables=variables)
    return rig.bench.end(rig.last_run)


def outputs(rig: Rig, kind: str, **properties: Any) -> Any:
    end = run(rig, kind, **properties)
    assert end.state == "SUCCESS", end.error
    return rig.bench.outputs(end)


def test_a_functions_parameters_are_rendered_and_typed(rig: Rig) -> None:
    assert outputs(rig, "test.Add", numbers=[1, "{{ 1 + 1 }}"], startAt="{{ 4 }}") == {"total": 7}
    assert outputs(rig, "test.old.Add", numbers="{{ [1, 2] }}", start_at=1) == {"total": 4}


def test_a_value_of_another_type_fails_the_task(rig: Rig) -> None:
    end = run(rig, "test.Add", numbers=["{{ 'many' }}"])
    assert end.state == "FAILED"
    assert end.error.startswith("Expected the property numbers to hold, but:")


def test_a_function_may_have_the_context_or_be_a_coroutine(rig: Rig) -> None:
    assert outputs(rig, "test.Where") == {"value": f"e-{rig.last_run}"}
    assert outputs(rig, "test.Later", word="hi") == {"word": "hi"}


def test_a_class_is_a_task_type(rig: Rig) -> None:
    assert outputs(rig, "test.Speak", text="{{ 'ho' }}") == {"text": "HOHO", "times": 2}
    assert rig.lines() == [("INFO", "ho")]


def test_what_a_function_raises_fails_the_task(rig: Rig) -> None:
    end = run(rig, "test.Broken")
    assert (end.state, end.error) == ("FAILED", "no luck")


def test_the_function_stays_a_function() -> None:
    assert add([1, 2], 3) == Sum(total=6)


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ("numbers: [1, two]", "numbers"),
        ("numbers: [1]\n    startAt: -1", "startAt"),
        ("numbers: [1]\n    finish: 3", 'Unrecognized field "finish"'),
        ("startAt: 1", "numbers"),
    ],
)
def test_what_is_no_template_is_checked_when_the_flow_is_saved(
    properties: str, problem: str
) -> None:
    registry = PluginRegistry()
    registry.register(add)
    source = f"id: f\nnamespace: acme\ntasks:\n  - id: t\n    type: test.Add\n    {properties}\n"
    with pytest.raises(InvalidFlow) as refused:
        load_flow(source, registry)
    assert problem in str(refused.value)


def _no_hints(text) -> None:  # type: ignore[no-untyped-def]
    """Nothing."""


def _taken(timeout: int) -> None:
    """Nothing."""


def _stars(*words: str) -> None:
    """Nothing."""


class _NoRun:
    text: str = ""


@pytest.mark.parametrize(
    ("thing", "problem"),
    [
        (_no_hints, "annotate its parameter text"),
        (_taken, "every task has timeout"),
        (_stars, "takes \\*words"),
        (_NoRun, "to have a method run"),
    ],
)
def test_what_cannot_be_a_task_type_is_refused(thing: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        task("test.Never")(thing)


@pytest.mark.parametrize("value", ["native_plugin", "native_plugin:add"])
def test_an_entry_point_names_a_module_or_one_of_its_things(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("native_plugin")
    module.add = add  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "native_plugin", module)
    registry = PluginRegistry.load([EntryPoint("x", value, GROUP)])
    assert registry.task_type("test.Add") is registry.task_type("test.old.Add") is not None
    assert Path(__file__).stem in add.__module__
