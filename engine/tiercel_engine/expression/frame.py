"""The state of one render: variables, scopes, macros and what is left of its budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tiercel_engine.expression.context import RenderContext
from tiercel_engine.expression.faults import Fault, LimitFault, Missing
from tiercel_engine.expression.limits import OUTPUT_CHARS_MAX, RENDER_DEPTH_MAX, STEPS_MAX
from tiercel_engine.expression.text import output_text
from tiercel_engine.expression.values import class_name, is_map, is_sequence


class Budget:
    """What an outermost render and all inside it may still do."""

    __slots__ = ("depth", "expired", "steps")

    def __init__(self, expired: Callable[[], bool] | None) -> None:
        self.steps = STEPS_MAX
        self.depth = 0
        self.expired = expired

    def spend(self, steps: int = 1) -> None:
        """Take steps; raise `LimitFault` when none are left or the time is over."""
        self.steps -= steps
        if self.steps < 0:
            raise LimitFault(f"Expected at most {STEPS_MAX} steps in one expression")
        if self.expired is not None and self.expired():
            raise LimitFault("The time to render this expression is over")

    def enter(self) -> None:
        """One render or macro deeper; pair with `leave`."""
        if self.depth >= RENDER_DEPTH_MAX:
            raise LimitFault("Too many rendering attempts")
        self.depth += 1

    def leave(self) -> None:
        self.depth -= 1


#: Renders a value inside a render: (value, recursive, frame) -> value.
RenderInside = Callable[[Any, bool, "Frame"], Any]


_NO_MACROS: Mapping[str, Callable[..., str]] = {}


class Frame:
    """What the compiled code of one template runs in.

    Attributes:
        variables: where names are looked up; asked for single names only, never copied or walked.
        root: the variables of the whole render, which a macro does not see but functions do.
        scopes: local variables, innermost last; None until something is set.
    """

    __slots__ = (
        "blocks",
        "budget",
        "context",
        "macros",
        "render_inside",
        "root",
        "scopes",
        "variables",
    )

    def __init__(
        self,
        variables: Mapping[str, Any],
        context: RenderContext,
        budget: Budget,
        render_inside: RenderInside,
    ) -> None:
        self.variables = variables
        self.root = variables
        self.context = context
        self.budget = budget
        self.render_inside = render_inside
        self.scopes: list[dict[str, Any]] | None = None
        self.macros = _NO_MACROS
        self.blocks: dict[str, Callable[..., None]] | None = None

    def lookup(self, name: str, line: int) -> Any:
        """A variable, local ones first.

        Raises:
            Missing: there is none of that name.
        """
        if self.scopes is not None:
            for scope in reversed(self.scopes):
                if name in scope:
                    return scope[name]
        try:
            return self.variables[name]
        except KeyError:
            if name == "locale":
                return self.context.locale
            raise Missing(name, line) from None

    def assign(self, name: str, value: Any) -> None:
        """Set a variable where it already is, else in the innermost scope."""
        if self.scopes is None:
            self.scopes = [{}]
        for scope in reversed(self.scopes):
            if name in scope:
                scope[name] = value
                return
        if len(self.scopes) > 1 and name in self.variables:
            # It hides a variable of the context, so it must still do so behind the loop.
            self.scopes.insert(0, {name: value})
        else:
            self.scopes[-1][name] = value


class TextOutput:
    """Collects what a template prints, as text."""

    __slots__ = ("_left", "_nulls", "parts")

    def __init__(self, nulls: bool) -> None:
        self.parts: list[str] = []
        self._nulls = nulls
        self._left = OUTPUT_CHARS_MAX

    def write(self, value: Any) -> None:
        """Add a printed value."""
        self.text(value if type(value) is str else output_text(value, nulls=self._nulls))

    def text(self, text: str) -> None:
        """Add text as it is.

        Raises:
            LimitFault: the output grew too long.
        """
        self._left -= len(text)
        if self._left < 0:
            raise LimitFault(f"Expected a text of at most {OUTPUT_CHARS_MAX} characters")
        self.parts.append(text)

    def result(self) -> str:
        return "".join(self.parts)


class TypedOutput:
    """Collects what a template prints, as a value: one print keeps its type, several become text.

    Follows the peer's later versions; until 0.24 it refused numbers beside texts.
    """

    __slots__ = ("_left", "_texts", "_value")

    def __init__(self) -> None:
        self._value: Any = None
        self._texts: list[str] | None = None
        self._left = OUTPUT_CHARS_MAX

    def write(self, value: Any) -> None:
        """Add a printed value; null adds nothing.

        Raises:
            Fault: a map or list would have to be joined with something.
        """
        if value is None:
            return
        if isinstance(value, str):
            self.text(str(value))
        elif self._texts is None and self._value is None:
            self._value = value
        elif is_map(value) or is_sequence(value):
            raise Fault(f"Tried to add {class_name(value)} to {self._class()}")
        else:
            self.text(output_text(value))

    def text(self, text: str) -> None:
        if self._value is not None:
            if is_map(self._value) or is_sequence(self._value):
                raise Fault(f"Tried to add java.lang.String to {self._class()}")
            first, self._value = output_text(self._value), None
            self.text(first)
        self._left -= len(text)
        if self._left < 0:
            raise LimitFault(f"Expected a text of at most {OUTPUT_CHARS_MAX} characters")
        if self._texts is None:
            self._texts = []
        self._texts.append(text)

    def _class(self) -> str:
        return class_name("" if self._texts is not None else self._value)

    def result(self) -> Any:
        return self._value if self._texts is None else "".join(self._texts)


Output = TextOutput | TypedOutput
