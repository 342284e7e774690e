"""The Loop of dialect 2.0: an execution for each value, through plain HTTP.

Runs against `tiercel server` and against the Kafka roles.
"""

from __future__ import annotations

from typing import Any

from tests.acceptance.running import JsonObject, RunningServer, eventually

OUTPUTS = """
id: squares
namespace: {namespace}
inputs:
  - id: base
    type: INT
    defaults: 10
variables:
  word: times
tasks:
  - id: before
    type: io.kestra.plugin.core.debug.Return
    format: outside
  - id: loop
    type: io.kestra.plugin.core.flow.Loop
    values: [1, 2, 3]
    concurrencyLimit: 1
    tasks:
      - id: say
        type: io.kestra.plugin.core.debug.Return
        format: "{{{{ [item.index, item.value, vars.word, inputs.base] | join(' ') }}}}"
      - id: both
        type: io.kestra.plugin.core.debug.Return
        format: "{{{{ outputs.before.value }}}} {{{{ outputs.say.value }}}}"
    outputs:
      - id: said
        type: STRING
        value: "{{{{ outputs.both.value }}}}"
  - id: after
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ loopOutputs(outputs.loop.outputs, 'said') }}}}"
"""
NESTED = """
id: nested
namespace: {namespace}
tasks:
  - id: outer
    type: io.kestra.plugin.core.flow.Loop
    values: {{a: x, b: y}}
    tasks:
      - id: inner
        type: io.kestra.plugin.core.flow.Loop
        values: "[1, 2]"
        fetchType: STORE
        tasks:
          - id: when
            type: io.kestra.plugin.core.flow.If
            condition: "{{{{ item.value == '1' }}}}"
            then:
              - id: say
                type: io.kestra.plugin.core.debug.Return
                format: "{{{{ item.parent.key ~ item.parents[0].value ~ item.value }}}}"
        outputs:
          - id: said
            type: STRING
            value: "{{{{ outputs.say.value ?? 'nothing' }}}}"
"""
FAILS = """
id: fails
namespace: {namespace}
tasks:
  - id: loop
    type: io.kestra.plugin.core.flow.Loop
    values: [good, bad, never]
    concurrencyLimit: 1
    tasks:
      - id: check
        type: io.kestra.plugin.core.execution.Fail
        condition: "{{{{ item.value == 'bad' }}}}"
    errors:
      - id: mend
        type: io.kestra.plugin.core.log.Log
        message: "{{{{ item.value }}}} failed"
"""

WAITS = """
id: waits
namespace: {namespace}
tasks:
  - id: loop
    type: io.kestra.plugin.core.flow.Loop
    values: [a, b]
    concurrencyLimit: 1
    tasks:
      - id: ask
        type: io.kestra.plugin.core.flow.Pause
"""

ROWS = """
id: rows
namespace: {namespace}
tasks:
  - id: write
    type: io.kestra.plugin.core.storage.Write
    content: |
      {{name: "Ada"}}
      {{name: "Grace"}}
    extension: .ion
  - id: loop
    type: io.kestra.plugin.core.flow.Loop
    values: "{{{{ outputs.write.uri }}}}"
    concurrencyLimit: 1
    tasks:
      - id: say
        type: io.kestra.plugin.core.debug.Return
        format: "{{{{ fromJson(item.value).name }}}}"
    outputs:
      - id: name
        type: STRING
        value: "{{{{ outputs.say.value }}}}"
"""


def loop_of(execution: JsonObject, task_id: str = "loop") -> Any:
    return next(run for run in execution["taskRunList"] if run["taskId"] == task_id)


def parts(server: RunningServer, execution_id: str) -> list[JsonObject]:
    """The executions that an execution's loops have made, in their order."""
    found = server.get(f"/executions/search?triggerExecutionId={execution_id}&size=100").json()
    results: list[JsonObject] = found["results"]
    return sorted(results, key=lambda part: part["loopRun"]["index"])


def run(server: RunningServer, namespace: str, source: str, flow_id: str) -> JsonObject:
    server.save(source.format(namespace=namespace))
    started = server.post(f"/executions/{namespace}/{flow_id}").json()
    return server.ended(started["id"])


