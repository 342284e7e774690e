"""HTTP tasks against a real server with redirects, passwords, proxies and broken answers."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.http_house import House, http_house
from tests.proxy_house import proxy_house
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


@pytest.mark.parametrize(("word", "finds"), [("so it is", 1), ("not so", 0)])
def test_a_trigger_judges_a_body_that_its_execution_gets_sealed(
    rig: Rig, house: House, word: str, finds: int
) -> None:
    found = rig.outputs(
        "tiercel.http.Look",
        uri=f"{house.url}/status/200",
        encryptBody=True,
        responseCondition=f"{{{{ response.body == '{word}' }}}}",
    )["starts"]

    assert len(found) == finds
    for start in found:
        assert "body" not in start["variables"]
        assert Sealer(KEY).open(start["variables"]["encryptedBody"]) == "so it is"


def test_a_proxy_is_used(rig: Rig, house: House) -> None:
    proxy = {"type": "HTTP", "address": "127.0.0.1", "port": house.port}
    body = rig.outputs("http.Request", uri="http://nowhere.invalid/page", options={"proxy": proxy})[
        "body"
    ]
    assert body == "by proxy: http://nowhere.invalid/page"


@pytest.mark.parametrize("kind", ["SOCKS", "SOCKS4", "SOCKS5"])
def test_a_socks_proxy_is_used(rig: Rig, house: House, kind: str) -> None:
    with proxy_house() as proxy:
        options = {"proxy": {"type": kind, "address": "127.0.0.1", "port": proxy.port}}
        uri = f"http://known-there.invalid:{house.port}/status/200"
        assert rig.outputs("http.Request", uri=uri, options=options)["body"] == "so it is"
        scheme = kind.lower() if kind != "SOCKS" else "socks5"
        assert proxy.seen == [f"{scheme} known-there.invalid:{house.port}"]


@pytest.mark.parametrize("kind", ["SOCKS", "HTTP"])
def test_a_proxy_may_ask_for_a_password(rig: Rig, tmp_path: Path, kind: str) -> None:
    with http_house(tmp_path) as house, proxy_house(("ada", "pass:word")) as proxy:
        address = {"type": kind, "address": "127.0.0.1", "port": proxy.port}
        trust = {"trustedCertificates": (tmp_path / "house.pem").read_text()}
        call = {"uri": f"{house.url}/status/200"}
        login = {"username": "{{ 'ada' }}", "password": "pass:word"}

        right = {"proxy": {**address, **login}, "ssl": trust}
        assert rig.outputs("http.Request", options=right, **call)["body"] == "so it is"
        wrong = {"proxy": {**address, **login, "password": "wrong"}, "ssl": trust}
        assert f"Request 'GET {house.url}/status/200' failed" in rig.failure(
            "http.Request", options=wrong, **call
        )
        assert len(proxy.seen) == 1


def test_a_proxy_that_is_not_there_or_silent_fails_the_task(rig: Rig, house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for kind in ("SOCKS", "HTTP"):
            for port in (1, silent.getsockname()[1]):
                proxy = {"type": kind, "address": "127.0.0.1", "port": port}
                options = {"proxy": proxy, "timeout": {"connectTimeout": "PT0.3S"}}
                error = rig.failure("http.Request", uri="https://x.invalid/", options=options)
                assert error.startswith("Request 'GET https://x.invalid/' failed: "), error
    unknown = {"proxy": {"type": "CARRIER_PIGEON", "address": "127.0.0.1"}}
    assert "Expected a proxy of type DIRECT, HTTP, SOCKS" in rig.failure(
        "http.Request", uri=house.url, options=unknown
    )


def test_a_server_that_asks_for_a_digest_gets_one(rig: Rig, house: House) -> None:
    auth = {"type": "DIGEST", "username": "ada", "password": "pass:word"}
    call: dict[str, Any] = {"uri": f"{house.url}/digest", "options": {"auth": auth}}
    assert rig.outputs("http.Request", **call)["body"] == "welcome, 0"
    posted = rig.outputs("http.Request", method="POST", body="12345", **call)
    assert posted["body"] == "welcome, 5"
    form = {"file": rig.file("big.csv", "1,2\n" * 100_000)}
    answer = rig.outputs("http.Request", method="POST", formData=form, **call)["body"]
    assert int(answer.removeprefix("welcome, ")) > 400_000
    call["options"] = {"auth": {**auth, "password": "wrong"}}
    assert "'401'" in rig.failure("http.Request", **call)


@pytest.mark.parametrize(
    ("code", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
)
def test_a_post_is_redirected_as_browsers_do(
    rig: Rig, house: House, code: int, method: str
) -> None:
    uri = f"{house.url}/moved/{code}/echo"
    echo = json.loads(rig.outputs("http.Request", uri=uri, method="POST", body="{}")["body"])
    assert echo["method"] == method
    assert echo["body"] == ("{}" if method == "POST" else "")


def test_a_form_with_files_survives_a_redirect(rig: Rig, house: House) -> None:
    form = {"file": rig.file("orders.csv", "1,2\n" * 100_000)}
    uri = f"{house.url}/moved/307/form"
    answer = rig.outputs("http.Request", uri=uri, method="POST", formData=form)
    assert json.loads(answer["body"]) == {"file": ["orders.csv", 400_000, "1,2\n" * 5]}


def test_a_password_does_not_follow_to_another_host(rig: Rig, house: House) -> None:
    with http_house() as other:
        echo = json.loads(
            rig.outputs(
                "http.Request",
                uri=f"{house.url}/moved/302/echo?to={other.url}",
                method="POST",
                options={"auth": {"type": "BEARER", "token": "token-1"}},
            )["body"]
        )
    assert "authorization" not in echo["headers"]


def test_a_certificate_is_checked_unless_told_otherwise(rig: Rig, tmp_path: Path) -> None:
    with http_house(tmp_path) as house:
        uri = f"{house.url}/status/200"
        assert "certificate" in rig.failure("http.Request", uri=uri).lower()
        for trust in (
            {"sslOptions": {"insecureTrustAllCertificates": True}},
            {"options": {"ssl": {"insecureTrustAllCertificates": True}}},
        ):
            assert rig.outputs("http.Request", uri=uri, **trust)["body"] == "so it is"


def test_certificates_and_keys_are_given_as_pem_or_files(rig: Rig, tmp_path: Path) -> None:
    with http_house(tmp_path, asks_who=True) as house:
        pem = (tmp_path / "house.pem").read_text()
        key = pem[: pem.index("-----BEGIN CERTIFICATE")]
        certificate = pem.removeprefix(key)
        call = {"uri": f"{house.url}/status/200"}

        def body(**tls: Any) -> Any:
            return rig.outputs("http.Request", options={"ssl": tls}, **call)["body"]

        trusted = rig.file("trusted.pem", certificate)
        assert body(trustedCertificates=trusted, clientCertificate=pem) == "so it is"
        split = {"clientCertificate": certificate, "clientKey": "{{ vars.key }}"}
        ssl_options = {"insecureTrustAllCertificates": True, **split}
        variables = {"vars": {"key": key}}
        outputs = rig.outputs("http.Request", variables, sslOptions=ssl_options, **call)
        assert outputs["body"] == "so it is"

        assert "failed" in rig.failure(
            "http.Request", options={"ssl": {"trustedCertificates": certificate}}, **call
        )
        for wrong in ({"trustedCertificates": "no"}, {"clientCertificate": certificate}):
            assert "Expected certificates and keys in PEM" in rig.failure(
                "http.Request", options={"ssl": wrong}, **call
            )


#: What a server may send instead of an answer.
BROKEN = {
    "nothing": b"",
    "no-http": b"220 mail.example ESMTP\r\n\r\n",
    "torn-head": b"HTTP/1.1 200 OK\r\nContent-",
    "short": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "bad-length": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc",
    "torn-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    "bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
    "bad-gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "long-head": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
    "to-nowhere": b"HTTP/1.1 302 Found\r\nLocation: gopher://x/\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_is_none_fails_the_task(rig: Rig, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer_all, args=(server, answer))
        thread.start()
        uri = f"http://127.0.0.1:{server.getsockname()[1]}/"
        error = rig.failure("http.Request", uri=uri)
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert error.startswith(f"Request 'GET {uri}' failed: "), error


def _answer_all(server: socket.socket, answer: bytes) -> None:
    # A client may ask once more when nothing came.
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)


def test_headers_and_bodies_are_logged_when_asked(rig: Rig, house: House) -> None:
    options = {
        "logs": ["REQUEST_HEADERS", "REQUEST_BODY", "RESPONSE_HEADERS", "RESPONSE_BODY"],
    }
    uri = f"{house.url}/echo"
    call = {"method": "POST", "headers": {"Authorization": "Bearer token-1"}, "body": "hello"}
    rig.outputs("http.Request", uri=uri, options=options, **call)
    lines = dict(line.split(":", 1) for _, line in rig.lines())
    assert f"uri: {uri}" in lines["request"]
    assert "Authorization: ********" in lines["request"]
    assert "status: 200" in lines["response"]
    assert "X-Twice: 2" in lines["response"]
    assert lines["request payload"].strip() == "hello"
    assert '"method": "POST"' in lines["response payload"]
    wrong = {"logs": ["EVERYTHING"]}
    assert "Expected logs to be some of" in rig.failure("http.Request", uri=uri, options=wrong)


def test_a_charset_is_used_where_none_is_named(rig: Rig, house: House) -> None:
    options = {"defaultCharset": "ISO-8859-1"}
    assert rig.outputs("http.Request", uri=f"{house.url}/latin", options=options)["body"] == "é"
    wrong = {"defaultCharset": "klingon"}
    assert "Expected the name of a charset" in rig.failure(
        "http.Request", uri=f"{house.url}/latin", options=wrong
    )


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
