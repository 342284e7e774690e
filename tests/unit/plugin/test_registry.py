"""Names to classes; broken plugins stay outside."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import ClassVar

import pytest
from structlog.testing import capture_logs

from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.registry import GROUP, PluginRegistry


class Send(RunnableTask):
    """A task."""

    TYPE: ClassVar[str] = "acme.Send"
    ALIASES: ClassVar[tuple[str, ...]] = ("acme.old.Send",)


class Listen(Trigger):
    """A trigger."""

    TYPE: ClassVar[str] = "acme.Listen"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that a third party installed."""
    made = ModuleType("acme_plugins")
    monkeypatch.setitem(sys.modules, "acme_plugins", made)
    return made


def point(module: str, name: str = "acme") -> EntryPoint:
    return EntryPoint(name=name, value=module, group=GROUP)


def test_a_type_is_found_by_its_name_and_its_older_names() -> None:
    registry = PluginRegistry()
    registry.register(Send)
    registry.register(Listen)

    assert registry.task_type("acme.Send") is Send
    assert registry.task_type("acme.old.Send") is Send
    assert registry.trigger_type("acme.Listen") is Listen
    assert list(registry.all()) == [Listen, Send]
    assert registry.aliases() == {"acme.old.Send": "acme.Send"}


def test_a_task_is_no_trigger_and_names_match_as_a_whole() -> None:
    registry = PluginRegistry()
    registry.register(Send)

    assert registry.trigger_type("acme.Send") is None
    assert registry.task_type("acme.send") is None
    assert registry.task_type("acme.Sen") is None


def test_only_an_older_name_has_a_replacement() -> None:
    registry = PluginRegistry()
    registry.register(Send)

    assert registry.replacement("acme.old.Send") == "acme.Send"
    assert registry.replacement("acme.Send") is None
    assert registry.replacement("nobody") is None


def test_one_name_means_one_class() -> None:
    registry = PluginRegistry()
    registry.register(Send)
    registry.register(Send)

    class Other(RunnableTask):
        TYPE: ClassVar[str] = "acme.Other"
        ALIASES: ClassVar[tuple[str, ...]] = ("acme.Send",)

    with pytest.raises(ValueError, match=r"one class for the type acme\.Send"):
        registry.register(Other)
    assert registry.task_type("acme.Other") is None


def test_what_is_no_plugin_is_refused() -> None:
    with pytest.raises(TypeError, match="Expected a Task or Trigger class"):
        PluginRegistry().register(str)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="to have a TYPE"):
        PluginRegistry().register(RunnableTask)


def test_plugins_come_in_by_entry_points(module: ModuleType) -> None:
    module.PLUGINS = (Send, Listen)  # type: ignore[attr-defined]

    registry = PluginRegistry.load([point("acme_plugins")])

    assert list(registry.all()) == [Listen, Send]


def test_a_broken_plugin_is_logged_and_does_not_stop_the_others(module: ModuleType) -> None:
    module.PLUGINS = (Send, str, Listen)  # type: ignore[attr-defined]
    points = [
        point("no_such_module", "missing"),
        point("json", "without-plugins"),
        point("acme_plugins", "half-good"),
        point("tiercel_engine.plugin.triggers", "triggers"),
    ]

    with capture_logs() as logs:
        registry = PluginRegistry.load(points)

    assert [(entry["event"], entry["plugin"]) for entry in logs] == [
        ("plugin_broken", "missing"),
        ("plugin_broken", "without-plugins"),
        ("plugin_broken", "half-good"),
    ]
    assert all(entry["log_level"] == "error" and entry["reason"] for entry in logs)
    assert registry.task_type("acme.Send") is Send
    assert registry.trigger_type("acme.Listen") is Listen
    assert registry.trigger_type("io.kestra.plugin.core.trigger.Webhook") is not None
