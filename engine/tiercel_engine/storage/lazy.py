"""Variables whose values behind claim checks are fetched when a template asks for them.

Sealed texts are opened then too, and from then on hidden in the attempt's log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tiercel_engine.storage.claims import redeem, unpack
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.sealing import SEALED_TYPE, Sealer, is_sealed
from tiercel_schemas.common import ClaimCheck, Payload

CLAIM = "$claim"
#: Beside a claim: only this member of the value behind it is meant.
MEMBER = "$member"


@dataclass(frozen=True, slots=True)
class Vault:
    """Opens sealed texts for one attempt. `mask` is told every one that was opened."""

    sealer: Sealer
    mask: Callable[[str], None]

    def open(self, sealed: dict[str, Any]) -> str:
        text = self.sealer.open(sealed)
        self.mask(text)
        return text


class LazyMap(Mapping[str, Any]):
    """A JSON object, some of whose members are fetched or opened at their first use."""

    def __init__(self, data: dict[str, Any], storage: Storage, vault: Vault | None) -> None:
        self._data = data
        self._storage = storage
        self._vault = vault

    def __getitem__(self, key: str) -> Any:
        value = self._data[key]
        if type(value) is dict:
            value = self._data[key] = self._resolved(value)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def _resolved(self, value: Any) -> Any:
        if CLAIM in value and value.keys() <= {CLAIM, MEMBER}:
            member = value.get(MEMBER)
            value = redeem(msgspec.convert(value[CLAIM], ClaimCheck), self._storage)
            value = value if member is None else value.get(member)
        if self._vault is not None and is_sealed(value):
            return self._vault.open(value)
        return LazyMap(value, self._storage, self._vault) if type(value) is dict else value


def variables_of(
    payload: Payload, storage: Storage, vault: Vault | None = None
) -> Mapping[str, Any]:
    """What templates of a payload see; without a `vault` sealed texts stay sealed.

    Raises:
        NotFound: the variables themselves were behind a claim check that is gone.
    """
    value: dict[str, Any] = unpack(payload, storage) or {}
    text = payload.json
    if text is not None and CLAIM not in text and (vault is None or SEALED_TYPE not in text):
        return value
    return LazyMap(value, storage, vault)
