"""Secrets in log lines, in every form in which they usually leave a task."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.worker.harness import Bench

from tiercel_worker.masking import MASK, Masker

SECRET = 'pass "wörd"\\+/?'
LOG = "io.kestra.plugin.core.log.Log"


def masked(text: str, *secrets: str) -> str:
    masker = Masker()
    for secret in secrets or (SECRET,):
        masker.add(secret)
    return masker.masked(text)


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_a_secret_is_hidden_in_each_of_its_forms(form: str) -> None:
    assert masked(f"it is {form}, really") == f"it is {MASK}, really"


@given(
    before=st.binary(max_size=7),
    after=st.binary(max_size=7),
    secret=st.text("aZ9é+", min_size=12),
)
def test_a_secret_within_what_is_coded_is_hidden(before: bytes, after: bytes, secret: str) -> None:
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        coded = code(before + secret.encode() + after).decode()

        shown = masked(coded, secret)

        # What is left are the characters that others had a part in.
        assert MASK in shown
        others = len(code(before)) + len(code(after)) + 4
        assert len(shown) - len(MASK) <= others


def test_the_longer_of_two_secrets_is_hidden_first() -> None:
    assert masked("abcdef abc", "abc", "abcdef") == f"{MASK} {MASK}"


def test_lines_of_a_key_are_hidden_by_themselves_and_short_ones_are_not() -> None:
    key = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\nab\n-----END KEY-----"

    assert masked("MIIEowIBAAKCAQEA", key) == MASK
    assert masked("ab", key) == "ab"


def test_nothing_is_hidden_without_a_secret() -> None:
    assert masked("********", "") == "********"
    assert not Masker().has_secrets


TRANSFORMED = (
    "{{ secret('DOOR') }} {{ secret('DOOR') | base64encode }} {{ {'k': secret('DOOR')} | toJson }} "
    "{{ ('user:' ~ secret('DOOR')) | base64encode }} {{ secret('DOOR') | urlencode }}"
)


def test_log_lines_of_a_task_hide_what_a_template_made_of_a_secret(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_DOOR", base64.b64encode(SECRET.encode()).decode())

    with bench.worker():
        bench.submit({"type": LOG, "message": TRANSFORMED})
        bench.end()

    ((_, line),) = bench.lines()
    basic = base64.b64encode(b"user:").decode().rstrip("=")
    assert line.startswith(f'{MASK} {MASK} {{"k":"{MASK}"}} {basic[:4]}')
    assert line.count(MASK) == 5
    assert "word" not in line


def test_the_error_of_a_task_hides_it_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_DOOR", base64.b64encode(SECRET.encode()).decode())
    fails = "{{ fromJson(secret('DOOR') | base64encode) }}"

    with bench.worker():
        bench.submit({"type": LOG, "message": fails})
        end = bench.end()

    coded = base64.b64encode(SECRET.encode()).decode()
    assert end.state == "FAILED"
    told = [end.error or "", *(line for _, line in bench.lines())]
    assert all(coded not in text and SECRET not in text for text in told)
