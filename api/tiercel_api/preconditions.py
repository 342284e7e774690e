"""Headers that make a write safe to repeat, or dependent on what is there."""

from __future__ import annotations

from aiohttp import web

from tiercel_api.errors import BadRequest, HttpError
from tiercel_schemas.ids import derive_id

IDEMPOTENCY_KEY = "Idempotency-Key"
IF_MATCH = "If-Match"
KEY_CHARS_MAX = 255


def idempotent_id(request: web.Request, *place: str) -> str | None:
    """The id that belongs to the request's key at this place for ever; None: it has no key.

    Whoever sends the key again, to whatever server, asks for the same id. The executor makes an
    execution of an id once.

    Raises:
        BadRequest: the key is empty, too long, or not of printable ASCII.
    """
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if not key or len(key) > KEY_CHARS_MAX or not (key.isascii() and key.isprintable()):
        raise BadRequest(
            f"Expected {IDEMPOTENCY_KEY} to be 1 to {KEY_CHARS_MAX} printable characters."
        )
    return derive_id("idempotency", *place, key)


def wanted_revision(request: web.Request) -> int | None:
    """The revision that `If-Match` names, as `3` or `"3"`; None: any.

    Raises:
        BadRequest: it is none.
    """
    text = request.headers.get(IF_MATCH, "*").strip()
    if text == "*":
        return None
    number = text.removeprefix("W/").strip('"')
    if not number.isdecimal() or len(number) > 9:
        raise BadRequest(f'Expected {IF_MATCH} to be a revision such as "3", but it was {text!r}.')
    return int(number)


def failed(wanted: int, found: int) -> HttpError:
    """The answer to a write of something that has changed since."""
    return HttpError(
        412,
        "Precondition Failed",
        f"Expected revision {wanted} to be the newest, but it is {found}: read it again.",
    )
