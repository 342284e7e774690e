"""Docstrings and models as pages, the example of docs/plugins.md among them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from tests.unit.worker.rig import rig_in

from tiercel_engine.plugin.documentation import documentation_of
from tiercel_engine.plugin.inventory import Inventory
from tiercel_engine.plugin.page import page_of_input, page_of_type, words_of_type
from tiercel_engine.plugin.registry import PluginRegistry

PAGE = Path(__file__).parents[3] / "docs" / "plugins.md"
FIND = "com.acme.text.Find"


@pytest.fixture(scope="module")
def documented() -> PluginRegistry:
    """All types, and the one that the page writes."""
    (source,) = re.findall(r"```python\n(.*?)\n```\n\nA package", PAGE.read_text(), re.DOTALL)
    module: dict[str, Any] = {"__name__": "acme_tiercel"}
    exec(compile(source, "acme_tiercel.py", "exec", dont_inherit=True), module)
    registry = PluginRegistry.load()
    registry.register(module["find"], "acme")
    return registry


@pytest.fixture(scope="module")
def inventory(documented: PluginRegistry) -> Inventory:
    return Inventory(documented)


def test_the_written_type_is_documented_by_its_docstring(inventory: Inventory) -> None:
    entry = inventory.find(FIND)
    assert entry is not None
    page = page_of_type(inventory, entry)
    properties = page["schema"]["properties"]

    assert entry.package == "acme"
    assert properties["title"] == "Find the lines of a text that have a word"
    assert properties["required"] == ["text", "word"]
    assert properties["properties"]["caseSensitive"]["description"].startswith("Whether upper")
    assert page["schema"]["outputs"]["properties"]["count"]["type"] == "integer"
    assert page["schema"]["outputs"]["properties"]["count"]["description"].startswith("How many")
    assert "| `word` | text | required | What to look for. |" in page["markdown"]


def test_the_example_of_the_written_type_holds_and_runs(
    inventory: Inventory, documented: PluginRegistry, tmp_path: Path
) -> None:
    entry = inventory.find(FIND)
    assert entry is not None
    (example,) = entry.documentation.examples
    flow = yaml.safe_load(example.code)
    schema = Draft7Validator(inventory.definitions.document("flow"))
    assert list(schema.iter_errors(flow)) == []
    (written,) = flow["tasks"]
    del written["id"]

    with rig_in(tmp_path) as rig:
        rig.bench.registry.register(documented.task_type(FIND))
        rig.bench.submit(written, "r1")
        end = rig.bench.end("r1")

    assert rig.bench.outputs(end) == {"count": 2, "first": "Rye"}


def test_the_flow_of_the_page_holds(inventory: Inventory) -> None:
    (source,) = re.findall(r"```yaml\n(# yaml-language.*?)```", PAGE.read_text(), re.DOTALL)

    schema = Draft7Validator(inventory.definitions.document("flow"))

    assert list(schema.iter_errors(yaml.safe_load(source))) == []


def test_every_type_has_a_page_whose_references_lead_somewhere(inventory: Inventory) -> None:
    pages = [
        page_of_type(inventory, entry, all_)
        for entry in inventory.entries
        for all_ in (False, True)
    ]
    pages += [
        page_of_input(inventory.definitions, name, model)
        for name, model in inventory.inputs.items()
    ]

    for page in pages:
        names = re.findall(r"'\$ref': '#/definitions/([^']+)'", repr(page["schema"]))
        assert set(names) <= page["schema"]["definitions"].keys()
        assert page["markdown"].startswith("# ")


def test_every_example_in_a_docstring_is_one_that_holds(inventory: Inventory) -> None:
    schema = Draft7Validator(inventory.definitions.document("flow"))
    examples = [
        (entry.name, example.code)
        for entry in inventory.entries
        for example in entry.documentation.examples
        if "tasks:" in example.code
    ]

    assert len(examples) > 40
    for name, code in examples:
        assert [e.message for e in schema.iter_errors(yaml.safe_load(code))] == [], name


def test_a_docstring_is_taken_apart() -> None:
    def thing() -> None:
        """Do this. And that.

        More of it.

        Args:
            one: The first,
                over two lines.
            two (int): The second.

        Example:
            Shown first:
            ```json
            {"a": 1}
            ```
        """

    told = documentation_of(thing)

    assert told.summary == "Do this"
    assert told.text == "Do this. And that.\n\nMore of it."
    assert told.properties == {"one": "The first, over two lines.", "two": "The second."}
    assert [(e.title, e.language, e.code) for e in told.examples] == [
        ("Shown first", "json", '{"a": 1}')
    ]


def test_a_text_tells_of_properties_in_passing() -> None:
    def thing() -> None:
        """Do this.

        Properties: `one` (the first (of
        two)), `two`, `three`: a number; `four` (4). Outputs: `two` (not the property).
        """

    assert documentation_of(thing).properties == {
        "one": "The first (of two)",
        "three": "A number",
        "four": "4",
    }


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "anything"),
        ({"type": "integer"}, "number"),
        ({"type": ["string", "number", "boolean", "null"]}, "text"),
        ({"type": ["boolean", "string", "number"]}, "flag or text"),
        ({"type": "array", "items": {"$ref": "#/definitions/task"}}, "list of task"),
        ({"anyOf": [{"$ref": "#/definitions/a.B"}, {"type": "null"}]}, "B"),
        ({"enum": ["X", "Y"]}, "X, Y"),
    ],
)
def test_types_are_told_in_words(schema: dict[str, Any], words: str) -> None:
    assert words_of_type(schema) == words
