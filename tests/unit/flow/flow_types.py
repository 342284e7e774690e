"""A registry of task types for the tests of flows, and the smallest flows."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from tiercel_engine.errors import InvalidFlow, Violation
from tiercel_engine.flow.base import Text
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.parse import load_flow
from tiercel_engine.plugin import flowables, triggers
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.registry import PluginRegistry


class Say(RunnableTask):
    """Says something."""

    TYPE: ClassVar[str] = "test.Say"
    ALIASES: ClassVar[tuple[str, ...]] = ("old.Say", "older.Say")

    message: Text | list[str]
    level: str = "INFO"
    headers: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it


def make_registry() -> PluginRegistry:
    """Flowables, triggers and `test.Say`."""
    registry = PluginRegistry()
    for plugin in (*flowables.PLUGINS, *triggers.PLUGINS, Say):
        registry.register(plugin)
    return registry


TYPES = make_registry()
HEAD = "id: greet\nnamespace: team\n"
FLOW = HEAD + "tasks:\n  - {id: say, type: test.Say, message: hi}\n"


def load(source: str, **options: Any) -> Flow:
    """Read a flow with the types above."""
    return load_flow(source, TYPES, **options)


def refusal(source: str, **options: Any) -> InvalidFlow:
    """The error that a flow is refused with."""
    with pytest.raises(InvalidFlow) as caught:
        load(source, **options)
    return caught.value


def violations(source: str, **options: Any) -> tuple[Violation, ...]:
    """What is wrong with a flow."""
    return refusal(source, **options).violations
