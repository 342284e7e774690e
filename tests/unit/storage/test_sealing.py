"""Sealed texts: only the key opens them."""

from __future__ import annotations

import base64

import pytest

from tiercel_engine.errors import InvalidSettings, UserError
from tiercel_engine.storage.sealing import SEALED_TYPE, Sealer, is_sealed

KEY = base64.b64encode(b"k" * 32).decode()


@pytest.mark.parametrize("text", ["", "hush", "schön \N{SNOWMAN}", "x" * 100_000])
def test_a_sealed_text_is_opened_by_its_key(text: str) -> None:
    sealer = Sealer(KEY)

    sealed = sealer.seal(text)

    assert is_sealed(sealed)
    assert sealed["type"] == SEALED_TYPE
    assert not text or text not in sealed["value"]
    assert Sealer(KEY).open(sealed) == text


def test_the_same_text_is_sealed_differently_each_time() -> None:
    sealer = Sealer(KEY)

    assert sealer.seal("hush") != sealer.seal("hush")


def test_another_key_does_not_open_it() -> None:
    sealed = Sealer(KEY).seal("hush")
    other = Sealer(base64.b64encode(b"o" * 16).decode())

    with pytest.raises(UserError, match="another encryption_key"):
        other.open(sealed)


@pytest.mark.parametrize("value", [None, "", "AAAA", "not base 64!"])
def test_what_is_no_sealed_text_is_not_opened(value: object) -> None:
    with pytest.raises(UserError, match="decrypted"):
        Sealer(KEY).open({"type": SEALED_TYPE, "value": value})


@pytest.mark.parametrize("key", ["", "hush", "AAAA", "*" * 44])
def test_a_key_must_have_the_bits_of_one(key: str) -> None:
    with pytest.raises(InvalidSettings, match="encryption_key"):
        Sealer(key)
