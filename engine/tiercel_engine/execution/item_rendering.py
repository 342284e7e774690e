"""Templates of a task that starts many executions, rendered for one of them."""

from __future__ import annotations

from typing import Any

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.execution.model import Evaluated
from tiercel_engine.execution.rendering import NeedsWorker, TemplateRendering
from tiercel_engine.expression.analysis import analyse
from tiercel_schemas.common import Payload

#: Root variables that differ from one execution to the next.
OWN = ("taskrun", "item", "iteration")


class ItemRendering(TemplateRendering):
    """As the task run renders, with other root variables, some of `OWN`.

    What reads them is rendered for each execution, here and now: a job for each would double
    their cost. Everything else is what the task run renders, by a worker if need be, once.
    """

    def __init__(self, common: TemplateRendering, own: dict[str, Any]) -> None:
        self.__dict__.update(common.__dict__)
        self._common = common
        self._variables = {**common.variables(), **own}

    def _rendered(self, template: Any, *, typed: bool) -> Any:
        if isinstance(template, dict):
            return {key: self._rendered(value, typed=typed) for key, value in template.items()}
        refers = analyse(template)
        if not refers.dynamic and refers.roots.isdisjoint(OWN):
            return self._common._rendered(template, typed=typed)
        return super()._rendered(template, typed=typed)

    def _answer(self, template: Any, *, typed: bool) -> Evaluated | None:
        return None

    def _need(self, template: Any, typed: bool, scope: Payload | None = None) -> NeedsWorker:
        """Raises InvalidExpression: always."""
        names = ", ".join(sorted(analyse(template).blocking)) or "large values or secrets"
        raise InvalidExpression(
            f"Expected a template that is quick to render for each of many executions, but it "
            f"uses {names}: pass `taskrun.items` on, and read it in the flow that is started.",
        )