def test_tasks_see_their_item_and_what_is_around_the_loop(
    server: RunningServer, namespace: str
) -> None:
    ended = run(server, namespace, OUTPUTS, "squares")

    assert ended["state"]["current"] == "SUCCESS", ended
    outputs = loop_of(ended)["outputs"]
    assert outputs["iterationCount"] == 3
    assert outputs["terminatedIterations"] == {"SUCCESS": 3}
    assert outputs["outputs"][1] == {
        "item": {"value": "2", "iteration": 1},
        "outputs": {"said": "outside 1 2 times 10"},
    }
    assert "outside 2 3 times 10" in loop_of(ended, "after")["outputs"]["value"]


def test_the_executions_of_a_loop_are_no_executions_of_the_flow(
    server: RunningServer, namespace: str
) -> None:
    ended = run(server, namespace, OUTPUTS, "squares")

    listed = server.client.executions(namespace, "squares", (), 1, 10)
    assert [found["id"] for found in listed["results"]] == [ended["id"]]
    inner = parts(server, ended["id"])
    assert [part["kind"] for part in inner] == ["LOOP"] * 3
    assert [part["parentId"] for part in inner] == [ended["id"]] * 3
    assert inner[2]["loopRun"]["value"] == "3"
    assert inner[2]["loopRun"]["taskId"] == "loop"


def test_loops_in_loops_know_the_items_around_them(server: RunningServer, namespace: str) -> None:
    ended = run(server, namespace, NESTED, "nested")

    assert ended["state"]["current"] == "SUCCESS", ended
    outer = parts(server, ended["id"])
    assert [part["loopRun"]["key"] for part in outer] == ["a", "b"]
    whole = server.client.execution(outer[1]["id"])
    stored = loop_of(whole, "inner")["outputs"]["outputs"]
    texts = {
        entry["item"]["value"]: server.get(
            f"/executions/{outer[1]['id']}/file", params={"path": entry["outputs"]["uri"]}
        ).text
        for entry in stored
    }
    assert texts == {"1": '{said:"by1"}\n', "2": '{said:"nothing"}\n'}


def test_a_failed_value_ends_the_loop_and_its_errors_run_inside(
    server: RunningServer, namespace: str
) -> None:
    ended = run(server, namespace, FAILS, "fails")

    assert ended["state"]["current"] == "FAILED"
    assert loop_of(ended)["outputs"]["terminatedIterations"] == {"FAILED": 1, "SUCCESS": 1}
    inner = parts(server, ended["id"])
    assert [part["state"]["current"] for part in inner] == ["SUCCESS", "FAILED"]
    assert server.messages(inner[1]["id"], 2)[-1] == "bad failed"


def test_a_pause_inside_pauses_the_execution_and_a_resume_resumes_the_value(
    server: RunningServer, namespace: str
) -> None:
    server.save(WAITS.format(namespace=namespace))
    execution_id = server.post(f"/executions/{namespace}/waits").json()["id"]

    for count in (1, 2):
        eventually(
            lambda: server.client.execution(execution_id),
            lambda found, count=count: (
                found["state"]["current"] == "PAUSED" and len(parts(server, execution_id)) == count
            ),
        )
        server.post(f"/executions/{execution_id}/resume").raise_for_status()

    ended = server.ended(execution_id)
    assert ended["state"]["current"] == "SUCCESS", ended
    passed = [entry["state"] for entry in loop_of(ended)["state"]["histories"]]
    assert passed == ["CREATED", "RUNNING", "PAUSED", "RUNNING", "PAUSED", "RUNNING", "SUCCESS"]


def test_the_rows_of_a_file_are_values(server: RunningServer, namespace: str) -> None:
    ended = run(server, namespace, ROWS, "rows")

    assert ended["state"]["current"] == "SUCCESS", ended
    # What comes from a file goes into files.
    texts = [
        server.get(f"/executions/{ended['id']}/file", params={"path": entry["outputs"]["uri"]}).text
        for entry in loop_of(ended)["outputs"]["outputs"]
    ]
    assert texts == ['{name:"Ada"}\n', '{name:"Grace"}\n']
