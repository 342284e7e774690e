"""Hiding secrets in texts: as they are, and in the forms in which they usually leave a task."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

#: What is left of a secret.
MASK = "********"
#: A shorter part of a secret, or of its base 64, would hide what only looks like it.
PART_CHARS_MIN = 8
#: Lines of one secret, such as a private key, that are hidden by themselves.
LINES_MAX = 200

_TO_URLSAFE = str.maketrans("+/", "-_")


class Masker:
    """Replaces the secrets that it was told of. Not thread-safe while it is told of one."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    @property
    def has_secrets(self) -> bool:
        """Whether anything is hidden."""
        return self._pattern is not None

    def add(self, secret: str) -> None:
        """Hide this text, its base 64 wherever it stands in more of it, its JSON and its URL form,
        and each line of it."""
        found = {form for form in forms_of(secret) if form}
        if found <= self._forms:
            return
        self._forms |= found
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def masked(self, text: str) -> str:
        """The text with `MASK` in the place of secrets."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)


def forms_of(secret: str) -> Iterator[str]:
    """The forms of a secret that are hidden."""
    yield secret
    for ascii_only in (True, False):
        yield json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
    yield quote(secret)
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield from _base64_forms(secret.encode())
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines[:LINES_MAX] if len(line) >= PART_CHARS_MIN)


def _base64_forms(secret: bytes) -> Iterator[str]:
    """Its base 64, whole and as it stands within that of a longer text: three bytes become four
    characters, so there are three ways, and the characters at both ends belong to others, too."""
    whole = b64encode(secret).decode()
    forms = [whole, whole.rstrip("=")]
    for before in range(3):
        coded = b64encode(bytes(before) + secret).decode().rstrip("=")
        own_end = (before + len(secret)) * 8 // 6
        forms.append(coded[-(-before * 8 // 6) : own_end])
    for form in forms:
        if len(form) >= PART_CHARS_MIN or form == whole:
            yield form
            yield form.translate(_TO_URLSAFE)
