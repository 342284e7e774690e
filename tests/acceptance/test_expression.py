"""`tiercel expression`: offline, against a running server, and over files of cases."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.running import RunningServer, tiercel

ROOMS = """
id: rooms
namespace: {namespace}
variables:
  greeting: welcome
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: ["a", "b"]
    tasks:
      - id: clean
        type: io.kestra.plugin.core.debug.Return
        format: "room {{{{ taskrun.value }}}}"
  - id: large
    type: io.kestra.plugin.core.debug.Return
    format: "{{% for n in 1..20000 %}}12345{{% endfor %}}"
"""


def test_an_expression_is_evaluated_in_an_execution_and_in_a_task_run(
    embedded_server: RunningServer, namespace: str
) -> None:
    # given
    embedded_server.save(ROOMS.format(namespace=namespace))
    started = embedded_server.client.create_execution(namespace, "rooms")
    execution = embedded_server.ended(started["id"])
    cleaned = [run for run in execution["taskRunList"] if run["taskId"] == "clean"]
    place = ("--execution", execution["id"])

    # when
    whole = tiercel(
        "expression", "eval", "{{ outputs.clean.b.value }}", *place, server=embedded_server
    )
    part = tiercel(
        *("expression", "eval", "{{ taskrun.value }} {{ parent is defined }}", *place),
        *("--task-run", cleaned[0]["id"], "--json"),
        server=embedded_server,
    )
    large = tiercel(
        "expression", "eval", "{{ outputs.large.value | length }}", *place, server=embedded_server
    )
    secret = tiercel("expression", "eval", "{{ secret('X') }}", *place, server=embedded_server)
    wrong = tiercel("expression", "eval", "{{ outputs.none }}", *place, server=embedded_server)

    # then
    assert (whole.returncode, whole.stdout) == (0, "room b\n")
    assert "outputs.clean.a.value" in whole.stderr
    assert json.loads(part.stdout)["result"] == f"{cleaned[0]['value']} false"
    assert large.stdout == "100000\n"
    assert secret.stdout == "********\n"
    assert "reads no secrets" in secret.stderr
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "            ^" in wrong.stderr


def test_an_unknown_execution_is_refused(embedded_server: RunningServer) -> None:
    refused = tiercel("expression", "eval", "x", "--execution", "none", server=embedded_server)

    assert refused.returncode == 5


def test_an_expression_is_evaluated_offline_with_variables_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "variables.json"
    file.write_text('{"guests": [{"name": "Ada"}, {"name": "Bob"}]}')
    template = "{% for guest in guests %}{{ guest.name }};{% endfor %}"

    shown = tiercel("expression", "eval", "-", "--variables", str(file), stdin=template)
    as_json = tiercel("expression", "eval", "{{ guests }}", "--variables", str(file), "--json")
    wrong = tiercel("expression", "eval", "a\n{{ host }}", "--variables", str(file), "--json")

    assert (shown.returncode, shown.stdout) == (0, "Ada;Bob;\n")
    assert "type: string" in shown.stderr
    assert json.loads(as_json.stdout) == {
        "result": '[{"name":"Ada"},{"name":"Bob"}]',
        "type": "list of 2",
        "variables": [{"name": "guests", "type": "list of 2"}],
    }
    assert wrong.returncode == 1
    answer = json.loads(wrong.stdout)
    assert (answer["line"], answer["column"]) == (2, 4)


def test_command_lines_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text("[1]")

    for arguments in (
        [],
        ["x", "--task-run", "t"],
        ["x", "--batch", str(file)],
        ["x", "--variables", str(file)],
        ["x", "--variables", str(tmp_path / "none.json")],
        ["x", "--variables", str(file), "--execution", "e"],
        ["--batch", str(file)],
    ):
        assert tiercel("expression", "eval", *arguments).returncode == 2, arguments


def test_a_file_of_cases_is_counted_and_what_differs_is_shown(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    row = '{"template": "{{ n }}", "vars": {"n": 1}, "expected": "1"}\n'
    good.write_text(row * 2)
    bad.write_text(row + row.replace('"1"}', '"one"}') + '{"template": "{{ 1 }}", "error": true}')

    held = tiercel("expression", "eval", "--batch", str(good))
    differs = tiercel("expression", "eval", "--batch", str(bad))
    as_json = tiercel("expression", "eval", "--batch", str(bad), "--json")

    assert (held.returncode, held.stdout) == (0, "2 passed, 0 failed\n")
    assert differs.returncode == 1
    assert differs.stdout.splitlines() == [
        f"{bad}:2: {{{{ n }}}}",
        "  expected: one",
        "  got:      1",
        f"{bad}:3: {{{{ 1 }}}}",
        "  expected: an error",
        "  got:      1",
        "1 passed, 2 failed",
    ]
    assert as_json.returncode == 1
    assert [d["line"] for d in json.loads(as_json.stdout)["differing"]] == [2, 3]


def test_the_names_of_the_language_are_listed() -> None:
    table = tiercel("expression", "list")
    rows = json.loads(tiercel("expression", "list", "dateAdd", "--json").stdout)

    assert len(table.stdout.splitlines()) > 100
    assert [(row["kind"], row["name"]) for row in rows] == [("filter", "dateAdd")]
    assert rows[0]["parameters"][0] == {"name": "amount", "required": True}
    assert rows[0]["doc"].endswith(".")
