"""Rendering: the public face of the language.

A template is text; what it refers to comes from a mapping that is asked for single names only, so
it may be lazy and as large as it likes. All that can go wrong is `InvalidExpression`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.expression import library as _library
from tiercel_engine.expression.context import Dialect, RenderContext
from tiercel_engine.expression.faults import Fault, LimitFault, Missing
from tiercel_engine.expression.frame import Budget, Frame, TextOutput, TypedOutput
from tiercel_engine.expression.limits import RENDER_DEPTH_MAX, VALUE_DEPTH_MAX
from tiercel_engine.expression.operators import loosely_true
from tiercel_engine.expression.template import RAW, Template, compiled
from tiercel_engine.expression.text import output_text
from tiercel_engine.expression.values import as_list, is_sequence

assert _library.LOADED, "importing the library fills the table of names"


class Renderer:
    """Renders templates in one context. Cheap to make, keeps no state between renders."""

    __slots__ = ("_context",)

    def __init__(self, context: RenderContext | None = None) -> None:
        self._context = context or RenderContext()

    @property
    def context(self) -> RenderContext:
        """What renders know besides their variables."""
        return self._context

    def with_dialect(self, dialect: Dialect) -> Self:
        """The same renderer for another dialect."""
        if dialect == self._context.dialect:
            return self
        return type(self)(replace(self._context, dialect=dialect))

    def text(self, template: str, variables: Mapping[str, Any]) -> str:
        """A template as text.

        Raises:
            InvalidExpression: it does not parse or does not render.
        """
        if "{" not in template:
            return template
        result = self._render(template, variables, Budget(self._context.expired), typed=False)
        return str(result)

    def value(self, template: Any, variables: Mapping[str, Any]) -> Any:
        """A template as a value: one single print keeps its type. Containers element-wise.

        Raises:
            InvalidExpression: a template in it does not parse or does not render.
        """
        budget = Budget(self._context.expired)
        return self._walk(template, variables, budget, typed=True, depth=0)

    def deep(self, value: Any, variables: Mapping[str, Any]) -> Any:
        """A value with every text in its maps (keys too) and lists rendered as text.

        Raises:
            InvalidExpression: a template in it fails, or two keys of a map become equal.
        """
        budget = Budget(self._context.expired)
        return self._walk(value, variables, budget, typed=False, depth=0)

    def truthy(self, template: Any, variables: Mapping[str, Any]) -> bool:
        """The engine's own truth of `condition` and `runIf`: not empty, `0`, `-0` or `false`.

        Raises:
            InvalidExpression: it does not parse or does not render.
        """
        if template is None:
            return False
        if not isinstance(template, str):
            return loosely_true(output_text(template))
        return loosely_true(self.text(template, variables))

    def _walk(
        self, value: Any, variables: Mapping[str, Any], budget: Budget, *, typed: bool, depth: int
    ) -> Any:
        if isinstance(value, str):
            if "{" not in value:
                return value
            return self._render(value, variables, budget, typed=typed)
        if depth > VALUE_DEPTH_MAX:
            raise InvalidExpression("A value is nested too deeply")
        if isinstance(value, Mapping):
            rendered: dict[Any, Any] = {}
            for key, item in value.items():
                name = self._walk(key, variables, budget, typed=False, depth=depth + 1)
                if name in rendered:
                    raise InvalidExpression(f"Expected unique keys, but {name!r} is there twice")
                rendered[name] = self._walk(item, variables, budget, typed=typed, depth=depth + 1)
            return rendered
        if is_sequence(value):
            return [
                self._walk(item, variables, budget, typed=typed, depth=depth + 1)
                for item in as_list(value)
            ]
        return value

    def _render(
        self, template: str, variables: Mapping[str, Any], budget: Budget, *, typed: bool
    ) -> Any:
        if self._context.dialect.recursive:
            return self._until_stable(template, variables, budget, typed=typed)
        return self._once(template, variables, budget, typed=typed)

    def _once(
        self,
        template: str,
        variables: Mapping[str, Any],
        budget: Budget,
        *,
        typed: bool,
        tagged: bool = False,
    ) -> Any:
        try:
            program = compiled(template)
            frame = Frame(variables, self._context, budget, self._inside)
            value = _run(program, frame, typed)
            return program.restore(value, tagged=tagged) if program.raws else value
        except Missing as e:
            raise InvalidExpression(
                f"Unable to find `{e.name}` used in the expression `{template}` at line {e.line}",
                template,
                e.line,
                e.name,
            ) from None
        except Fault as e:
            raise syntax_error(e, template) from e
        except RecursionError:
            raise InvalidExpression("Too many rendering attempts", template) from None

    def _until_stable(
        self, template: str, variables: Mapping[str, Any], budget: Budget, *, typed: bool
    ) -> Any:
        """Render again what a render gave, until it gives itself."""
        current: Any = template
        for _ in range(RENDER_DEPTH_MAX):
            if not isinstance(current, str) or "{" not in current:
                return current
            rendered = self._once(current, variables, budget, typed=typed, tagged=True)
            if isinstance(rendered, str) and rendered == current:
                return RAW.sub(r"\1", rendered)
            current = rendered
        raise InvalidExpression("Too many rendering attempts", template)

    def _inside(self, value: Any, recursive: bool, frame: Frame) -> Any:
        """`render()`: a value rendered with the variables of the render it stands in."""
        frame.budget.enter()
        try:
            return self._inside_value(value, recursive, frame, 0)
        finally:
            frame.budget.leave()

    def _inside_value(self, value: Any, recursive: bool, frame: Frame, depth: int) -> Any:
        if isinstance(value, str):
            if "{" not in value:
                return value
            render = self._until_stable if recursive else self._once
            return render(value, frame.root, frame.budget, typed=False)
        if depth > VALUE_DEPTH_MAX:
            raise LimitFault("A value is nested too deeply")
        if isinstance(value, Mapping):
            return {
                key: self._inside_value(item, recursive, frame, depth + 1)
                for key, item in value.items()
            }
        if is_sequence(value):
            return [self._inside_value(item, recursive, frame, depth + 1) for item in value]
        return value


def _run(program: Template, frame: Frame, typed: bool) -> Any:
    nulls = frame.context.dialect.json_null_entries
    if program.only is not None:
        value = program.only(frame)
        if not typed:
            value = value if type(value) is str else output_text(value, nulls=nulls)
    else:
        output = TypedOutput() if typed else TextOutput(nulls)
        program.run(frame, output)
        value = output.result()
    return value


def syntax_error(fault: Fault, template: str) -> InvalidExpression:
    """A fault in the words that the peer's users know."""
    line = fault.line or 1
    return InvalidExpression(
        f"io.pebbletemplates.pebble.error.PebbleException: {fault.message} ({template}:{line})",
        template,
        line,
    )
