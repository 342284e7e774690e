"""Schemas of a Confluent-compatible schema registry, by id. Read over HTTP, kept for ever."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import fastavro

from tiercel_engine.errors import InvalidSettings, TransientError

TIMEOUT_S = 10.0
SCHEMA_BYTES_MAX = 1_000_000
#: Schemas kept; producers use a handful.
SCHEMAS_MAX = 1_000


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
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json"}
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

    def _read(self, schema_id: int) -> Any | None:
        request = urllib.request.Request(
            f"{self._url}/schemas/ids/{schema_id}", headers=self._headers
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                body = json.loads(answer.read(SCHEMA_BYTES_MAX))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise RegistryUnavailable(
                f"Expected the schema registry to answer, but {error}"
            ) from error
        except (OSError, ValueError) as error:
            raise RegistryUnavailable(
                f"Expected the schema registry to answer, but {error}"
            ) from error
        if body.get("schemaType", "AVRO") != "AVRO":
            return None
        try:
            return fastavro.parse_schema(json.loads(body["schema"]), named_schemas={})
        except (KeyError, ValueError, fastavro.schema.SchemaParseException):
            return None
