"""A schema registry as Confluent's, over real HTTP, for tests."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fastavro.schema import SchemaParseException, parse_schema

USER = "reader:pass"


class SchemaHouse:
    """What is registered: subject -> ids; `needs_user`: who asks must say `USER`."""

    def __init__(self) -> None:
        self.url = ""
        self.schemas: list[str] = []
        self.subjects: dict[str, list[int]] = {}
        self.needs_user = False
        self.asked: list[str] = []

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and body of the answer to one call."""
        self.asked.append(f"{method} {path}")
        match path.strip("/").split("/"):
            case ["schemas", "ids", number] if int(number) <= len(self.schemas):
                return 200, {"schema": self.schemas[int(number) - 1]}
            case ["subjects", subject, "versions"] if method == "POST":
                return self._register(subject, body["schema"])
            case ["subjects", subject, "versions", "latest"] if subject in self.subjects:
                schema_id = self.subjects[subject][-1]
                return 200, {"id": schema_id, "schema": self.schemas[schema_id - 1]}
            case ["subjects", subject] if method == "POST":
                for schema_id in self.subjects.get(subject, ()):
                    if self.schemas[schema_id - 1] == body["schema"]:
                        return 200, {"id": schema_id}
        return 404, {"error_code": 40401, "message": "not found"}

    def _register(self, subject: str, schema: str) -> tuple[int, Any]:
        try:
            parse_schema(json.loads(schema), named_schemas={})
        except (ValueError, TypeError, KeyError, SchemaParseException) as error:
            return 422, {"error_code": 42201, "message": f"Invalid schema: {error}"}
        if schema not in self.schemas:
            self.schemas.append(schema)
        schema_id = self.schemas.index(schema) + 1
        ids = self.subjects.setdefault(subject, [])
        if schema_id not in ids:
            ids.append(schema_id)
        return 200, {"id": schema_id}


@contextmanager
def schema_house() -> Iterator[SchemaHouse]:
    """A running registry."""
    house = SchemaHouse()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            wanted = "Basic " + base64.b64encode(USER.encode()).decode()
            if house.needs_user and self.headers.get("Authorization") != wanted:
                status, found = 401, {"message": "who are you?"}
            else:
                status, found = house.answer(self.command, self.path, body)
            data = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _answer

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        house.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield house
        server.shutdown()
        thread.join()
