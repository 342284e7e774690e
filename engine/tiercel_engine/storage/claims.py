"""Claim checks: values too large for the log go to internal storage, the log carries a receipt."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from tiercel_engine.errors import NotFound, TaskError
from tiercel_engine.storage.objects import Storage
from tiercel_schemas.common import ClaimCheck, Payload

#: JSON text up to this size travels in the log.
INLINE_BYTES_MAX = 64 * 1024


def pack(value: Any, storage: Storage, uri: str) -> Payload:
    """A JSON value as a payload; above `INLINE_BYTES_MAX` its text is written to `uri`.

    Raises:
        TaskError: it cannot be written as JSON.
    """
    try:
        text = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TaskError(f"Expected a value that JSON can hold, but {error}.") from error
    if len(text) <= INLINE_BYTES_MAX:
        return Payload(json=text.decode())
    storage.put(uri, text)
    return Payload(claim=ClaimCheck(uri, len(text), hashlib.sha256(text).hexdigest()))


def unpack(payload: Payload | None, storage: Storage) -> Any:
    """The value of a payload; None when it has none.

    Raises:
        NotFound: what the claim check names is gone, or is not what was written.
    """
    if payload is None:
        return None
    if payload.claim is not None:
        return redeem(payload.claim, storage)
    return None if payload.json is None else msgspec.json.decode(payload.json)


def redeem(claim: ClaimCheck, storage: Storage) -> Any:
    """The value behind a claim check. Raises NotFound as `unpack`."""
    text = storage.get(claim.uri)
    if len(text) != claim.size_bytes or hashlib.sha256(text).hexdigest() != claim.sha256:
        raise NotFound(
            f"Expected the value of {claim.size_bytes} bytes with SHA-256 {claim.sha256} at"
            f" {claim.uri}, but what lies there is another one."
        )
    return msgspec.json.decode(text)
