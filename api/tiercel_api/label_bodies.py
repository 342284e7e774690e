"""Labels as request bodies give them."""

from __future__ import annotations

from typing import Any

from tiercel_api.errors import HttpError
from tiercel_engine.errors import Conflict
from tiercel_schemas.common import Label

LABELS_MAX = 1_000


def labels_of(body: Any) -> tuple[Label, ...]:
    """`[{"key": …, "value": …}]` as labels.

    Raises:
        HttpError: it is no such list, or a key or value is missing.
        Conflict: a key comes twice.
    """
    if not isinstance(body, list) or len(body) > LABELS_MAX:
        raise HttpError(422, "Illegal argument", f"Expected at most {LABELS_MAX} labels as a list.")
    labels = [_label(entry) for entry in body]
    keys = [label.key for label in labels]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise Conflict(f"Duplicate key {twice[0]}")
    return tuple(labels)


def _label(entry: Any) -> Label:
    given = entry if isinstance(entry, dict) else {}
    label = Label(_text(given, "key"), _text(given, "value"))
    if label.key.startswith("system."):
        message = f"System labels can only be set by the system: {label.key}"
        raise HttpError(422, "Illegal argument", message)
    return label


def _text(given: dict[str, Any], name: str) -> str:
    text = given.get(name)
    if not isinstance(text, str) or not text:
        raise HttpError(422, "Invalid entity", f"{name}: must not be empty")
    return text
