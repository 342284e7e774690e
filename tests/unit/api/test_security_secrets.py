"""Passwords, tokens, sessions, and the brake on guessing."""

from __future__ import annotations

import pytest

from tiercel_api.security.limiter import ADDRESSES_MAX, Limiter
from tiercel_api.security.secrets import (
    SESSION_S,
    SessionSigner,
    check_credentials,
    hash_password,
    is_password,
    new_token,
    split_token,
    token_hash,
)
from tiercel_engine.errors import InvalidInput

US = 1_000_000


def test_a_password_is_known_by_its_hash_alone() -> None:
    stored = hash_password("correct horse")
    assert "correct horse" not in stored
    assert is_password(stored, "correct horse")
    assert not is_password(stored, "battery staple")


def test_nobody_has_a_right_password() -> None:
    assert not is_password(None, "nobody")
    assert not is_password("", "nobody")
    assert not is_password("not a hash", "nobody")


@pytest.mark.parametrize(
    "credentials", [("", "long enough"), ("a:b", "long enough"), ("a", "short")]
)
def test_credentials_that_nobody_should_have_are_refused(credentials: tuple[str, str]) -> None:
    with pytest.raises(InvalidInput):
        check_credentials(*credentials)


def test_a_token_is_found_by_its_id_and_known_by_a_hash() -> None:
    full_token, stored = new_token("abc")
    parts = split_token(full_token)
    assert parts is not None
    assert parts[0] == "abc"
    assert token_hash(parts[1]) == stored
    assert parts[1] not in stored


@pytest.mark.parametrize("text", ["", "tiercel", "tiercel_abc", "tiercel_abc_", "other_abc_def"])
def test_what_is_no_token_is_none(text: str) -> None:
    assert split_token(text) is None


def test_a_session_holds_until_it_expires() -> None:
    signer = SessionSigner.of_secret("key")
    cookie = signer.cookie("ada", 3, now_us=0)
    session = SessionSigner.of_secret("key").session(cookie, now_us=SESSION_S * US - 1)
    assert session is not None
    assert (session.username, session.version) == ("ada", 3)
    assert signer.session(cookie, now_us=SESSION_S * US) is None


def test_a_session_of_another_key_or_text_is_none() -> None:
    signer = SessionSigner.of_secret(None)
    cookie = signer.cookie("ada", 1, now_us=0)
    body, _, signature = cookie.partition(".")
    for forged in ("", ".", body, f"{body}.", f"x{body}.{signature}", f"{body}.{signature}x"):
        assert signer.session(forged, now_us=0) is None
    assert SessionSigner.of_secret("other").session(cookie, now_us=0) is None


def test_a_csrf_token_belongs_to_one_session() -> None:
    signer = SessionSigner.of_secret("key")
    mine, other = signer.cookie("ada", 1, 0), signer.cookie("ada", 1, 0)
    assert signer.is_csrf_token(mine, signer.csrf_token(mine))
    assert not signer.is_csrf_token(mine, signer.csrf_token(other))
    assert not signer.is_csrf_token(mine, "")


def test_an_address_that_fails_too_often_waits_for_the_window_to_end() -> None:
    limiter = Limiter(failures_max=3, window_s=60.0)
    for second in range(3):
        assert limiter.wait_s("a", second) == 0.0
        limiter.failed("a", second)
    assert limiter.wait_s("a", 3.0) == 57.0
    assert limiter.wait_s("b", 3.0) == 0.0
    assert limiter.wait_s("a", 60.0) == 0.0
    limiter.failed("a", 61.0)
    assert limiter.wait_s("a", 61.0) == 0.0


def test_remembered_addresses_are_bounded() -> None:
    limiter = Limiter()
    for number in range(ADDRESSES_MAX + 1):
        limiter.failed(str(number), 0.0)
    assert len(limiter._windows) == ADDRESSES_MAX
