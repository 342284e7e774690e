"""Starting executions: forms, files, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tests.api_harness import ApiServer, api_server, flow_source

from tiercel_api.services import ApiSettings
from tiercel_engine.storage.uri import belongs_to

GREETING = """inputs:
  - id: greeting
    type: STRING
    defaults: hey
  - id: count
    type: INT
    required: false
"""
ORDERS = """inputs:
  - id: orders
    type: FILE
"""

LISTS = """inputs:
  - id: sizes
    type: ARRAY
    itemType: INT
"""
FORMS = """inputs:
  - id: place
    type: FORM
    inputs:
      - {id: region, type: SELECT, values: [EU, US]}
      - {id: plan, type: FILE}
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("inputs"), embedded=True) as server:
        server.save_flow(flow_source("hello", GREETING + "labels:\n  room: kitchen"))
        server.save_flow(flow_source("orders", ORDERS))
        server.save_flow(flow_source("off", "disabled: true"))
        server.save_flow(flow_source("lists", LISTS))
        server.save_flow(flow_source("forms", FORMS))
        server.save_flow(
            flow_source("needs", "inputs:\n  - id: who\n    type: STRING\n  - {id: n, type: INT}")
        )
        yield server


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"greeting": (None, "hi"), "count": (None, "7")}},
        {"data": {"greeting": "hi", "count": "7"}},
    ],
    ids=["multipart", "urlencoded"],
)
def test_inputs_come_by_form(api: ApiServer, sent: dict[str, Any]) -> None:
    document = api.post("/executions/house.kitchen/hello", **sent).json()

    assert document["inputs"] == {"greeting": "hi", "count": 7}
    read = api.get(f"/executions/{document['id']}").json()
    assert read["inputs"] == {"greeting": "hi", "count": 7}


@pytest.mark.parametrize(
    ("part", "filename", "stored_as"),
    [
        ("orders", "may.csv", "may.csv"),
        ("files", "orders", "orders"),
        ("orders", "orders", "orders"),
        ("orders", "../../../etc/passwd", "passwd"),
    ],
    ids=["curl", "kestra", "kestrapy", "hostile"],
)
def test_a_file_is_stored_for_its_input(
    api: ApiServer, part: str, filename: str, stored_as: str
) -> None:
    # given
    content = b"id,price\n1,2\n" * 10

    # when
    document = api.post(
        "/executions/house.kitchen/orders", files={part: (filename, content, "text/csv")}
    ).json()

    # then
    uri = document["inputs"]["orders"]
    assert belongs_to(uri, "house.kitchen", "orders", document["id"])
    assert uri.endswith(f"/executions/{document['id']}/inputs/orders/{stored_as}")
    assert api.storage.get(uri) == content
    path = f"/executions/{document['id']}/file"
    download = api.get(path, params={"path": uri})
    assert download.content == content
    assert download.headers["Content-Type"] == "application/octet-stream"
    assert download.headers["X-Content-Type-Options"] == "nosniff"
    assert api.get(f"{path}/metas", params={"path": uri}).json() == {"size": len(content)}


def test_a_large_file_passes_through_in_blocks(api: ApiServer) -> None:
    content = bytes(range(256)) * 20_000

    document = api.post(
        "/executions/house.kitchen/orders", files={"orders": ("big", content)}
    ).json()

    assert api.storage.get(document["inputs"]["orders"]) == content


def test_files_above_the_limit_leave_nothing_behind(tmp_path: Path) -> None:
    with api_server(tmp_path, ApiSettings(upload_bytes_max=100_000)) as api:
        api.save_flow(flow_source("orders", ORDERS))

        response = api.post(
            "/executions/house.kitchen/orders", files={"orders": ("big", b"x" * 2_000_000)}
        )

        assert response.status_code == 413
        assert list(api.storage.list("kestra:///house")) == []


def test_a_file_of_another_execution_is_asked_for_there(api: ApiServer) -> None:
    # given
    sent = {"orders": ("a.csv", b"a")}
    first = api.post("/executions/house.kitchen/orders", files=sent).json()
    second = api.post("/executions/house.kitchen/orders", files=sent).json()
    uri = first["inputs"]["orders"]

    # when
    response = api.get(f"/executions/{second['id']}/file", params={"path": uri})
    outside = api.get(f"/executions/{second['id']}/file", params={"path": "kestra:///a/b"})
    above = api.get(f"/executions/{second['id']}/file", params={"path": "kestra:///../b"})

    # then
    assert response.status_code == 302
    there = f"/api/v1/executions/{first['id']}/file?path={uri}"
    assert unquote(response.headers["Location"]) == there
    assert outside.status_code == 422
    assert outside.json()["message"].startswith("Illegal argument: Invalid prefix path")
    assert above.status_code == 422


