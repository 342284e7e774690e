"""`breakpoints` of a request: `task` or `task.value`, several by commas or by repeating it."""

from __future__ import annotations

from aiohttp import web

from tiercel_api.errors import HttpError
from tiercel_engine.flow.model import Flow
from tiercel_schemas.common import Breakpoint

BREAKPOINTS_MAX = 100


def breakpoints_of(request: web.Request, flow: Flow) -> tuple[Breakpoint, ...]:
    """The tasks that an execution of `flow` is to be suspended before.

    Raises:
        HttpError: the flow has no such task, or there are too many.
    """
    if not request.query_string:
        return ()
    texts = [
        text.strip()
        for given in request.query.getall("breakpoints", [])
        for text in given.split(",")
        if text.strip()
    ]
    if len(texts) > BREAKPOINTS_MAX:
        raise HttpError(422, "Illegal argument", f"Expected at most {BREAKPOINTS_MAX} breakpoints.")
    return tuple(_breakpoint(text, flow) for text in texts)


def _breakpoint(text: str, flow: Flow) -> Breakpoint:
    task_id, dot, value = text.partition(".")
    if flow.task(task_id) is None:
        raise HttpError(
            422,
            "Illegal argument",
            f"Expected a breakpoint at a task of the flow, but there is no task {task_id!r}.",
        )
    return Breakpoint(task_id, value if dot else None)
