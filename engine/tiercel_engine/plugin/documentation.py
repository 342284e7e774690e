"""What the docstring of a type says: its first sentence, its text, its properties, its examples.

Docstrings are in Google's style: a section is a line `Name:` with an indented text below. The text
itself may tell of properties in passing: "`name` (what it is)", or "`name`: what it is;".
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

_SECTION = re.compile(r"^([A-Z][a-z]+):$")
_EXAMPLES = frozenset({"Example", "Examples"})
#: Sections that tell of properties, by name.
_PROPERTIES = frozenset({"Args", "Attributes", "Properties"})
_FENCE = re.compile(r"(?P<words>[^`]*)```(?P<language>\w*)\n(?P<code>.*?)\n[ \t]*```", re.S)
_PROPERTY = re.compile(r"^\*{0,2}(\w+)(?:, *(?=\w+:))?(?: *\([^)]*\))?: *(.*)$")
#: What the text says in passing, within brackets or after a colon.
_ASIDE = re.compile(r"`(\w+)` \(((?:[^()]|\([^()]*\))*)\)|`(\w+)`: ([^;]*?)(?=[;.](?:\s|$)|$)")


@dataclass(frozen=True, slots=True)
class Example:
    """An example of a type: what it shows (may be empty), and its text."""

    title: str
    code: str
    language: str = "yaml"


@dataclass(frozen=True, slots=True)
class Documentation:
    """What a docstring says.

    Attributes:
        summary: its first sentence, without the dot.
        text: all of it before the sections.
        properties: what it says of each, by its name in Python or as authors write it.
    """

    summary: str
    text: str
    properties: dict[str, str]
    examples: tuple[Example, ...]


def documentation_of(thing: Any) -> Documentation:
    """What the docstring of a class or function says; its bases' docstrings do not count."""
    doc = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    sections: dict[str, list[str]] = {"": []}
    current = sections[""]
    for line in doc.splitlines():
        heading = _SECTION.match(line)
        if heading:
            current = sections.setdefault(heading[1], [])
        else:
            current.append(line)
    text = "\n".join(sections[""]).strip()
    properties = _told_in_passing(text)
    examples: list[Example] = []
    for name, lines in sections.items():
        body = inspect.cleandoc("\n" + "\n".join(lines))
        if name in _PROPERTIES:
            properties |= _told_of(body)
        elif name in _EXAMPLES:
            examples += [
                Example(m["words"].strip().rstrip(":"), inspect.cleandoc(m["code"]), m["language"])
                for m in _FENCE.finditer(body)
            ]
    return Documentation(_sentence(text), text, properties, tuple(examples))


def summary_of(thing: Any) -> str:
    """The first sentence of its docstring; empty when it has none."""
    return documentation_of(thing).summary


def _sentence(text: str) -> str:
    paragraph = " ".join(text.split("\n\n")[0].split())
    sentence, mark, _ = paragraph.partition(". ")
    return sentence if mark else paragraph.removesuffix(".")


def _told_in_passing(text: str) -> dict[str, str]:
    told: dict[str, str] = {}
    # What follows tells of outputs, which may have the same names.
    properties, *_ = " ".join(text.split()).split(" Outputs: ")
    for found in _ASIDE.finditer(properties):
        name, words = found[1] or found[3], found[2] or found[4]
        if words:
            told.setdefault(name, words[:1].upper() + words[1:])
    return told


def _told_of(body: str) -> dict[str, str]:
    told: dict[str, str] = {}
    name = ""
    for line in body.splitlines():
        found = _PROPERTY.match(line)
        if found:
            name = found[1]
            told[name] = found[2]
        elif name and line.strip():
            told[name] += " " + line.strip()
    return told
