"""Which classes the type names of tasks and triggers mean.

Plugins come in by the entry-point group `tiercel.plugins`: each entry point names a module whose
`PLUGINS` is a tuple of Task and Trigger classes, or a module with functions and classes that
`native.task` has decorated, or one of these. A module that cannot be imported, or a class
that cannot be registered, is logged and left out; the others go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import structlog

from tiercel_engine.flow.task import Task
from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.plugin.conditions import CONDITION_ALIASES
from tiercel_engine.plugin.native import MARK

GROUP = "tiercel.plugins"

PluginType = type[Task] | type[Trigger]

#: What a third party's module may raise when it is imported.
BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)

log = structlog.get_logger(__name__)


class PluginRegistry:
    """All known task and trigger types. Filled once at start, then only read, by any thread."""

    def __init__(self) -> None:
        self._by_name: dict[str, PluginType] = {}
        self._packages: dict[str, str] = {}

    @classmethod
    def load(cls, points: Iterable[EntryPoint] | None = None) -> PluginRegistry:
        """Register everything that is installed (or that `points` name)."""
        registry = cls()
        for point in entry_points(group=GROUP) if points is None else points:
            try:
                plugins = _plugins(point.load())
            except BROKEN as error:
                _log_broken(point, error)
                continue
            for plugin in plugins:
                try:
                    registry.register(plugin, point.dist.name if point.dist else "")
                except (TypeError, ValueError) as error:
                    _log_broken(point, error)
        return registry

    def register(self, plugin: Any, package: str = "") -> None:
        """Make a type known under its name and its older names.

        Args:
            plugin: a class, or what `native.task` has decorated.
            package: the distribution that brings it.

        Raises:
            TypeError: it is no Task or Trigger.
            ValueError: it has no TYPE, or another class has one of its names already.
        """
        plugin = getattr(plugin, MARK, plugin)
        if not (isinstance(plugin, type) and issubclass(plugin, Task | Trigger)):
            raise TypeError(f"Expected a Task or Trigger class, but it was {plugin!r}.")
        if not plugin.TYPE:
            raise ValueError(f"Expected {plugin.__qualname__} to have a TYPE, but it is empty.")
        names = (plugin.TYPE, *plugin.ALIASES)
        for name in names:
            other = self._by_name.get(name, plugin)
            if other is not plugin:
                raise ValueError(
                    f"Expected one class for the type {name}, but there are"
                    f" {other.__module__}.{other.__qualname__} and"
                    f" {plugin.__module__}.{plugin.__qualname__}."
                )
        for name in names:
            self._by_name[name] = plugin
        self._packages[plugin.TYPE] = package

    def task_type(self, name: str) -> type[Task] | None:
        """The task type of this name or older name."""
        plugin = self._by_name.get(name)
        return plugin if plugin is not None and issubclass(plugin, Task) else None

    def trigger_type(self, name: str) -> type[Trigger] | None:
        """The trigger type of this name or older name."""
        plugin = self._by_name.get(name)
        return plugin if plugin is not None and issubclass(plugin, Trigger) else None

    def replacement(self, name: str) -> str | None:
        """Today's name of a task, trigger or condition type, when `name` is an older one."""
        plugin = self._by_name.get(name)
        if plugin is None:
            return CONDITION_ALIASES.get(name)
        return plugin.TYPE if name != plugin.TYPE else None

    def aliases(self) -> dict[str, str]:
        """Every older name, with today's name."""
        return {name: p.TYPE for name, p in self._by_name.items() if name != p.TYPE}

    def find(self, name: str) -> PluginType | None:
        """The type of this name or older name, whatever it is of."""
        return self._by_name.get(name)

    def package(self, plugin: PluginType) -> str:
        """The distribution that brings a type; "" when nobody said."""
        return self._packages.get(plugin.TYPE, "")

    def all(self) -> Iterator[PluginType]:
        """Every registered class once, ordered by its name of today."""
        return iter([p for name, p in sorted(self._by_name.items()) if name == p.TYPE])


def _plugins(found: Any) -> tuple[Any, ...]:
    """What an entry point names: a module with `PLUGINS`, or with decorated things; or one."""
    if hasattr(found, "PLUGINS"):
        return tuple(found.PLUGINS)
    if not isinstance(found, ModuleType):
        return (found,)
    own = [thing for thing in vars(found).values() if hasattr(thing, MARK)]
    if not own:
        raise AttributeError(f"Expected {found.__name__} to have PLUGINS or task types.")
    return tuple(own)


def _log_broken(point: EntryPoint, error: Exception) -> None:
    log.error("plugin_broken", plugin=point.name, module=point.value, reason=str(error))
