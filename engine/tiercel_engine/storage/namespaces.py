"""What is written down of namespaces: a description, at `/_namespaces/<namespace>.json`.

A namespace needs none of it: it is there as soon as something lies in it. All lie in one folder,
whose name is none of a namespace: to find them takes one listing, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from tiercel_engine.errors import NotFound, UserError
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.uri import SCHEME, file_name

_FOLDER = f"{SCHEME}/_namespaces"
_SUFFIX = ".json"


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is written down of one namespace."""

    description: str | None = None


class Namespaces:
    """What is written down of all namespaces. Thread-safe."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def get(self, namespace: str) -> About | None:
        """What is written down; None: nothing is.

        Raises:
            UserError: what is stored does not read.
        """
        try:
            return msgspec.json.decode(self._storage.get(_uri(namespace)), type=About)
        except NotFound:
            return None
        except msgspec.DecodeError as error:
            raise UserError(f"Expected what is stored of {namespace}, but: {error}") from None

    def create(self, namespace: str, about: About) -> bool:
        """Write it down; False when there is something already."""
        return self._storage.create(_uri(namespace), msgspec.json.encode(about))

    def put(self, namespace: str, about: About) -> None:
        """Write it down, over what is there."""
        self._storage.put(_uri(namespace), msgspec.json.encode(about))

    def delete(self, namespace: str) -> bool:
        """Forget it; False when there was nothing."""
        return self._storage.delete(_uri(namespace))

    def names(self) -> Iterator[str]:
        """The namespaces of which something is written down."""
        for file in self._storage.list(_FOLDER):
            yield file_name(file.uri).removesuffix(_SUFFIX)


def _uri(namespace: str) -> str:
    return f"{_FOLDER}/{quote(namespace, safe='')}{_SUFFIX}"
