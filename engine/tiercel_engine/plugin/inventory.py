"""What flows can be made of here: every type that is installed, in groups, with what it says.

The same for the command line, the API and the JSON schemas of editors. Types that the engine uses
for itself are left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any, ClassVar

from pydantic import BaseModel

from tiercel_engine.flow.base import Part
from tiercel_engine.flow.defaults import TypeDefault
from tiercel_engine.flow.input_base import Input
from tiercel_engine.flow.input_types import INPUT_TYPES
from tiercel_engine.flow.task import Task
from tiercel_engine.flow.trigger import Trigger
from tiercel_engine.plugin.base import FlowableTask
from tiercel_engine.plugin.condition_types import CONDITIONS
from tiercel_engine.plugin.documentation import Documentation, documentation_of
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_engine.plugin.schema import Definitions

#: Groups whose packages are subgroups; every other package is a group of its own.
NESTED = ("io.kestra.plugin.core",)
#: Kinds of types, in the order in which they are listed.
KINDS = ("task", "trigger", "condition", "taskRunner")
_CATEGORIES = {"core": "CORE", "kafka": "MESSAGING", "scripts": "SCRIPT"}
_OWN_PACKAGE = "tiercel"
_FACTS = ("Name", "Version", "License-Expression", "License", "Summary")


class Process(Part):
    """Runs commands as processes of the worker, with its rights."""

    TYPE: ClassVar[str] = "io.kestra.plugin.core.runner.Process"

    type: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One type.

    Attributes:
        model: the class that reads its properties.
        kind: one of `KINDS`.
        package: the distribution that brings it; "" when nobody said.
    """

    model: type[BaseModel]
    kind: str
    name: str
    aliases: tuple[str, ...]
    is_deprecated: bool
    package: str

    @property
    def documentation(self) -> Documentation:
        return documentation_of(self.model)

    @property
    def outputs(self) -> type[BaseModel] | None:
        """The model of its outputs, where it says one."""
        outputs: type[BaseModel] | None = getattr(self.model, "OUTPUTS", None)
        return outputs

    @property
    def is_flowable(self) -> bool:
        return issubclass(self.model, FlowableTask)

    @property
    def family(self) -> str:
        """The package of its name."""
        return self.name.rpartition(".")[0]

    @property
    def group(self) -> str:
        return next((g for g in NESTED if self.family.startswith(g + ".")), self.family)


@dataclass(frozen=True, slots=True)
class Group:
    """Types under one name, such as `io.kestra.plugin.core`; a part of it when `subgroup` is set.

    Attributes:
        facts: what the distribution says of itself: version, license, summary.
    """

    name: str
    entries: tuple[Entry, ...]
    facts: Mapping[str, str]
    subgroup: str = ""

    @property
    def title(self) -> str:
        return (self.subgroup or self.name).rpartition(".")[2].capitalize()

    @property
    def categories(self) -> list[str]:
        words = self.name.split(".")
        found = [category for word, category in _CATEGORIES.items() if word in words]
        return found or ["OTHER"]

    def of_kind(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind == kind]


class Inventory:
    """All types of a registry, and those that no package brings. Made once; for any thread."""

    def __init__(self, registry: PluginRegistry, defaults: Iterable[TypeDefault] = ()) -> None:
        """`defaults`: the server's plugin defaults, which no author need write."""
        self._defaults = tuple(defaults)
        shown = [p for p in registry.all() if not getattr(p, "INTERNAL", False)]
        entries = [
            _entry(plugin, "trigger" if issubclass(plugin, Trigger) else "task", registry.package)
            for plugin in shown
        ]
        entries += [_entry(condition, "condition") for condition in CONDITIONS]
        entries.append(_entry(Process, "taskRunner"))
        self.entries: tuple[Entry, ...] = tuple(sorted(entries, key=lambda entry: entry.name))
        self._by_name = {
            name: entry for entry in self.entries for name in (entry.name, *entry.aliases)
        }

    def find(self, name: str) -> Entry | None:
        """The type of this name or older name."""
        return self._by_name.get(name)

    @cached_property
    def digest(self) -> int:
        """Changes when other types, or other versions of their packages, are installed."""
        packages = sorted({entry.package for entry in self.entries})
        parts = [*self._by_name, *(f"{p} {package_facts(p)['version']}" for p in packages)]
        return zlib.crc32("\n".join(parts).encode())

    @cached_property
    def definitions(self) -> Definitions:
        """The JSON schemas of all types. The first time takes half a second."""
        types = [e.model for e in self.entries if issubclass(e.model, Task | Trigger)]
        return Definitions(types, self._defaults)

    @cached_property
    def inputs(self) -> dict[str, type[Input]]:
        """The types of inputs by name."""
        return dict(sorted(INPUT_TYPES.items()))

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All groups, ordered by name."""
        members: dict[str, list[Entry]] = {}
        for entry in self.entries:
            members.setdefault(entry.group, []).append(entry)
        return tuple(
            Group(name, tuple(found), package_facts(found[0].package))
            for name, found in sorted(members.items())
        )

    @cached_property
    def subgroups(self) -> tuple[Group, ...]:
        """All groups, each followed by its parts."""
        found: list[Group] = []
        for group in self.groups:
            found.append(group)
            families = sorted({e.family for e in group.entries} - {group.name})
            found += [
                Group(
                    group.name,
                    tuple(e for e in group.entries if e.family == family),
                    group.facts,
                    family,
                )
                for family in families
            ]
        return tuple(found)


def package_facts(package: str) -> dict[str, str]:
    """What a distribution says of itself: `name`, `version`, `license`, `summary`; "" if nothing.

    A type of no known distribution is one of ours.
    """
    try:
        told = metadata(package or _OWN_PACKAGE)
    except PackageNotFoundError:
        return {"name": package or _OWN_PACKAGE, "version": "0.0.0", "license": "", "summary": ""}
    first = {name: (told.get_all(name) or [""])[0] for name in _FACTS}
    return {
        "name": first["Name"],
        "version": first["Version"],
        "license": first["License-Expression"] or first["License"],
        "summary": first["Summary"],
    }


def _entry(model: Any, kind: str, package: Callable[[Any], str] = lambda _: _OWN_PACKAGE) -> Entry:
    aliases = tuple(getattr(model, "ALIASES", ()))
    is_deprecated = bool(getattr(model, "DEPRECATED", False))
    return Entry(model, kind, model.TYPE, aliases, is_deprecated, package(model))
