"""The text of server-sent events, as the command line reads it."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPResponse

#: One line of a stream holds one execution; the server bounds it, this is the client's own wall.
LINE_BYTES_MAX = 64 * 1024 * 1024


def events_of(answer: HTTPResponse) -> Iterator[tuple[str, str]]:
    """Events that have an id, as (id, data), until the stream is closed."""
    event_id, data = "", []
    while line := answer.readline(LINE_BYTES_MAX):
        name, _, value = line.decode().rstrip("\r\n").partition(":")
        if name == "id":
            event_id = value.removeprefix(" ")
        elif name == "data":
            data.append(value.removeprefix(" "))
        elif not name and not value:
            if event_id:
                yield event_id, "\n".join(data)
            event_id, data = "", []