def test_large_inputs_are_kept_out_of_the_log_and_answered_whole(api: ApiServer) -> None:
    text = "many words " * 20_000

    document = api.post("/executions/house.kitchen/hello", files={"greeting": (None, text)}).json()

    assert document["inputs"]["greeting"] == text
    read = api.get(f"/executions/{document['id']}").json()
    assert read["inputs"]["greeting"] == text


@pytest.mark.parametrize(
    ("path", "sent", "status", "message"),
    [
        ("/house.kitchen/nobody", {}, 404, "Not Found: Requested Flow is not found."),
        ("/house.kitchen/hello?revision=9", {}, 404, "Not Found: Requested Flow is not found."),
        ("/house.kitchen/off", {}, 409, "Illegal state: Requested Flow is disabled."),
        ("/house.kitchen/hello", {"json": {"greeting": "x"}}, 415, "Unsupported Media Type: "),
        ("/house.kitchen/hello?labels=nothing", {}, 422, "Illegal argument: Invalid queryString"),
        ("/house.kitchen/hello?labels=system.x:y", {}, 422, "Illegal argument: System labels"),
        ("/house.kitchen/hello?revision=x", {}, 400, "Bad Request: "),
        ("/house.kitchen/hello?kind=ODD", {}, 422, "Illegal argument: "),
        ("/house.kitchen/hello?scheduleDate=soon", {}, 422, "Illegal argument: "),
    ],
)
def test_what_cannot_be_started_is_refused(
    api: ApiServer, path: str, sent: dict[str, Any], status: int, message: str
) -> None:
    response = api.post(f"/executions{path}", **sent)

    assert response.status_code == status
    assert response.json()["message"].startswith(message)
    assert response.json()["_links"]["self"]["href"] == f"/api/v1/executions{path}"


@pytest.mark.parametrize("kind", ["files", "data"])
def test_a_list_may_come_as_json_or_one_by_one(api: ApiServer, kind: str) -> None:
    def started(*texts: str) -> Any:
        sent: Any = [("sizes", (None, text) if kind == "files" else text) for text in texts]
        body = api.post("/executions/house.kitchen/lists", **{kind: sent}).json()
        return body.get("inputs", {}).get("sizes", body.get("message"))

    assert started("[1, 2]") == [1, 2]
    assert started("1", "2") == [1, 2]
    assert started("1", "x").startswith("Invalid entity: sizes: Invalid input for `sizes`, Unable")
    assert "such as `[" in started("1")


def test_forms_are_given_by_full_ids_and_checked_so(api: ApiServer) -> None:
    given = {"place.region": (None, "AU"), "place.plan": ("plan.csv", b"1,2")}
    checked = api.post("/executions/house.kitchen/forms/validate", files=given).json()
    assert [(row["input"]["id"], row["input"]["type"]) for row in checked["inputs"]] == [
        ("place.region", "SELECT"),
        ("place.plan", "FILE"),
    ]
    assert checked["inputs"][0]["errors"]

    given["place.region"] = (None, "EU")
    inputs = api.post("/executions/house.kitchen/forms", files=given).json()["inputs"]
    assert inputs["place"]["region"] == "EU"
    assert inputs["place"]["plan"].endswith("/plan.csv")
    form = api.get("/flows/house.kitchen/forms").json()["inputs"][0]
    assert [each["id"] for each in form["inputs"]] == ["region", "plan"]


def test_missing_and_mistyped_inputs_are_named(api: ApiServer) -> None:
    response = api.post("/executions/house.kitchen/needs", files={"n": (None, "abc")})

    assert response.status_code == 422
    assert response.json()["message"].startswith(
        "Invalid entity: who: Invalid input for `who`, missing required input, but received `null`"
    )
    assert [e["path"] for e in response.json()["_embedded"]["errors"]] == ["who", "n"]


def test_inputs_can_be_checked_without_starting(api: ApiServer) -> None:
    response = api.post("/executions/house.kitchen/needs/validate", files={"n": (None, "abc")})

    body = response.json()
    assert response.status_code == 200
    assert [(row["input"]["id"], row["enabled"]) for row in body["inputs"]] == [
        ("who", True),
        ("n", True),
    ]
    assert all(row["errors"] for row in body["inputs"])
    assert api.get("/executions?namespace=house.kitchen&flowId=needs").json()["total"] == 0


def test_a_body_that_is_no_form_is_a_bad_request(api: ApiServer) -> None:
    response = api.post(
        "/executions/house.kitchen/hello",
        data=b"not a form",
        headers={"Content-Type": "multipart/form-data; boundary=xx"},
    )

    assert response.status_code == 400


def test_an_empty_form_is_like_no_body(api: ApiServer) -> None:
    response = api.post(
        "/executions/house.kitchen/hello",
        data=b"--xx--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=xx"},
    )

    assert response.status_code == 200
    assert response.json()["inputs"]["greeting"] == "hey"
