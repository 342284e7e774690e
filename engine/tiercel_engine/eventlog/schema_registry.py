"""Schemas of a Confluent-compatible schema registry: by id, and by subject for who writes.

Read over HTTP. What has an id never changes, so it is kept.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlsplit

import fastavro

from tiercel_engine.errors import InvalidSettings, TransientError, UserError

TIMEOUT_S = 10.0
SCHEMA_BYTES_MAX = 1_000_000
#: Schemas kept; producers use a handful.
SCHEMAS_MAX = 1_000
CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
#: Statuses by which a registry refuses what was asked: not compatible, no schema.
REFUSALS = (400, 409, 422)
REASON_BYTES_MAX = 1_000


class RegistryUnavailable(TransientError):
    """The schema registry does not answer; nothing was read."""


class SchemaRegistry:
    """One registry. Belongs to one thread."""

    def __init__(self, url: str) -> None:
        """`url`: http(s)://[user:password@]host:port. Raises InvalidSettings."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidSettings(
                f"schema_registry: Expected http(s)://host:port, but it was {url!r}."
            )
        host = parts.netloc.rpartition("@")[2]
        self._url = f"{parts.scheme}://{host}{parts.path}".rstrip("/")
        self._headers = {"Accept": CONTENT_TYPE}
        if parts.username is not None:
            pair = f"{parts.username}:{parts.password or ''}".encode()
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        self._schemas: dict[int, Any] = {}

    def schema(self, schema_id: int) -> Any | None:
        """The parsed Avro schema of this id; None when the registry has none.

        Raises:
            RegistryUnavailable: it does not answer.
        """
        if schema_id not in self._schemas:
            found = self._read(schema_id)
            if found is None:
                return None
            if len(self._schemas) >= SCHEMAS_MAX:
                self._schemas.clear()
            self._schemas[schema_id] = found
        return self._schemas[schema_id]

    def register(self, subject: str, schema: Any) -> int:
        """The id of a schema under a subject; it is added when it is not there yet.

        Raises:
            RegistryUnavailable: the registry does not answer.
            UserError: it refuses the schema.
        """
        return self._id_of(f"/subjects/{quote(subject, safe='')}/versions", schema)

    def find(self, subject: str, schema: Any) -> int:
        """The id of a schema that a subject has. Raises as `register`."""
        return self._id_of(f"/subjects/{quote(subject, safe='')}", schema)

    def latest(self, subject: str) -> tuple[int, Any]:
        """(id, JSON) of the newest schema of a subject. Raises as `register`."""
        found = self._call(f"/subjects/{quote(subject, safe='')}/versions/latest")
        if found is None:
            raise UserError(
                f"Expected the registry to have a schema of {subject}, but it has none."
            )
        try:
            return int(found["id"]), json.loads(found["schema"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"Expected an Avro schema of {subject}, but {error}") from error

    def _id_of(self, path: str, schema: Any) -> int:
        found = self._call(path, {"schema": json.dumps(schema), "schemaType": "AVRO"})
        if found is None or not isinstance(found.get("id"), int):
            raise UserError(f"Expected the registry to know the schema at {path}, but it does not.")
        return int(found["id"])

    def _read(self, schema_id: int) -> Any | None:
        body = self._call(f"/schemas/ids/{schema_id}")
        if body is None or body.get("schemaType", "AVRO") != "AVRO":
            return None
        try:
            return fastavro.parse_schema(json.loads(body["schema"]), named_schemas={})
        except (KeyError, ValueError, fastavro.schema.SchemaParseException):
            return None

    def _call(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """The registry's answer to GET, or POST with a body; None for 404."""
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers if data is None else {**self._headers, "Content-Type": CONTENT_TYPE}
        request = urllib.request.Request(self._url + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                found = json.loads(answer.read(SCHEMA_BYTES_MAX))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            said = error.read(REASON_BYTES_MAX).decode(errors="replace")
            if error.code in REFUSALS:
                raise UserError(f"The schema registry refuses {path}: {said}") from error
            raise RegistryUnavailable(
                f"Expected the schema registry to answer, but {error} {said}"
            ) from error
        except (OSError, ValueError) as error:
            raise RegistryUnavailable(
                f"Expected the schema registry to answer, but {error}"
            ) from error
        return found if isinstance(found, dict) else None
