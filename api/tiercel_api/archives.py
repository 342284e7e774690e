"""Archives that clients upload."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tiercel_engine.errors import UserError


@contextmanager
def opened(source: Path | BinaryIO) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """A zip archive and its files, folders left out. How much is read of them, the caller bounds.

    Raises:
        UserError: it cannot be read, also while the caller reads its files.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            yield archive, [info for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise UserError(f"Expected an archive (.zip) that can be read, but {error}.") from None
