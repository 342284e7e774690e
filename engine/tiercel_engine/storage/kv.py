"""The key-value store of each namespace: typed values with a time to live, in internal storage.

One pair is one object, `/<namespace>/_kv/<key>.ion`, so a reader sees a value and what is known
about it together or not at all. It holds two Ion values: the value itself, first, where the peer
looks for it; then a struct of what is known about it. An object with one value alone, as the peer
writes it, is read, too: its type follows from the value. What a pair was before is kept as a
revision (see `revisions`) under the number that it carries.

Pairs change for their readers at once, not through the log: they belong to no execution.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from tiercel_engine.clock import Clock
from tiercel_engine.errors import Conflict, NotFound, UserError
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.ion import from_ion, ion_text
from tiercel_engine.storage.kv_values import KvType, plain, stored_kind, typed
from tiercel_engine.storage.objects import Storage, StoredFile
from tiercel_engine.storage.revisions import Revisions
from tiercel_engine.storage.rooms import namespaces_with
from tiercel_engine.storage.uri import file_name, kv_file, namespace_folder

#: One pair is no larger than this, as Ion text: larger values belong into files.
PAIR_BYTES_MAX = 10 << 20
KEY_CHARS_MAX = 200

_KEY = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
_SUFFIX = ".ion"


class Pair(NamedTuple):
    """One key and its value.

    Attributes:
        value: plain JSON-like, save an aware `datetime` (DATETIME), a `date` (DATE), a
            `timedelta` (DURATION).
        revision: from 1; how often it was set.
        created_us: when its key was first set, in microseconds since the epoch; so `updated_us`.
        expires_us: when it ceases to be; None when it does not.
    """

    namespace: str
    key: str
    type: KvType
    value: Any
    revision: int
    created_us: int
    updated_us: int
    expires_us: int | None = None
    description: str | None = None


class KvStore:
    """The pairs of all namespaces. Thread-safe: every call is a few of storage's."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    def get(self, namespace: str, key: str, *, inherit: bool = False) -> Pair | None:
        """A pair that has not expired; None without one.

        Args:
            inherit: ask the parent namespaces, nearest first, where the namespace has none.

        Raises:
            UserError: the key cannot be one.
        """
        for owner in lineage(namespace) if inherit else (namespace,):
            pair = self.stored(owner, key)
            if pair is not None and not self.is_expired(pair):
                return pair
        return None

    def stored(self, namespace: str, key: str) -> Pair | None:
        """A pair as it is stored, even if it has expired. Raises UserError as `get`."""
        return self._at(namespace, key, kv_file(namespace, checked_key(key)))

    def revision(self, namespace: str, key: str, number: int) -> Pair | None:
        """What a pair was at a revision, or is; None when that is not kept. Raises as `get`."""
        now = self.stored(namespace, key)
        if now is None or now.revision == number:
            return now
        for kept in self._kept(namespace).kept(key):
            if kept.number == number:
                return self._at(namespace, key, kept.uri)
        return None

    def revisions(self, namespace: str, key: str) -> list[Pair]:
        """What a pair was as far as it is kept, oldest first, and what it is. Raises as `get`."""
        now = self.stored(namespace, key)
        if now is None:
            return []
        kept = (self._at(namespace, key, old.uri) for old in self._kept(namespace).kept(key))
        return [*(pair for pair in kept if pair is not None), now]

    def purge_revisions(
        self, namespace: str, key: str, before_us: int | None, kept_max: int
    ) -> int:
        """Delete what a pair was; as `Revisions.purge`."""
        return self._kept(namespace).purge(checked_key(key), before_us, kept_max)

    def is_expired(self, pair: Pair) -> bool:
        """Whether its time to live is over."""
        return pair.expires_us is not None and pair.expires_us <= self._clock.now_us()

    def set(
        self,
        namespace: str,
        key: str,
        value: Any,
        *,
        kind: KvType | None = None,
        ttl_s: float | None = None,
        description: str | None = None,
        overwrite: bool = True,
    ) -> Pair:
        """Set a pair.

        Args:
            kind: its type, when it does not follow from the value's own; a text becomes a value of
                it.
            ttl_s: how long it lives, in seconds; for ever without.
            overwrite: False refuses a key that has a value.

        Raises:
            Conflict: the key has a value and `overwrite` is False.
            UserError: the key or the value does not hold.
        """
        value, kind = typed(value, kind)
        old = self.stored(namespace, key)
        is_free = old is None or self.is_expired(old)
        if not (overwrite or is_free):
            raise _taken(namespace, key)
        now_us = self._clock.now_us()
        pair = Pair(
            namespace,
            key,
            kind,
            value,
            1 if old is None else old.revision + 1,
            now_us if old is None or is_free else old.created_us,
            now_us,
            None if ttl_s is None else now_us + round(ttl_s * 1_000_000),
            description,
        )
        uri, data = kv_file(namespace, key), _packed(pair)
        if old is not None:
            self._kept(namespace).keep(key, uri, old.revision)
        if overwrite or old is not None:
            self._storage.put(uri, data)
        elif not self._storage.create(uri, data):
            raise _taken(namespace, key)
        return pair

    def delete(self, namespace: str, key: str) -> bool:
        """Delete a pair and what it was; False when there was none. Raises UserError as `get`."""
        self._kept(namespace).forget(checked_key(key))
        return self._storage.delete(kv_file(namespace, key))

    def list(self, namespace: str, prefix: str = "", *, expired: bool = False) -> Iterator[Pair]:
        """The pairs of one namespace whose keys start with `prefix`, by key.

        `expired`: also those that have expired.
        """
        for key in sorted(key for key in self.keys(namespace) if key.startswith(prefix)):
            pair = self.stored(namespace, key)
            if pair is not None and (expired or not self.is_expired(pair)):
                yield pair

    def keys(self, namespace: str) -> Iterator[str]:
        """The keys of one namespace, expired ones too, in no promised order."""
        for file in self._files(namespace):
            name = file_name(file.uri)
            if name.endswith(_SUFFIX):
                yield name.removesuffix(_SUFFIX)

    def namespaces(self, root: str) -> Iterator[str]:
        """The namespace `root` ("": all) and those below it that have pairs, expired ones too."""
        yield from namespaces_with(self._storage, "_kv", root)

    def _files(self, namespace: str) -> Iterator[StoredFile]:
        return self._storage.list(namespace_folder(namespace, "_kv"))

    def _kept(self, namespace: str) -> Revisions:
        return Revisions(self._storage, namespace, "_kv_revisions", is_numbered=True)

    def _at(self, namespace: str, key: str, uri: str) -> Pair | None:
        try:
            return _unpacked(namespace, key, self._storage.get(uri), lambda: self._modified_us(uri))
        except NotFound:
            return None

    def _modified_us(self, uri: str) -> int:
        return self._storage.stored(uri).modified_us


