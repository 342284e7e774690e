"""What all inputs of a flow have, whatever their type."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import AliasChoices, Field, PrivateAttr

from tiercel_engine.flow.base import InputId, Part, Text
from tiercel_engine.flow.values import convert


class DependsOn(Part):
    """When an input is asked for at all."""

    PEER_NAME: ClassVar[str] = "io.kestra.core.models.flows.DependsOn"

    inputs: list[str] = Field([])
    condition: Text | None = None


class Input(Part):
    """One input of a flow."""

    #: The names in `type` that mean this class.
    TYPES: ClassVar[tuple[str, ...]] = ()

    id: InputId = Field(validation_alias=AliasChoices("id", "name"))
    type: str
    required: bool = True
    defaults: Any = None
    #: What a form shows at first; not a value.
    prefill: Any = None
    description: Text | None = None
    display_name: Text | None = Field(None, alias="displayName")
    depends_on: DependsOn | None = Field(None, alias="dependsOn")

    _renders_defaults: bool = PrivateAttr(True)
    #: When the form around it is asked for.
    _form_depends_on: DependsOn | None = PrivateAttr(None)

    @property
    def renders_defaults(self) -> bool:
        """Whether templates in `defaults` are rendered; the flow's dialect says so."""
        return self._renders_defaults

    @property
    def dependencies(self) -> list[DependsOn]:
        """What must hold so that it is asked for: of the form around it, and its own."""
        return [each for each in (self._form_depends_on, self.depends_on) if each is not None]

    @property
    def needs(self) -> list[str]:
        """The ids of the inputs that it depends on."""
        return [name for each in self.dependencies for name in each.inputs]

    @property
    def conditions(self) -> list[str]:
        """The templates that must hold so that it is asked for."""
        return [each.condition for each in self.dependencies if each.condition is not None]

    @classmethod
    def known_properties(cls) -> list[str]:
        return [*super().known_properties(), "name"]

    @property
    def takes_blank_text(self) -> bool:
        """Whether an empty text is a value of this type, not the absence of one."""
        return False

    def convert(self, value: Any) -> Any:
        """A given value as one of this type.

        Raises:
            BadValue: it is none, or a constraint does not hold.
        """
        converted = convert(self.type, value)
        self.check(converted)
        return converted

    def check(self, value: Any) -> None:
        """Raise BadValue when a converted value breaks a constraint."""

    def choices(self) -> list[Any] | None:
        """The values to choose from as written; None when any value will do."""
        return None
