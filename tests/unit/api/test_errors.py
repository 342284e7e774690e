"""Error -> status and body."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from msgspec.json import decode

from tiercel_api.errors import TABLE, error_body, error_response
from tiercel_engine import errors as e
from tiercel_engine.errors import Violation


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (e.NotFound(""), 404, "Not Found"),
        (e.NotFound("no flow"), 404, "Not Found: no flow"),
        (e.Conflict("taken"), 409, "Illegal state: taken"),
        (e.Rejected("no"), 422, "Illegal argument: no"),
        (e.InvalidExpression("odd"), 422, "Illegal argument: odd"),
        (e.UserError("no"), 422, "Illegal argument: no"),
        (e.InvalidFlow("id: bad\n"), 422, "Invalid entity: id: bad\n"),
        (
            e.InvalidInput((Violation("a", "one"), Violation("b", "two"))),
            422,
            "Invalid entity: a: one\nb: two",
        ),
        (e.RecordTooLarge("big"), 413, "Request Entity Too Large: big"),
        (e.LogBusy("full"), 503, "Service Unavailable: full"),
        (e.LogUnavailable("away"), 503, "Service Unavailable: away"),
        (e.TransientError("away"), 503, "Service Unavailable: away"),
        (TimeoutError(), 503, "Service Unavailable"),
    ],
)
def test_an_error_has_its_status_and_message(error: Exception, status: int, message: str) -> None:
    response = error_response(make_mocked_request("GET", "/api/v1/x?a=b"), error)

    assert response is not None
    assert response.status == status
    assert isinstance(response.body, bytes)
    body = decode(response.body)
    assert body["message"] == message
    assert body["_links"]["self"]["href"] == "/api/v1/x?a=b"
    assert ("Retry-After" in response.headers) is (status == 503)


def test_a_fault_of_ours_is_not_in_the_table() -> None:
    for error in (e.ProgrammingError("broken"), AssertionError(), KeyError("x")):
        assert error_response(make_mocked_request("GET", "/"), error) is None


def test_every_error_on_purpose_but_faults_and_task_errors_is_in_the_table() -> None:
    kinds = [kind for kind, _, _ in TABLE]
    own = (e.ProgrammingError, e.TaskError)

    # Tests and plugins may have added classes of their own.
    ours = [k for k in e.TiercelError.__subclasses__() if k.__module__ == e.__name__]
    assert ours
    for kind in ours:
        assert kind in own or issubclass(kind, tuple(kinds)), kind


def test_violations_are_embedded() -> None:
    body = error_body("m", "/h", [Violation("tasks[0]", "odd")])

    assert body["_embedded"] == {
        "errors": [
            {
                "message": "odd",
                "logref": None,
                "path": "tasks[0]",
                "_links": {},
                "_embedded": {},
            }
        ]
    }
