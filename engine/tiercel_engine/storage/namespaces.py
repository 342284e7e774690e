"""What is written down of namespaces: a description, at `/<namespace>/_namespace/about.json`.

A namespace needs none of it: it is there as soon as something lies in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tiercel_engine.errors import NotFound, UserError
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.rooms import namespaces_with
from tiercel_engine.storage.uri import namespace_folder

ROOM = "_namespace"


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
        yield from namespaces_with(self._storage, ROOM, "")


def _uri(namespace: str) -> str:
    return f"{namespace_folder(namespace, ROOM)}/about.json"
