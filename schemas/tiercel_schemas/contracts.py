"""What outside services are told of our public records: the AsyncAPI document, Avro schemas."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tiercel_schemas.codec import schema_of
from tiercel_schemas.topics import Topics
from tiercel_schemas.triggers import ExecutionEvent, TriggerMessage

#: Records that only ever grow by fields with defaults, by name.
PUBLIC: dict[str, Any] = {kind.__name__: kind for kind in (TriggerMessage, ExecutionEvent)}

_DOCUMENT = Path(__file__).parent / "asyncapi.yaml"
_DEFAULT_PREFIX = Topics().prefix


@cache
def asyncapi(prefix: str = _DEFAULT_PREFIX) -> str:
    """The AsyncAPI document, YAML text, with the topics' names as an installation has them."""
    text = _DOCUMENT.read_text("utf-8")
    return text.replace(f"address: {_DEFAULT_PREFIX}", f"address: {prefix}")


def avro_schema(name: str) -> Any:
    """The Avro schema by which a public record is written today, whole. Raises KeyError."""
    return schema_of(name, PUBLIC[name].FINGERPRINT)
