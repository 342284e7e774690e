"""What the docstrings of the task types promise."""

from __future__ import annotations

import re
import textwrap

import pytest
import yaml
from tests.unit.worker.harness import Bench

from tiercel_engine.plugin.base import RunnableTask
from tiercel_worker.tasks import PLUGINS

#: Without the parts of other tasks, which nobody writes into a flow.
WRITTEN = [plugin for plugin in PLUGINS if "$" not in plugin.TYPE]


def _example(plugin: type[RunnableTask]) -> dict[str, object]:
    found = re.search(r"```yaml\n(.*?)```", plugin.__doc__ or "", re.DOTALL)
    assert found is not None, f"{plugin.__name__} has no example"
    flow = yaml.safe_load(textwrap.dedent(" " * 8 + found.group(1).lstrip()))
    assert isinstance(flow, dict)
    return flow


@pytest.mark.parametrize("plugin", WRITTEN, ids=lambda plugin: plugin.TYPE)
def test_every_task_type_has_an_example_of_itself(plugin: type[RunnableTask]) -> None:
    flow = _example(plugin)

    tasks = flow["tasks"]
    assert isinstance(tasks, list)
    assert plugin.TYPE in {task["type"] for task in tasks}
    for task in tasks:
        if task["type"] == plugin.TYPE:
            plugin.model_validate(task)


@pytest.mark.parametrize("plugin", WRITTEN, ids=lambda plugin: plugin.TYPE)
def test_every_task_type_names_its_properties_and_outputs(plugin: type[RunnableTask]) -> None:
    text = plugin.__doc__ or ""

    assert "Properties" in text
    assert "Outputs:" in text or "outputs:" in text


def test_every_name_leads_to_one_type(bench: Bench) -> None:
    for plugin in PLUGINS:
        for name in (plugin.TYPE, *plugin.ALIASES):
            assert bench.registry.task_type(name) is plugin
