"""/dead-letters: records that could not be read or accepted, and a second try for them.

They are read from the log itself: what is wrong with them is why no read model has them.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from typing import Any

from aiohttp import web

from tiercel_api.answers import json_response
from tiercel_api.gateway import GATEWAY
from tiercel_api.paging import whole_number
from tiercel_api.services import SERVICES, Services
from tiercel_engine.clock import iso
from tiercel_engine.errors import Conflict, NotFound
from tiercel_engine.eventlog.base import NewRecord, Record
from tiercel_engine.eventlog.dead_letters import (
    REASON,
    SOURCE_OFFSET,
    SOURCE_PARTITION,
    SOURCE_TOPIC,
)
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.topics import Topics

#: Letters of one answer, and how far back one request looks for them.
LETTERS_MAX = 1_000
LOOKED_AT_MAX = 100_000
VALUE_CHARS_MAX = 200
OFFSET_CHARS_MAX = 18
REPLAYED = "tiercel-replayed-from"


async def list_letters(request: web.Request) -> web.Response:
    """GET /dead-letters?size=50&topic=…: the newest first."""
    size = min(whole_number(request.query, "size", 50), LETTERS_MAX)
    topic = request.query.get("topic")
    services = request.app[SERVICES]
    letters = await asyncio.to_thread(_newest, services, size, topic)
    rows = [_document(letter, VALUE_CHARS_MAX) for letter in reversed(letters)]
    return json_response({"results": rows, "total": len(rows)})


async def get_letter(request: web.Request) -> web.Response:
    """GET /dead-letters/{offset}: one, with its whole value."""
    letter = await _find(request)
    return json_response(_document(letter, None))


async def replay_letter(request: web.Request) -> web.Response:
    """POST /dead-letters/{offset}/replay: append it once more where it came from."""
    letter = await _find(request)
    topics = request.app[SERVICES].topics
    source = _header(letter, SOURCE_TOPIC)
    if source not in _replayable(topics):
        raise Conflict(
            f"Expected a record of {', '.join(_replayable(topics))}, but this one came from "
            f"{source}, which only its owner writes."
        )
    headers = {k: v for k, v in (letter.headers or {}).items() if not k.startswith("tiercel-")}
    headers[REPLAYED] = str(letter.offset).encode()
    record = NewRecord(source, letter.key, letter.value, headers=headers)
    await request.app[GATEWAY].append_record(record)
    return json_response(_document(letter, None))


def _replayable(topics: Topics) -> tuple[str, ...]:
    """Topics that anybody may append to."""
    return topics.trigger_messages.name, topics.commands.name, topics.trigger_commands.name


def _newest(services: Services, size: int, topic: str | None) -> list[Record]:
    name = services.topics.dead_letters.name
    end = services.log.end_offset(name, 0)
    found: deque[Record] = deque(maxlen=size)
    for letter in services.log.read(name, 0, max(0, end - LOOKED_AT_MAX), end):
        if topic is None or _header(letter, SOURCE_TOPIC).endswith(topic):
            found.append(letter)
    return list(found)


async def _find(request: web.Request) -> Record:
    text = request.match_info["offset"]
    services = request.app[SERVICES]
    name = services.topics.dead_letters.name

    def look() -> Record | None:
        if len(text) > OFFSET_CHARS_MAX or int(text) >= services.log.end_offset(name, 0):
            return None
        return next(iter(services.log.read(name, 0, int(text), int(text) + 1)), None)

    letter = await asyncio.to_thread(look)
    if letter is None:
        raise NotFound("There is no such dead letter.")
    return letter


def _document(letter: Record, chars_max: int | None) -> JsonObject:
    headers = {
        name: value.decode(errors="replace")
        for name, value in (letter.headers or {}).items()
        if not name.startswith("tiercel-") or name == REPLAYED
    }
    return {
        "offset": letter.offset,
        "date": iso(letter.timestamp_ms * 1_000),
        "reason": _header(letter, REASON),
        "topic": _header(letter, SOURCE_TOPIC),
        "partition": _number(letter, SOURCE_PARTITION),
        "sourceOffset": _number(letter, SOURCE_OFFSET),
        "key": letter.key,
        "headers": headers,
        **_value(letter.value, chars_max),
    }


def _value(value: bytes | None, chars_max: int | None) -> dict[str, Any]:
    """Text as it is, anything else in base 64."""
    if value is None:
        return {"value": None}
    try:
        text, encoding = value.decode(), "text"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(value).decode(), "base64"
    return {"value": text if chars_max is None else text[:chars_max], "encoding": encoding}


def _header(letter: Record, name: str) -> str:
    return (letter.headers or {}).get(name, b"").decode(errors="replace")


def _number(letter: Record, name: str) -> int | None:
    text = _header(letter, name)
    return int(text) if text.isdecimal() else None


ROUTES = (
    ("GET", "/dead-letters", list_letters),
    ("GET", r"/dead-letters/{offset:\d+}", get_letter),
    ("POST", r"/dead-letters/{offset:\d+}/replay", replay_letter),
)
