"""Functions that read the world go through `Lookups`, and say so where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tiercel_engine.errors import InvalidExpression, NotFound
from tiercel_engine.expression.context import Dialect, RenderContext
from tiercel_engine.expression.lookups import Lookups
from tiercel_engine.expression.render import Renderer
from tiercel_engine.expression.table import TABLE


class FakeWorld:
    """Answers with what it was asked."""

    def read(self, path: str, revision: int | None, variables: Mapping[str, Any]) -> Any:
        return f"{variables['flow']['id']}:{path}:{revision}"

    def file_uri(self, path: str, revision: int | None, variables: Mapping[str, Any]) -> str:
        return f"kestra:///{path}"

    def file_size(self, path: str, variables: Mapping[str, Any]) -> int:
        return len(path)

    def file_exists(self, path: str, variables: Mapping[str, Any]) -> bool:
        return path == "there"

    def is_file_empty(self, path: str, variables: Mapping[str, Any]) -> bool:
        return path == "empty"

    def secret(
        self,
        key: str,
        namespace: str | None,
        subkey: str | None,
        full: bool,
        variables: Mapping[str, Any],
    ) -> Any:
        if key == "none":
            raise NotFound(f"Cannot find secret for key '{key}'.")
        return f"{key}/{namespace}/{subkey}/{str(full).lower()}"

    def kv(
        self, key: str, namespace: str | None, error_on_missing: bool, variables: Mapping[str, Any]
    ) -> Any:
        return {"key": key, "ns": namespace, "strict": error_on_missing}

    def error_logs(
        self, known: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]
    ) -> Sequence[Mapping[str, Any]]:
        return [*known, {"message": f"of {variables['flow']['id']}"}]

    def http(self, request: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
        return dict(request)

    def subflow(self, call: Mapping[str, Any], variables: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"outputs": dict(call)}

    def is_public_holiday(self, day: str, country: str | None, subdivision: str | None) -> bool:
        return (day, country) == ("2024-07-14", "FR")

    def free_port(self) -> int:
        return 4711


WORLD: Lookups = FakeWorld()
VARIABLES = {"flow": {"id": "f"}}
CALLS = [
    ("read('a.txt')", "f:a.txt:None"),
    ("read('a.txt', revision=3)", "f:a.txt:3"),
    ("read('a.txt', version=3)", "f:a.txt:3"),
    ("fileURI('a.txt')", "kestra:///a.txt"),
    ("fileSize('abc')", "3"),
    ("fileExists('there')", "true"),
    ("isFileEmpty('empty')", "true"),
    ("fileEmpty('full')", "false"),
    ("secret('k')", "k/None/None/false"),
    ("secret('k', 'ns', subkey='s', full=true)", "k/ns/s/true"),
    ("kv('k')", '{"key":"k","strict":true}'),
    ("kv('k', 'n', false)", '{"key":"k","ns":"n","strict":false}'),
    ("http('https://x', method='POST')", '{"uri":"https://x","method":"POST"}'),
    ("subflow('n', 'i', inputs={'a': 1}).outputs", '{"namespace":"n","id":"i","inputs":{"a":1}}'),
    ("isPublicHoliday('2024-07-14', 'FR')", "true"),
    ("isPublicHoliday('2024-07-15', 'FR')", "false"),
    ("randomPort()", "4711"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), CALLS)
def test_the_world_answers_through_the_port(call: str, text: str) -> None:
    renderer = Renderer(RenderContext(lookups=WORLD))

    assert renderer.text(f"{{{{ {call} }}}}", VARIABLES) == text


@pytest.mark.parametrize(("call", "_"), CALLS)
def test_without_a_world_each_function_says_that_it_is_not_available(call: str, _: str) -> None:
    with pytest.raises(InvalidExpression, match="not available here"):
        Renderer().text(f"{{{{ {call} }}}}", VARIABLES)


def test_every_function_that_reads_the_world_is_called_here() -> None:
    reading = {name for (kind, name), row in TABLE.items() if row.needs_io and kind == "function"}

    assert reading == {call.partition("(")[0] for call, _ in CALLS}


def test_error_logs_are_the_known_ones_unless_the_world_knows_more() -> None:
    variables = VARIABLES | {"errorLogs": [{"message": "known"}]}
    template = "{{ errorLogs() | jq('.[].message') }}"

    assert Renderer().value(template, variables) == ["known"]
    assert Renderer(RenderContext(lookups=WORLD)).value(template, variables) == ["known", "of f"]


def test_the_dialect_decides_about_missing_keys() -> None:
    old = Renderer(RenderContext(lookups=WORLD, dialect=Dialect(kv_error_on_missing=False)))

    assert (
        old.text("{{ kv('k').strict }}{{ kv('k', errorOnMissing=true).strict }}", {}) == "falsetrue"
    )


def test_what_the_world_refuses_reaches_the_caller_as_it_is() -> None:
    with pytest.raises(NotFound, match="Cannot find secret for key 'none'"):
        Renderer(RenderContext(lookups=WORLD)).text("{{ secret('none') }}", {})


def test_a_function_in_a_macro_still_reads_for_the_whole_render() -> None:
    renderer = Renderer(RenderContext(lookups=WORLD))
    template = "{% macro m(p) %}{{ read(p) }}{% endmacro %}{{ m('x') }}"

    assert renderer.text(template, VARIABLES) == "f:x:None"
