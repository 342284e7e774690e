"""The key-value store of each namespace: typed values with a time to live, in internal storage.

One pair is one object, `/<namespace>/_kv/<key>.ion`, so a reader sees a value and what is known
about it together or not at all. It holds two Ion values: the value itself, first, where the peer
looks for it; then a struct of what is known about it. An object with one value alone, as the peer
writes it, is read, too: its type follows from the value.

Pairs change for their readers at once, not through the log: they belong to no execution.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from tiercel_engine.clock import Clock
from tiercel_engine.errors import Conflict, NotFound, UserError
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.ion import from_ion, ion_text
from tiercel_engine.flow.duration import format_duration, parse_duration_s
from tiercel_engine.storage.objects import Storage, StoredFile
from tiercel_engine.storage.rooms import namespaces_with
from tiercel_engine.storage.uri import file_name, kv_file, namespace_folder

#: One pair is no larger than this, as Ion text: larger values belong into files.
PAIR_BYTES_MAX = 10 << 20
KEY_CHARS_MAX = 200

_KEY = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
_DURATION = re.compile(r"P(?=[0-9T])(?:[0-9]+D)?(?:T(?=[0-9])(?:[0-9]+H)?(?:[0-9]+M)?[0-9.]*S?)?")
_SUFFIX = ".ion"


class KvType(StrEnum):
    """The types of values, as the peer names them."""

    STRING = "STRING"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    DATETIME = "DATETIME"
    DATE = "DATE"
    DURATION = "DURATION"
    JSON = "JSON"


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
    """The pairs of all namespaces. Thread-safe: every call is one or two of storage's."""

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
        uri = kv_file(namespace, checked_key(key))
        try:
            return _unpacked(namespace, key, self._storage.get(uri), self._modified_us)
        except NotFound:
            return None

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
        if overwrite or old is not None:
            self._storage.put(uri, data)
        elif not self._storage.create(uri, data):
            raise _taken(namespace, key)
        return pair

    def delete(self, namespace: str, key: str) -> bool:
        """Delete a pair; False when there was none. Raises UserError as `get`."""
        return self._storage.delete(kv_file(namespace, checked_key(key)))

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

    def _modified_us(self, namespace: str, key: str) -> int:
        uri = kv_file(namespace, key)
        return next((f.modified_us for f in self._files(namespace) if f.uri == uri), 0)


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


def typed(value: Any, kind: KvType | None = None) -> tuple[Any, KvType]:
    """A value in the form of its type, and the type.

    Args:
        kind: the type that it shall have; without one it follows from the value, where a text
            that is an ISO 8601 duration is one.

    Raises:
        UserError: it cannot be of that type.
    """
    if kind is None:
        return _natural(value)
    try:
        return _READERS[kind](value), kind
    except (ValueError, TypeError, OverflowError):
        raise UserError(f"Expected a value of type {kind}, but it was {value!r}.") from None


def json_value(pair: Pair) -> Any:
    """The value as JSON holds it: instants in UTC, dates and durations as ISO 8601 texts."""
    return _plain(pair.value)


def _natural(value: Any) -> tuple[Any, KvType]:
    for kind, types in _NATURAL:
        if isinstance(value, types):
            if kind is KvType.STRING and _DURATION.fullmatch(value):
                return _duration(value), KvType.DURATION
            return (value.astimezone(UTC) if kind is KvType.DATETIME else value), kind
    return value, KvType.JSON


def _text(value: Any) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def _number(value: Any) -> int | float:
    number = msgspec.json.decode(value.strip()) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError
    return number


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else {"true": True, "false": False}[_lower(value)]


def _lower(value: Any) -> str:
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise ValueError
    return text


def _datetime(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(value)


def _duration(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=parse_duration_s(value))


def _json(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, str) else value


_READERS: Mapping[KvType, Any] = {
    KvType.STRING: _text,
    KvType.NUMBER: _number,
    KvType.BOOLEAN: _boolean,
    KvType.DATETIME: _datetime,
    KvType.DATE: _date,
    KvType.DURATION: _duration,
    KvType.JSON: _json,
}

#: In this order: a bool is an int, an instant is a date.
_NATURAL: tuple[tuple[KvType, Any], ...] = (
    (KvType.BOOLEAN, bool),
    (KvType.NUMBER, (int, float)),
    (KvType.STRING, str),
    (KvType.DATETIME, datetime),
    (KvType.DATE, date),
    (KvType.DURATION, timedelta),
)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return format_duration(value // timedelta(microseconds=1))
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _packed(pair: Pair) -> bytes:
    value = _plain(pair.value) if isinstance(pair.value, timedelta) else pair.value
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


def _unpacked(namespace: str, key: str, data: bytes, modified_us: Any) -> Pair:
    try:
        rows = from_ion(data, all_rows=True)
    except Fault as error:
        raise UserError(f"The value of the key {key} cannot be read: {error}.") from None
    if len(rows) < 2:
        value, kind = _natural(rows[0] if rows else None)
        written_us = modified_us(namespace, key)
        return Pair(namespace, key, kind, value, 1, written_us, written_us)
    known = rows[1]
    value, kind = typed(rows[0], _stored_kind(known["type"], rows[0]))
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


def _stored_kind(name: str, value: Any) -> KvType:
    """JSON is already a value: a text in it is not read again."""
    kind = KvType(name)
    return KvType.STRING if kind is KvType.JSON and isinstance(value, str) else kind


def _taken(namespace: str, key: str) -> Conflict:
    return Conflict(
        f"Cannot set value for key '{key}': it exists in the namespace '{namespace}' and"
        " `overwrite` is false."
    )
