"""HTTP tasks against a real server with redirects, passwords, proxies and broken answers."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.http_house import House, http_house
from tests.unit.worker.rig import Rig, rig_in

from tiercel_engine.storage.sealing import Sealer
from tiercel_worker.tasks.sse import events_of

KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("http"), sealer=Sealer(KEY)) as rig:
        yield rig


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with http_house() as house:
        yield house


def test_a_request_sends_what_it_says_and_keeps_the_answer(rig: Rig, house: House) -> None:
    outputs = rig.outputs(
        "http.Request",
        {"inputs": {"n": 7}},
        uri=f"{house.url}/echo?a=1",
        method="post",
        params={"b": "{{ inputs.n }}"},
        headers={"X-Number": "{{ inputs.n }}", "X-List": ["1", "2"]},
        body='{"n": {{ inputs.n }}}',
    )
    assert outputs["code"] == 200
    assert outputs["headers"]["X-Twice"] == ["1", "2"]
    echo = json.loads(outputs["body"])
    assert echo["method"] == "POST"
    assert echo["query"] == {"a": ["1"], "b": ["7"]}
    assert echo["headers"]["content-type"] == "application/json"
    assert echo["headers"]["x-number"] == "7"
    assert json.loads(echo["body"]) == {"n": 7}
    assert rig.metrics()["response.length"] == len(outputs["body"])


def test_the_older_name_and_a_map_as_body_work(rig: Rig, house: House) -> None:
    outputs = rig.outputs(
        "io.kestra.plugin.fs.http.Request", uri=f"{house.url}/echo", method="PUT", body={"a": [1]}
    )
    assert json.loads(json.loads(outputs["body"])["body"]) == {"a": [1]}


def test_redirects_are_followed_unless_told_otherwise(rig: Rig, house: House) -> None:
    outputs = rig.outputs("http.Request", uri=f"{house.url}/redirect/3")
    assert (outputs["code"], outputs["uri"]) == (200, f"{house.url}/echo")
    options = {"followRedirects": False}
    outputs = rig.outputs("http.Request", uri=f"{house.url}/redirect/3", options=options)
    assert (outputs["code"], outputs["headers"]["Location"]) == (302, ["/redirect/2"])
    assert "failed" in rig.failure("http.Request", uri=f"{house.url}/redirect/99")


def test_a_failing_status_fails_the_task_unless_allowed(rig: Rig, house: House) -> None:
    uri = f"{house.url}/status/418"
    error = rig.failure("http.Request", uri=uri)
    assert error == f"Request '{uri}' failed with status code '418' and body:\nso it is"
    assert rig.outputs("http.Request", uri=uri, allowFailed=True)["code"] == 418
    assert (
        rig.outputs("http.Request", uri=uri, options={"allowFailed": "{{ true }}"})["code"] == 418
    )
    only = {"allowedResponseCodes": [418]}
    assert rig.outputs("http.Request", uri=uri, options=only)["code"] == 418
    assert "'200'" in rig.failure("http.Request", uri=f"{house.url}/echo", options=only)


@pytest.mark.parametrize(
    "options",
    [
        {"basicAuthUser": "ada", "basicAuthPassword": "pass:word"},
        {"auth": {"type": "BASIC", "username": "{{ 'ada' }}", "password": "pass:word"}},
        {"auth": {"type": "BEARER", "token": "token-{{ 1 }}"}},
    ],
)
def test_passwords_and_tokens_open_doors(rig: Rig, house: House, options: dict[str, Any]) -> None:
    uri = f"{house.url}/private"
    assert rig.outputs("http.Request", uri=uri, options=options)["body"] == "welcome"
    assert "'401'" in rig.failure("http.Request", uri=uri)


def test_forms_are_sent_encoded_or_in_parts_with_files(rig: Rig, house: House) -> None:
    uri = f"{house.url}/form"
    plain = rig.outputs("http.Request", uri=uri, method="POST", formData={"a": "1 & 2", "b": "é"})
    assert json.loads(plain["body"]) == {"a": "1 & 2", "b": "é"}
    file = rig.file("orders.csv", "1,2\n" * 100_000)
    parts = rig.outputs(
        "http.Request",
        uri=uri,
        method="POST",
        contentType="multipart/form-data",
        formData={"text": "{{ flow.id }}", "one": file, "two": {"name": "x.csv", "content": file}},
    )
    assert json.loads(parts["body"]) == {
        "text": [None, 4, "flow"],
        "one": ["orders.csv", 400_000, "1,2\n" * 5],
        "two": ["x.csv", 400_000, "1,2\n" * 5],
    }


def test_a_body_is_encrypted_when_asked(rig: Rig, house: House) -> None:
    outputs = rig.outputs("http.Request", uri=f"{house.url}/status/200", encryptBody=True)
    assert "body" not in outputs
    assert Sealer(KEY).open(outputs["encryptedBody"]) == "so it is"


def test_a_proxy_is_used(rig: Rig, house: House) -> None:
    proxy = {"type": "HTTP", "address": "127.0.0.1", "port": house.port}
    body = rig.outputs("http.Request", uri="http://nowhere.invalid/page", options={"proxy": proxy})[
        "body"
    ]
    assert body == "by proxy: http://nowhere.invalid/page"
    socks = {"type": "SOCKS", "address": "127.0.0.1", "port": 1}
    assert "Expected a proxy of type HTTP" in rig.failure(
        "http.Request", uri=house.url, options={"proxy": socks}
    )


def test_a_certificate_is_checked_unless_told_otherwise(rig: Rig, tmp_path: Path) -> None:
    with http_house(tmp_path) as house:
        uri = f"{house.url}/status/200"
        assert "certificate" in rig.failure("http.Request", uri=uri).lower()
        for trust in (
            {"sslOptions": {"insecureTrustAllCertificates": True}},
            {"options": {"ssl": {"insecureTrustAllCertificates": True}}},
        ):
            assert rig.outputs("http.Request", uri=uri, **trust)["body"] == "so it is"


def test_a_broken_answer_and_a_silent_server_fail_the_task(rig: Rig, house: House) -> None:
    assert "failed" in rig.failure("http.Download", uri=f"{house.url}/broken")
    timeout = {"timeout": {"readIdleTimeout": "PT0.2S"}}
    assert "failed" in rig.failure("http.Request", uri=f"{house.url}/slow", options=timeout)
    assert "failed" in rig.failure("http.Request", uri="http://127.0.0.1:1/")
    assert "failed" in rig.failure("http.Request", uri="no address at all")


def test_a_kill_ends_a_request_that_waits(rig: Rig, house: House) -> None:
    house.asked.clear()
    task = {"type": "io.kestra.plugin.core.http.Request", "uri": f"{house.url}/slow"}
    job = rig.bench.submit(task, "killed")
    assert house.asked.wait(20)
    rig.bench.revoke(job, "KILLED")
    assert rig.bench.end("killed").state == "KILLED"


def test_a_download_of_any_size_passes_through_little_memory(rig: Rig, house: House) -> None:
    size_bytes = 100 << 20
    tracemalloc.start()
    outputs = rig.outputs("http.Download", uri=f"{house.url}/bytes/{size_bytes}")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert outputs["length"] == rig.storage.size(outputs["uri"]) == size_bytes
    assert outputs["uri"].endswith("/data%20set.bin")
    assert peak_bytes < 50 << 20


def test_an_answer_too_large_for_an_output_names_the_other_task(rig: Rig, house: House) -> None:
    assert "use http.Download" in rig.failure("http.Request", uri=f"{house.url}/bytes/{20 << 20}")


def test_an_empty_download_fails_unless_told_otherwise(rig: Rig, house: House) -> None:
    uri = f"{house.url}/bytes/0"
    assert "Expected an answer with a body" in rig.failure("http.Download", uri=uri)
    assert rig.outputs("http.Download", uri=uri, failOnEmptyResponse=False)["length"] == 0


def test_server_sent_events_are_read_to_their_end(rig: Rig, house: House) -> None:
    outputs = rig.outputs("http.SseRequest", uri=f"{house.url}/events", concatJqExpression=".n")
    assert outputs["events"][1] == {"data": '{"n": 1}', "id": "1", "event": "step"}
    assert (outputs["size"], outputs["result"]) == (3, "012")
    missing = {"uri": f"{house.url}/events", "concatJqExpression": ".text"}
    assert "to pick something of" in rig.failure("http.SseRequest", **missing)
    outputs = rig.outputs("http.SseRequest", failedOnMissingJq=False, **missing)
    assert outputs["result"] == ""


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("data: a\ndata: b\n\ndata:c\r\n\r\n", [{"data": "a\nb"}, {"data": "c"}]),
        (": comment\nid: 7\nretry: 3\ndata\n\n", [{"data": "", "id": "7"}]),
        ("event: only\n\ndata: torn", []),
        ("", []),
    ],
)
def test_the_format_of_events_is_the_standards(text: str, events: list[dict[str, str]]) -> None:
    assert list(events_of(text)) == events
