"""What the tasks share that purge earlier contents: of which namespaces, and which of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from pydantic import Field

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Part, Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.globs import matcher
from tiercel_worker.tasks.properties import flag, instant_us, number, text_list


class NamespacesTask(RunnableTask):
    """A task on `namespaces` (the flow's own), or those that match `namespacePattern` (a glob)."""

    namespaces: list[Text] | str | None = None
    namespace_pattern: Text | None = Field(None, alias="namespacePattern")
    include_child_namespaces: bool | str = Field(True, alias="includeChildNamespaces")

    def all_namespaces(
        self, context: RunContext, below: Callable[[str], Iterable[str]]
    ) -> list[str]:
        """The namespaces that are meant.

        `below`: a namespace ("": all) and those below it, as far as they hold anything.
        """
        if self.namespace_pattern is not None:
            return [*filter(pattern_matcher(context, self.namespace_pattern), below(""))]
        named = text_list(context, self.namespaces, "namespaces") or [context.namespace]
        if not flag(context, self.include_child_namespaces):
            return named
        return sorted({name for root in named for name in below(root)})


class VersionsBehavior(Part):
    """Which earlier contents go: those before a date, those beyond the newest ones."""

    type: Literal["version"] = "version"
    before: Text | None = None
    keep_amount: int | str | None = Field(None, alias="keepAmount")


def versions_limits(
    context: RunContext, behavior: VersionsBehavior | None
) -> tuple[int | None, int]:
    """Before which instant earlier contents go, and how many of them stay beside the present one.

    Raises:
        TaskError: what was written is no date, or no amount.
    """
    if behavior is None:
        return None, 0
    before, amount = behavior.before, behavior.keep_amount
    before_us = None if before is None else instant_us(context.render(before), "before")
    kept = 1 if amount is None else int(number(context, amount))
    if kept < 1:
        raise TaskError(f"Expected a keepAmount of 1 or more, but it was {kept}.")
    return before_us, kept - 1


def pattern_matcher(context: RunContext, pattern: str | None) -> Callable[[str], bool]:
    """Whether a name matches a glob that is a template; without one all do."""
    return matcher([] if pattern is None else [context.render(pattern)])
