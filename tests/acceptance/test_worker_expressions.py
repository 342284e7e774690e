"""Expressions that the executor must not render, in every place that decides, through plain HTTP.

Runs against `tiercel server` and against the Kafka roles.
"""

from __future__ import annotations

import json

from tests.acceptance.running import RunningServer

FLOW = """
id: asking
namespace: {namespace}
tasks:
  - id: set
    type: io.kestra.plugin.core.kv.Set
    key: mood
    value: "good"
  - id: write
    type: io.kestra.plugin.core.storage.Write
    content: '["a", "b"]'
  - id: choice
    type: io.kestra.plugin.core.flow.If
    condition: "{{{{ kv('mood') == 'good' }}}}"
    then:
      - id: each
        type: io.kestra.plugin.core.flow.ForEach
        values: "{{{{ read(outputs.write.uri) }}}}"
        tasks:
          - id: told
            type: io.kestra.plugin.core.debug.Return
            format: "{{{{ taskrun.value }}}} {{{{ kv('mood') }}}}"
            runIf: "{{{{ taskrun.value != kv('none', errorOnMissing=false) }}}}"
  - id: skipped
    type: io.kestra.plugin.core.debug.Return
    format: never
    runIf: "{{{{ kv('mood') == 'bad' }}}}"
outputs:
  - id: mood
    type: STRING
    value: "{{{{ kv('mood') }}}} {{{{ outputs.told.b.value }}}}"
"""
FAILING = """
id: failing
namespace: {namespace}
tasks:
  - id: choice
    type: io.kestra.plugin.core.flow.If
    condition: "{{{{ kv('nothing') }}}}"
    then:
      - {{id: never, type: io.kestra.plugin.core.debug.Return, format: never}}
errors:
  - id: told
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ error.taskId }}}}: {{{{ errorLogs()[0].message }}}}"
"""


COMPLAINING = """
id: complaining
namespace: {namespace}
tasks:
  - id: script
    type: io.kestra.plugin.scripts.shell.Commands
    commands: ["for n in $(seq 100); do echo line $n >&2; done"]
  - id: said
    type: io.kestra.plugin.core.log.Log
    level: ERROR
    message: said
  - id: fails
    type: io.kestra.plugin.core.execution.Fail
    errorMessage: at last
errors:
  - id: told
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ errorLogs() | jq('map([.taskId, .message])') | first }}}}"
"""


def test_error_logs_are_all_lines_that_tell_of_errors(
    server: RunningServer, namespace: str
) -> None:
    server.save(COMPLAINING.format(namespace=namespace))

    ended = server.ended(server.post(f"/executions/{namespace}/complaining").json()["id"])

    lines = json.loads(ended["taskRunList"][-1]["outputs"]["value"])
    assert lines[:100] == [["script", f"line {n}"] for n in range(1, 101)]
    assert lines[100] == ["said", "said"]
    assert ["fails", "at last"] in lines[101:]


def test_conditions_values_and_outputs_may_read_the_world(
    server: RunningServer, namespace: str
) -> None:
    server.save(FLOW.format(namespace=namespace))

    ended = server.ended(server.post(f"/executions/{namespace}/asking").json()["id"])

    assert ended["state"]["current"] == "SUCCESS", server.client.logs(ended["id"])
    runs = [(run["taskId"], run["state"]["current"]) for run in ended["taskRunList"]]
    assert runs == [
        ("set", "SUCCESS"),
        ("write", "SUCCESS"),
        ("choice", "SUCCESS"),
        ("each", "SUCCESS"),
        ("told", "SUCCESS"),
        ("told", "SUCCESS"),
        ("skipped", "SKIPPED"),
    ]
    assert ended["outputs"] == {"mood": "good b good"}


def test_what_a_worker_cannot_render_fails_and_is_told(
    server: RunningServer, namespace: str
) -> None:
    server.save(FAILING.format(namespace=namespace))

    ended = server.ended(server.post(f"/executions/{namespace}/failing").json()["id"])

    assert ended["state"]["current"] == "FAILED"
    told = ended["taskRunList"][-1]["outputs"]["value"]
    assert told == f"choice: The key 'nothing' does not exist in the namespace '{namespace}'."
