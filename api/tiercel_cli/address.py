"""Where the API of this machine listens: a file in the data folder, for workers that ask it."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from tiercel_engine.config import Settings
from tiercel_worker.server_api import ApiAddress


def tell_address(settings: Settings, url: str) -> None:
    """Write down where the API listens. Atomic: a reader sees this address or the one before."""
    file = _file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(url)
    draft.replace(file)


def find_address(settings: Settings) -> ApiAddress | None:
    """The API's address: as it is set, else as it was last written down here."""
    if settings.api_url is not None:
        return ApiAddress(settings.api_url, _authorization(settings))
    try:
        url = _file(settings).read_text().strip()
    except FileNotFoundError:
        return None
    return ApiAddress(url, _authorization(settings), is_local=True)


def _authorization(settings: Settings) -> str | None:
    if settings.api_token is not None:
        return f"Bearer {settings.api_token.get_secret_value()}"
    if settings.admin_user is None or settings.admin_password is None:
        return None
    pair = f"{settings.admin_user}:{settings.admin_password.get_secret_value()}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _file(settings: Settings) -> Path:
    return settings.data_dir / "run" / "api-url"
