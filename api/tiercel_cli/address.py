"""Where the API of this machine listens: a file in the data folder, for workers that ask it."""

from __future__ import annotations

import os
from pathlib import Path

from tiercel_engine.config import Settings


def tell_address(settings: Settings, url: str) -> None:
    """Write down where the API listens. Atomic: a reader sees this address or the one before."""
    file = _file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(url)
    draft.replace(file)


def find_address(settings: Settings) -> str | None:
    """The API's address: as it is set, else as it was last written down here."""
    if settings.api_url is not None:
        return settings.api_url
    try:
        return _file(settings).read_text().strip() or None
    except FileNotFoundError:
        return None


def _file(settings: Settings) -> Path:
    return settings.data_dir / "run" / "api-url"
