"""Rendering where blocking is ruin: in the executor, whose loop every execution waits for.

What a template would have to read, or may compute for long, is for a task to do. Analysis tells it
beforehand, and such a template is refused whole, whatever way it would have taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.expression.analysis import analyse
from tiercel_engine.expression.faults import SlowFault
from tiercel_engine.expression.frame import Budget
from tiercel_engine.expression.render import Renderer


class BlockingExpression(InvalidExpression):
    """A template was refused because it may block: a worker can render it."""


class QuickRenderer(Renderer):
    """A renderer that refuses what needs I/O or may run long, in templates inside templates too."""

    __slots__ = ()

    def _once(
        self,
        template: str,
        variables: Mapping[str, Any],
        budget: Budget,
        *,
        typed: bool,
        tagged: bool = False,
    ) -> Any:
        blocking = analyse(template).blocking
        if blocking:
            names = ", ".join(f"'{name}'" for name in sorted(blocking))
            raise BlockingExpression(
                f"Expected a template that is quick to render, but {names} may read the world or "
                "run long here: compute it in a task and use its output",
                template,
            )
        try:
            return super()._once(template, variables, budget, typed=typed, tagged=tagged)
        except InvalidExpression as error:
            if isinstance(error.__cause__, SlowFault):
                raise BlockingExpression(str(error), template, error.line) from error
            raise
