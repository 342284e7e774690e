"""What the two generations of paths show of a task run."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from tiercel_api.documents import as_restarted
from tiercel_api.generations import as_asked
from tiercel_engine.repository.base import JsonObject


def execution(submissions: list[list[Any]] | None, *changes: tuple[str, str]) -> JsonObject:
    histories = [{"state": name, "date": f"2026-01-01T00:00:{at}Z"} for name, at in changes]
    state = {"current": changes[-1][0], "histories": histories, "startDate": histories[0]["date"]}
    run: JsonObject = {"id": "run", "state": state}
    if submissions is not None:
        dated = [[after, f"2026-01-01T00:00:{at}Z"] for after, at in submissions]
        run["submissions"] = dated
    return {"id": "one", "state": state, "taskRunList": [run]}


def shown(document: JsonObject, tenant: str | None) -> list[str]:
    """ "STATE at" of each entry, then the current state."""
    request = make_mocked_request("GET", "/")
    request._match_info = {"tenant": tenant} if tenant else {}  # type: ignore[assignment]
    [run] = as_asked(request, document)["taskRunList"]
    assert "submissions" not in run
    entries = [f"{x['state']} {x['date'][17:-1]}" for x in run["state"]["histories"]]
    return [*entries, run["state"]["current"]]


def test_each_submission_stands_before_its_start() -> None:
    changes = [("CREATED", "01"), ("RUNNING", "03"), ("RETRYING", "04"), ("CREATED", "05")]
    document = execution([[1, "02"], [4, "05"]], *changes)

    assert shown(document, "main") == [
        *("CREATED 01", "SUBMITTED 02", "RUNNING 03", "RETRYING 04", "CREATED 05"),
        *("SUBMITTED 05", "SUBMITTED"),
    ]
    assert shown(document, None) == [*(f"{name} {at}" for name, at in changes), "CREATED"]


@pytest.mark.parametrize(("submitted", "started"), [("20.061", "20"), ("03", "02.5")])
def test_a_submission_is_not_later_than_what_follows(submitted: str, started: str) -> None:
    document = execution([[1, submitted]], ("CREATED", "01"), ("RUNNING", started))

    assert shown(document, "main")[1] == f"SUBMITTED {started}"


def test_what_was_never_submitted_is_shown_as_it_is() -> None:
    document = execution(None, ("CREATED", "01"), ("RUNNING", "01"))

    assert shown(document, "main") == shown(document, None)


def test_an_execution_as_its_restart_left_it_has_submitted_nothing_since() -> None:
    changes = [("CREATED", "01"), ("FAILED", "03"), ("RESTARTED", "04"), ("SUCCESS", "06")]

    restarted = as_restarted(execution([[1, "02"], [3, "04"]], *changes))

    assert shown(restarted, "main") == [
        *("CREATED 01", "SUBMITTED 02", "FAILED 03", "RESTARTED 04", "RESTARTED"),
    ]
