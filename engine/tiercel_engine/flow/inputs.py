"""Input types and their coercion."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field


class Input(BaseModel):
    """One input of a flow."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: str = Field(validation_alias=AliasChoices("id", "name"))
    type: str
    required: bool = True
    defaults: Any = None
    description: str | None = None
