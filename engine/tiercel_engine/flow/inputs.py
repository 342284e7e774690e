"""Input types and their coercion."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field

from tiercel_engine.flow.base import InputId, Part


class Input(Part):
    """One input of a flow."""

    id: InputId = Field(validation_alias=AliasChoices("id", "name"))
    type: str
    required: bool = True
    defaults: Any = None
    description: str | None = None


AnyInput = Input
