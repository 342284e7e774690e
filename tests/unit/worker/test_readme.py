"""The examples of worker/README.md, run as they stand there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.unit.worker.harness import Bench

from tiercel_engine.flow.parse import load_flow

README = Path(__file__).parents[3] / "worker" / "README.md"


@pytest.fixture
def example() -> ModuleType:
    found = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    module = ModuleType("acme_tiercel_tasks")
    exec(compile(found.group(1), str(README), "exec"), module.__dict__)
    return module


def test_the_example_of_the_readme_runs(bench: Bench, example: ModuleType) -> None:
    for plugin in example.PLUGINS:
        bench.registry.register(plugin)

    with bench.worker():
        bench.submit({"type": "com.acme.text.CountWords", "text": "one {{ flow.id }} three"})
        bench.submit({"type": "com.acme.text.CountWords", "text": " "}, run="r2")
        end, failed = bench.end(), bench.end("r2")

    outputs = bench.outputs(end)
    assert outputs["words"] == 3
    assert bench.storage.get(outputs["uri"]) == b"one\nflow\nthree"
    assert bench.lines() == [("INFO", "3 words")]
    assert [metric.name for metric in bench.metrics()] == ["words"]
    assert failed.error == "Expected a text with words, but it was empty."


def test_the_function_of_the_readme_runs(bench: Bench) -> None:
    _, source, _ = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    module = ModuleType("acme_tiercel_words")
    sys.modules[module.__name__] = module
    exec(compile(source, str(README), "exec"), module.__dict__)
    bench.registry.register(module.longest)

    with bench.worker():
        text = {"text": "one two {{ 'three' }}", "atLeast": "{{ 1 + 2 }}"}
        bench.submit({"type": "com.acme.text.Longest", **text})
        end = bench.end()

    assert bench.outputs(end) == {"words": 3, "longest": "three"}


def test_the_trigger_of_the_readme_looks(bench: Bench, tmp_path: Path) -> None:
    *_, source = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    module = ModuleType("acme_tiercel_triggers")
    sys.modules[module.__name__] = module
    exec(compile(source, str(README), "exec"), module.__dict__)
    for plugin in module.PLUGINS:
        bench.registry.register(plugin)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.csv", "b.csv", "c.csv"):
        (folder / name).touch()
    flow = load_flow(
        "id: watch\nnamespace: acme\ntasks:\n  - {id: t, type: com.acme.files.Look, folder: x}\n"
        "triggers:\n  - {id: f, type: com.acme.files.Arrived, interval: PT1S, folder: /in}\n",
        bench.registry,
    )

    with bench.worker():
        look = {"type": "com.acme.files.Look", "folder": str(folder)}
        bench.submit(look, variables={"cursor": "a.csv"})
        bench.submit(look, run="r2", variables={"cursor": "c.csv"})
        found, nothing = bench.outputs(bench.end()), bench.outputs(bench.end("r2"))

    assert [start["key"] for start in found["starts"]] == ["b.csv", "c.csv"]
    assert found["cursor"] == "c.csv"
    assert nothing["starts"] == []
    assert isinstance(flow.triggers[0], module.FileArrived)
    assert flow.triggers[0].task() == {
        "id": "f",
        "type": "com.acme.files.Look",
        "folder": "/in",
    }
