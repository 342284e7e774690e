"""Sealed texts: what an execution keeps of a secret, in the log and in the read model.

AES-GCM under one key of the installation; the form is the peer's, so that its clients know one
when they see it. Whoever lacks the key passes a sealed text on as it is.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Any

from tiercel_engine.errors import InvalidSettings, UserError
from tiercel_engine.later import later

#: The `type` of a sealed text's JSON object.
SEALED_TYPE = "io.kestra.datatype:aes_encrypted"
NONCE_BYTES = 12

_aead = later("cryptography.hazmat.primitives.ciphers.aead")
_faults = later("cryptography.exceptions")


class Sealer:
    """Seals texts with one key, and opens them."""

    def __init__(self, key: str) -> None:
        """`key`: 128, 192 or 256 bits in base 64. Raises InvalidSettings when it is none."""
        try:
            self._cipher = _aead().AESGCM(base64.b64decode(key, validate=True))
        except (binascii.Error, ValueError):
            raise InvalidSettings(
                "encryption_key: Expected 128, 192 or 256 bits in base 64, such as"
                " `openssl rand -base64 32` prints."
            ) from None

    def seal(self, text: str) -> dict[str, str]:
        """The JSON object that stands for the text; another one each time."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode("utf-8", "replace"), None)
        return {"type": SEALED_TYPE, "value": base64.b64encode(nonce + sealed).decode()}

    def open(self, sealed: Mapping[str, Any]) -> str:
        """The text.

        Raises:
            UserError: it was sealed with another key, or is none.
        """
        try:
            data = base64.b64decode(str(sealed.get("value")), validate=True)
            text: bytes = self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], None)
            return text.decode()
        except (binascii.Error, ValueError, _faults().InvalidTag):
            raise UserError(
                "A secret cannot be decrypted: it was encrypted with another encryption_key."
            ) from None


def is_sealed(value: Any) -> bool:
    """Whether a JSON value is a sealed text."""
    return isinstance(value, dict) and value.get("type") == SEALED_TYPE and len(value) == 2
