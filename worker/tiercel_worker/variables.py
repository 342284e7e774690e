"""The variables of a job: values behind claim checks are fetched when a template asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tiercel_engine.storage.claims import redeem, unpack
from tiercel_engine.storage.objects import Storage
from tiercel_schemas.common import ClaimCheck, Payload

CLAIM = "$claim"


class LazyMap(Mapping[str, Any]):
    """A JSON object, some of whose members are fetched at their first use."""

    def __init__(self, data: dict[str, Any], storage: Storage) -> None:
        self._data = data
        self._storage = storage

    def __getitem__(self, key: str) -> Any:
        value = self._data[key]
        if type(value) is dict:
            value = self._data[key] = _resolved(value, self._storage)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)


def variables_of(payload: Payload, storage: Storage) -> Mapping[str, Any]:
    """What templates of a job see.

    Raises:
        NotFound: the variables themselves were behind a claim check that is gone.
    """
    value: dict[str, Any] = unpack(payload, storage) or {}
    if payload.json is not None and CLAIM not in payload.json:
        return value
    return LazyMap(value, storage)


def _resolved(value: dict[str, Any], storage: Storage) -> Any:
    if len(value) == 1 and CLAIM in value:
        return redeem(msgspec.convert(value[CLAIM], ClaimCheck), storage)
    return LazyMap(value, storage)
