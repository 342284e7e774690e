"""What differs between the two generations of the API, by the path of a request.

On `/api/v1/{tenant}/…`, Kestra's paths since 2.0, a task run that was handed to the workers is
SUBMITTED until one of them starts it. On `/api/v1/…` there is no such state, as before 1.1.
"""

from __future__ import annotations

from datetime import datetime

from aiohttp import web

from tiercel_engine.errors import InvalidInput, Violation
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.state import State

#: The largest page on Kestra's paths since 2.0; older clients ask for more.
PAGE_SIZE_MAX = 1_000
SUBMITTED = State.SUBMITTED.value


def check_page(request: web.Request) -> None:
    """Raises InvalidInput: a page is larger than this generation allows."""
    size = request.query.get("size", "") if request.query_string else ""
    if "tenant" in request.match_info and size.isdecimal() and int(size[:10]) > PAGE_SIZE_MAX:
        message = f"must be less than or equal to {PAGE_SIZE_MAX}"
        raise InvalidInput((Violation("size", message),))


def as_asked(request: web.Request, execution: JsonObject) -> JsonObject:
    """The execution of the read model as the path of the request shows it. O(its task runs)."""
    runs = execution.get("taskRunList")
    if not runs:
        return execution
    shows_submitted = "tenant" in request.match_info
    return {**execution, "taskRunList": [_task_run(run, shows_submitted) for run in runs]}


def _task_run(run: JsonObject, shows_submitted: bool) -> JsonObject:
    submissions = run.get("submissions")
    if submissions is None:
        return run
    shown = run.copy()
    del shown["submissions"]
    if shows_submitted:
        shown["state"] = _with_submitted(run["state"], submissions)
    return shown


def _with_submitted(state: JsonObject, submissions: list[tuple[int, str]]) -> JsonObject:
    """`submissions`: (entries of the history before it, when), oldest first."""
    left: list[JsonObject] = state["histories"]
    histories: list[JsonObject] = []
    done = 0
    for after, date in submissions:
        histories += left[done:after]
        # The clocks of two machines cannot make a history go back in time.
        if after < len(left):
            date = _earlier(date, left[after]["date"])
        histories.append({"state": SUBMITTED, "date": date})
        done = after
    histories += left[done:]
    current = SUBMITTED if histories[-1]["state"] == SUBMITTED else state["current"]
    return {**state, "current": current, "histories": histories}


def _earlier(one: str, other: str) -> str:
    if len(one) == len(other):  # Of the same precision: they compare as text.
        return min(one, other)
    return min(one, other, key=datetime.fromisoformat)