def lineage(namespace: str) -> Iterator[str]:
    """The namespace, its parent, and so on to the root."""
    while namespace:
        yield namespace
        namespace = namespace.rpartition(".")[0]


def checked_key(key: str) -> str:
    """The key.

    Raises:
        UserError: it cannot be one.
    """
    if _KEY.fullmatch(key) is None or len(key) > KEY_CHARS_MAX:
        raise UserError(
            "Expected a key of letters, digits, dots, dashes and underscores that starts with a"
            f" letter or digit, but it was {key[:KEY_CHARS_MAX]!r}."
        )
    return key


def json_value(pair: Pair) -> Any:
    """The value as JSON holds it: instants in UTC, dates and durations as ISO 8601 texts."""
    return plain(pair.value)


def _packed(pair: Pair) -> bytes:
    value = plain(pair.value) if isinstance(pair.value, timedelta) else pair.value
    known = {
        "type": str(pair.type),
        "revision": pair.revision,
        "created": pair.created_us,
        "updated": pair.updated_us,
        "expires": pair.expires_us,
        "description": pair.description,
    }
    try:
        data = f"{ion_text(value)}\n{ion_text(known)}\n".encode()
    except (Fault, UnicodeEncodeError) as error:
        raise UserError(f"Expected a value that can be stored, but {error}.") from None
    if len(data) > PAIR_BYTES_MAX:
        raise UserError(
            f"Expected a value of at most {PAIR_BYTES_MAX} bytes, but it has {len(data)}."
            " Keep larger ones in a file."
        )
    return data


def _unpacked(namespace: str, key: str, data: bytes, modified_us: Callable[[], int]) -> Pair:
    try:
        rows = from_ion(data, all_rows=True)
    except Fault as error:
        raise UserError(f"The value of the key {key} cannot be read: {error}.") from None
    if len(rows) < 2:
        value, kind = typed(rows[0] if rows else None)
        written_us = modified_us()
        return Pair(namespace, key, kind, value, 1, written_us, written_us)
    known = rows[1]
    value, kind = typed(rows[0], stored_kind(known["type"], rows[0]))
    return Pair(
        namespace,
        key,
        kind,
        value,
        known["revision"],
        known["created"],
        known["updated"],
        known.get("expires"),
        known.get("description"),
    )


def _taken(namespace: str, key: str) -> Conflict:
    return Conflict(
        f"Cannot set value for key '{key}': it exists in the namespace '{namespace}' and"
        " `overwrite` is false."
    )
