"""The product's example flows as blueprints: what somebody may start from.

A blueprint says of itself what its file says: its description is the title, the comment above it
the description, its folder and the families of its types are the tags.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tiercel_engine.flow.source import read
from tiercel_engine.repository.base import JsonObject

#: Where they are in the installed package, and where in a working copy.
_PACKAGED = "examples"
_IN_COPY = Path(__file__).parents[2] / "deploy" / "examples"
_SUFFIX = ".yaml"
#: Families of older names of types.
_OLD_FAMILIES = {"flows": "flow", "types": "trigger"}
_HEADING = re.compile(r"\A(?:#[^\n]*\n)+")


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A flow to start from.

    Attributes:
        types: of its tasks, triggers and what is inside them, ordered by name.
    """

    id: str
    title: str
    description: str
    source: str
    types: tuple[str, ...]
    tags: tuple[str, ...]

    def document(self, with_source: bool = False) -> JsonObject:
        """As the API answers it."""
        document: JsonObject = {
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "includedTasks": list(self.types),
            "tags": list(self.tags),
        }
        # `flow` is the name of the first generation of clients.
        more = {"source": self.source, "flow": self.source, "kind": "FLOW"}
        return {**document, **more} if with_source else document


@cache
def blueprints() -> MappingProxyType[str, Blueprint]:
    """All by id, ordered by it. Read once."""
    packaged = files("tiercel_api") / _PACKAGED
    root = packaged if packaged.is_dir() else _IN_COPY
    found = {each.id: each for each in _in_folder(root, "")}
    return MappingProxyType(dict(sorted(found.items())))


def types_in(source: str) -> tuple[str, ...]:
    """The types of a flow's parts, each once, ordered by name. Raises InvalidFlow."""
    found: set[str] = set()
    waiting: list[Any] = [read(source).data]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            name = part.get("type")
            if isinstance(name, str) and "." in name:
                found.add(name)
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return tuple(sorted(found))


def _in_folder(folder: Any, tag: str) -> list[Blueprint]:
    """Those of a folder of files, and of the folders in it."""
    found: list[Blueprint] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _in_folder(entry, entry.name)
        elif entry.name.endswith(_SUFFIX):
            found.append(_read(entry.read_text(encoding="utf-8"), tag))
    return found


def _read(source: str, tag: str) -> Blueprint:
    data: Any = read(source).data
    heading = _HEADING.match(source)
    comment = " ".join(line.strip("# ") for line in heading[0].splitlines()) if heading else ""
    title = str(data.get("description") or data["id"]).removesuffix(".")
    types = types_in(source)
    words = [name.split(".")[-2] for name in types]
    families = {_OLD_FAMILIES.get(word, word) for word in words} - {"runner"}
    tags = sorted({*families, *([tag] if tag else [])})
    return Blueprint(data["id"], title, comment or title, source, types, tuple(tags))
