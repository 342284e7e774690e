"""Passwords, API tokens, session cookies and CSRF tokens: making them and checking them.

Nothing here is stored in the clear: passwords are Argon2 hashes, tokens SHA-256 of random bits,
and sessions are signed, not stored. Comparisons take constant time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from functools import cache

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tiercel_engine.errors import InvalidInput, Violation

PASSWORD_CHARS_MIN = 8
PASSWORD_CHARS_MAX = 256
USERNAME_CHARS_MAX = 100
#: In front of an API token, so that people and secret scanners know one.
TOKEN_PREFIX = "tiercel"
#: How long a session lasts without a new login, in seconds.
SESSION_S = 12 * 3_600
#: What an account that does not exist is checked against, so that it takes as long as another.
_NOBODY = "nobody"


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobody_hash() -> str:
    return _hasher().hash(_NOBODY)


def hash_password(password: str) -> str:
    """An Argon2 hash. Takes tens of milliseconds: not for an event loop."""
    return _hasher().hash(password)


def is_password(password_hash: str | None, password: str) -> bool:
    """Whether the password is the one that was hashed; None takes as long, and is never right."""
    try:
        _hasher().verify(password_hash or _nobody_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return bool(password_hash)


def check_credentials(username: str, password: str) -> None:
    """Refuse names and passwords that nobody should have.

    Raises:
        InvalidInput: each that does not hold.
    """
    found = []
    has_length = 1 <= len(username) <= USERNAME_CHARS_MAX
    if not has_length or not username.isprintable() or ":" in username:
        found.append(
            Violation("username", f"must have 1 to {USERNAME_CHARS_MAX} characters and no colon")
        )
    if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
        found.append(
            Violation(
                "password",
                f"must have {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters",
            )
        )
    if found:
        raise InvalidInput(tuple(found))


def new_token(token_id: str) -> tuple[str, str]:
    """(the token as its owner keeps it, the hash as we do)."""
    secret = secrets.token_urlsafe(32)
    return f"{TOKEN_PREFIX}_{token_id}_{secret}", token_hash(secret)


def token_hash(secret: str) -> str:
    """What is kept of a token's secret half. It has 256 random bits: no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def split_token(text: str) -> tuple[str, str] | None:
    """(token id, secret half), None when it is no token of ours."""
    prefix, _, rest = text.partition("_")
    token_id, mark, secret = rest.partition("_")
    return (token_id, secret) if prefix == TOKEN_PREFIX and mark and secret else None


class Session(msgspec.Struct, frozen=True, array_like=True):
    """What a session cookie says. `version`: of the user when it began; a change ends it."""

    username: str
    version: int
    expires_us: int
    nonce: str


class SessionSigner:
    """Signs session cookies with a key of the installation."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of_secret(cls, secret: str | None) -> SessionSigner:
        """Derived from the installation's secret; without one, a key that dies with the process."""
        if secret is None:
            return cls(secrets.token_bytes(32))
        return cls(hashlib.blake2b(secret.encode(), person=b"tiercel-session!").digest())

    def cookie(self, username: str, version: int, now_us: int) -> str:
        """A session that begins now."""
        session = Session(
            username, version, now_us + SESSION_S * 1_000_000, secrets.token_urlsafe(16)
        )
        body = base64.urlsafe_b64encode(msgspec.msgpack.encode(session)).decode()
        return f"{body}.{self._sign('session', body)}"

    def session(self, cookie: str, now_us: int) -> Session | None:
        """The session of a cookie; None when it is not ours or has expired."""
        body, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("session", body).encode()):
            return None
        session = msgspec.msgpack.decode(base64.urlsafe_b64decode(body), type=Session)
        return session if session.expires_us > now_us else None

    def csrf_token(self, cookie: str) -> str:
        """What a page of ours must send along with this session's cookie."""
        return self._sign("csrf", cookie)

    def is_csrf_token(self, cookie: str, token: str) -> bool:
        """Whether a token belongs to the cookie."""
        return hmac.compare_digest(self.csrf_token(cookie).encode(), token.encode())

    def _sign(self, purpose: str, text: str) -> str:
        signed = hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(signed.digest()).decode().rstrip("=")
