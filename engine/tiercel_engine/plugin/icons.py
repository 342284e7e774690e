"""A small picture for each family of types: plain SVG, drawn here, in the color of the text.

A family is a package of type names, such as `io.kestra.plugin.core.log`; the last known word of
its name decides. What nobody knows is a piece of a puzzle.
"""

from __future__ import annotations

import base64
import hashlib

_FRAME = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="24" height="24" '
    'fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" '
    'stroke-linejoin="round">{}</svg>'
)
#: Word in a family's name -> what is drawn.
_DRAWN = {
    "condition": '<path d="M4 7h9m4 0h3M4 17h3m4 0h9"/><circle cx="15" cy="7" r="2"/>'
    '<circle cx="9" cy="17" r="2"/>',
    "core": '<circle cx="12" cy="12" r="8"/><circle cx="12" cy="12" r="3"/>',
    "debug": '<circle cx="12" cy="13" r="5"/><path d="M12 8V4m-5 9H3m18 0h-4M8 17l-3 3m11-3 3 3"/>',
    "execution": '<path d="M7 4l12 8-12 8z"/>',
    "flow": '<circle cx="5" cy="12" r="2"/><circle cx="19" cy="6" r="2"/>'
    '<circle cx="19" cy="18" r="2"/><path d="M7 12l10-6M7 12l10 6"/>',
    "http": '<circle cx="12" cy="12" r="9"/><path d="M3 12h18M12 3c4 5 4 13 0 18M12 3c-4 5-4 13 0 '
    '18"/>',
    "kafka": '<circle cx="8" cy="12" r="3"/><circle cx="17" cy="6" r="2"/>'
    '<circle cx="17" cy="18" r="2"/><path d="M11 11l4-4m-4 6l4 4"/>',
    "kv": '<circle cx="7" cy="15" r="4"/><path d="M10 12l10-9m-4 4l3 3"/>',
    "log": '<path d="M4 6h16M4 11h16M4 16h10"/>',
    "metric": '<path d="M4 20h16M7 16v-4m5 4V7m5 9v-6"/>',
    "namespace": '<path d="M3 19V6h6l2 3h10v10z"/>',
    "node": '<path d="M12 3l8 4.5v9L12 21l-8-4.5v-9z"/>',
    "output": '<path d="M4 4v16h10M9 12h12m-4-4l4 4-4 4"/>',
    "python": '<path d="M8 6l-5 6 5 6m8-12l5 6-5 6"/>',
    "runner": '<rect x="4" y="5" width="16" height="14"/><path d="M4 10h16"/>',
    "scripts": '<path d="M5 5h14v14H5zM9 9l3 3-3 3"/>',
    "shell": '<rect x="3" y="4" width="18" height="16"/><path d="M7 9l3 3-3 3m6 0h4"/>',
    "state": '<path d="M6 4h12v16l-6-4-6 4z"/>',
    "storage": '<ellipse cx="12" cy="6" rx="8" ry="3"/><path d="M4 6v12c0 4 16 4 16 0V6"/>',
    "templating": '<path d="M8 4c-3 0-2 7-5 8 3 1 2 8 5 8m8-16c3 0 2 7 5 8-3 1-2 8-5 8"/>',
    "trigger": '<path d="M13 3L5 14h6l-1 7 9-12h-7z"/>',
}
_UNKNOWN = '<path d="M5 9h4a3 3 0 1 1 6 0h4v11H5z"/>'


def icon_of(family: str) -> str:
    """The SVG text of a family, or of a type."""
    known = [word for word in family.lower().split(".") if word in _DRAWN]
    return _FRAME.format(_DRAWN[known[-1]] if known else _UNKNOWN)


def encoded(icon: str) -> str:
    """A picture in base 64."""
    return base64.b64encode(icon.encode()).decode()


def digest(icon: str) -> str:
    """A short text that changes with the picture, for caches."""
    return hashlib.sha256(icon.encode()).hexdigest()[:16]
