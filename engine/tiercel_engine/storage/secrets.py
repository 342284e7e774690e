"""Secrets of the installation: environment variables of the processes that may read them."""

from __future__ import annotations

import base64
import binascii
import os

import msgspec

from tiercel_engine.errors import NotFound, UserError

#: A secret `k` is the base64 text of this environment variable with `K` behind it.
SECRET_PREFIX = "SECRET_"


def environment_secret_names() -> list[str]:
    """Names of the secrets that this process has, as templates write them."""
    found = (name for name in os.environ if name.startswith(SECRET_PREFIX))
    return sorted(name.removeprefix(SECRET_PREFIX) for name in found)


def environment_secret(key: str, subkey: str | None = None) -> str:
    """A secret's text; with a `subkey`, that member of the JSON object which the secret is.

    Raises:
        NotFound: there is no such secret or member.
        UserError: the variable does not hold base64 text, or the secret is no JSON object.
    """
    coded = os.environ.get(SECRET_PREFIX + key.upper())
    if coded is None:
        raise NotFound(f"Cannot find secret for key '{key}'.")
    try:
        # `base64` breaks its lines.
        value = base64.b64decode("".join(coded.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UserError(f"Expected the secret '{key}' to be base64 text: {error}.") from None
    return value if subkey is None else _member(key, value, subkey)


def _member(key: str, value: str, subkey: str) -> str:
    try:
        members = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise UserError(f"Expected the secret '{key}' to be a JSON object, but it is none.")
    if subkey not in members:
        raise NotFound(f"Cannot find secret sub-key '{subkey}' in secret '{key}'.")
    member = members[subkey]
    return member if isinstance(member, str) else msgspec.json.encode(member).decode()
