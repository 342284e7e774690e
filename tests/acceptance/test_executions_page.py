"""What the product page of executions promises, through plain HTTP, old type names included.

Runs against `tiercel server` and against the Kafka roles.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.running import RunningServer

GREETING = """
id: welcome-guest
namespace: {namespace}
inputs:
  - id: greeting
    type: STRING
    defaults: good evening
tasks:
  - id: welcome
    type: io.kestra.core.tasks.log.Log
    message: "{{{{ inputs.greeting }}}}"
triggers:
  - id: webhook
    type: io.kestra.core.models.triggers.types.Webhook
    key: door42
"""
WEBHOOK = GREETING.replace("inputs.greeting }}", "trigger.body ?? inputs.greeting }}")
READS_FILE = """
id: reads-file
namespace: {namespace}
inputs:
  - id: letter
    type: FILE
tasks:
  - id: read_aloud
    type: io.kestra.core.tasks.log.Log
    message: "The letter says: {{{{ read(inputs.letter) }}}}"
"""


def task_states(execution: dict[str, Any]) -> list[tuple[str, str]]:
    return [(run["taskId"], run["state"]["current"]) for run in execution["taskRunList"]]


def test_a_flow_runs_without_body_and_with_its_defaults(
    server: RunningServer, namespace: str
) -> None:
    server.save(GREETING.format(namespace=namespace))

    started = server.post(f"/executions/{namespace}/welcome-guest")

    assert started.status_code == 200
    execution = server.ended(started.json()["id"])
    assert execution["state"]["current"] == "SUCCESS"
    assert server.messages(execution["id"]) == ["good evening"]


def test_inputs_come_as_form_data(server: RunningServer, namespace: str) -> None:
    server.save(GREETING.format(namespace=namespace))

    # A part without a file name is what `curl -F greeting=…` sends.
    started = server.post(
        f"/executions/{namespace}/welcome-guest", files={"greeting": (None, "hello you")}
    )

    execution = server.ended(started.json()["id"])
    assert execution["inputs"] == {"greeting": "hello you"}
    assert server.messages(execution["id"]) == ["hello you"]


def test_an_execution_shows_its_task_runs_attempts_dates_and_labels(
    server: RunningServer, namespace: str
) -> None:
    server.save(GREETING.format(namespace=namespace))

    started = server.post(
        f"/executions/{namespace}/welcome-guest", params={"wait": "true", "labels": "team:blue"}
    )

    execution = started.json()
    assert [entry["state"] for entry in execution["state"]["histories"]] == [
        "CREATED",
        "RUNNING",
        "SUCCESS",
    ]
    assert {"key": "team", "value": "blue"} in execution["labels"]
    (run,) = execution["taskRunList"]
    assert run["executionId"] == execution["id"]
    assert run["id"] != execution["id"]
    assert run["state"]["startDate"] <= run["state"]["endDate"]
    (attempt,) = run["attempts"]
    assert attempt["state"]["current"] == "SUCCESS"
    assert server.get(f"/executions/{execution['id']}").json()["state"] == execution["state"]


def test_a_revision_can_be_asked_for(server: RunningServer, namespace: str) -> None:
    source = GREETING.format(namespace=namespace)
    server.save(source)
    second = source.replace("inputs.greeting }}", "inputs.greeting }}!")
    updated = server.client.update_flow(namespace, "welcome-guest", second)
    assert updated["revision"] == 2
    path = f"/executions/{namespace}/welcome-guest"

    newest = server.post(path, params={"wait": "true"}).json()
    first = server.post(path, params={"wait": "true", "revision": 1}).json()
    explicit = server.post(path, params={"wait": "true", "revision": 2}).json()

    assert [e["flowRevision"] for e in (newest, first, explicit)] == [2, 1, 2]
    assert server.messages(newest["id"]) == ["good evening!"]
    assert server.messages(first["id"]) == ["good evening"]
    assert server.post(path, params={"revision": 9}).status_code == 404


def test_a_webhook_passes_its_body_on(server: RunningServer, namespace: str) -> None:
    server.save(WEBHOOK.format(namespace=namespace))

    called = server.post(
        f"/executions/webhook/{namespace}/welcome-guest/door42", data="somebody knocks"
    )

    assert called.status_code == 200
    assert server.ended(called.json()["id"])["state"]["current"] == "SUCCESS"
    assert server.messages(called.json()["id"]) == ["somebody knocks"]


def test_the_same_flow_started_by_the_api_has_no_trigger(
    server: RunningServer, namespace: str
) -> None:
    server.save(WEBHOOK.format(namespace=namespace))

    started = server.post(
        f"/executions/{namespace}/welcome-guest", params={"wait": "true"}, files={}
    )

    assert server.messages(started.json()["id"]) == ["good evening"]


def test_a_webhook_passes_json_headers_and_inputs_on(server: RunningServer, namespace: str) -> None:
    source = GREETING.format(namespace=namespace).replace(
        "{{ inputs.greeting }}",
        "{{ inputs.greeting }}: {{ trigger.body.guests[1].name }}, "
        "{{ trigger.headers['X-Door'][0] ?? trigger.headers['x-door'][0] }}",
    )
    server.save(source)

    called = server.post(
        f"/executions/webhook/{namespace}/welcome-guest/door42",
        params={"greeting": "come in"},
        json={"guests": [{"name": "Ada"}, {"name": "Grace"}]},
        headers={"X-Door": "front"},
    )

    execution = server.ended(called.json()["id"])
    assert execution["trigger"]["variables"]["body"]["guests"][0] == {"name": "Ada"}
    assert server.messages(execution["id"]) == ["come in: Grace, front"]


def test_a_webhook_with_a_wrong_key_is_not_found(server: RunningServer, namespace: str) -> None:
    server.save(WEBHOOK.format(namespace=namespace))

    for path in (f"{namespace}/welcome-guest/door43", f"{namespace}/nobody/door42"):
        assert server.post(f"/executions/webhook/{path}").status_code == 404


@pytest.mark.parametrize("part", ["its name", "its file name"])
def test_a_file_input_is_read_back(
    server: RunningServer, namespace: str, orders: Path, part: str
) -> None:
    server.save(READS_FILE.format(namespace=namespace))
    content = orders.read_bytes()
    files = (
        {"letter": ("orders.csv", content, "text/csv")}
        if part == "its name"
        else {"files": ("letter", content, "text/csv")}
    )

    started = server.post(
        f"/executions/{namespace}/reads-file", params={"wait": "true"}, files=files
    )

    execution = started.json()
    assert execution["state"]["current"] == "SUCCESS"
    assert execution["inputs"]["letter"].startswith("kestra:///")
    assert server.messages(execution["id"]) == [f"The letter says: {orders.read_text()}"]


@pytest.mark.parametrize("spelling", ["maxAttempt", "maxAttempts"])
def test_a_failed_task_gets_new_attempts(
    server: RunningServer, namespace: str, spelling: str
) -> None:
    server.save(f"""
id: stubborn
namespace: {namespace}
tasks:
  - id: knock
    type: io.kestra.plugin.core.execution.Fail
    condition: "{{{{ taskrun.attemptsCount < 2 }}}}"
    retry:
      type: constant
      interval: PT0.05S
      {spelling}: 3
""")

    execution = server.post(f"/executions/{namespace}/stubborn", params={"wait": "true"}).json()

    assert execution["state"]["current"] == "SUCCESS"
    (run,) = execution["taskRunList"]
    assert [a["state"]["current"] for a in run["attempts"]] == ["FAILED", "FAILED", "SUCCESS"]
    assert "RETRYING" in [entry["state"] for entry in run["state"]["histories"]]


def test_attempts_end_at_the_threshold(server: RunningServer, namespace: str) -> None:
    server.save(f"""
id: hopeless
namespace: {namespace}
tasks:
  - id: knock
    type: io.kestra.core.tasks.executions.Fail
    retry:
      type: constant
      interval: PT0.05S
      maxAttempt: 2
errors:
  - id: leave
    type: io.kestra.core.tasks.log.Log
    message: Nobody is there
""")

    execution = server.post(f"/executions/{namespace}/hopeless", params={"wait": "true"}).json()

    assert execution["state"]["current"] == "FAILED"
    assert task_states(execution) == [("knock", "FAILED"), ("leave", "SUCCESS")]
    assert len(execution["taskRunList"][0]["attempts"]) == 2


def test_outputs_are_variables_and_files(server: RunningServer, namespace: str) -> None:
    server.save(f"""
id: writer
namespace: {namespace}
tasks:
  - id: write
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner:
      type: io.kestra.plugin.core.runner.Process
    outputFiles:
      - letter.txt
    commands:
      - echo "Dear guest" > letter.txt
      - echo '::{{"outputs":{{"pages":1}}}}::'
  - id: show
    type: io.kestra.core.tasks.debugs.Return
    format: >-
      {{{{ outputs.write.vars.pages }}}} page:
      {{{{ read(outputs.write.outputFiles['letter.txt']) }}}}
outputs:
  - id: text
    type: STRING
    value: "{{{{ outputs.show.value }}}}"
""")

    execution = server.post(f"/executions/{namespace}/writer", params={"wait": "true"}).json()

    assert execution["outputs"] == {"text": "1 page: Dear guest\n"}
    uri = execution["taskRunList"][0]["outputs"]["outputFiles"]["letter.txt"]
    downloaded = server.get(f"/executions/{execution['id']}/file", params={"path": uri})
    assert downloaded.text == "Dear guest\n"


def test_metrics_are_counters_and_timers_with_tags(server: RunningServer, namespace: str) -> None:
    server.save(f"""
id: measured
namespace: {namespace}
tasks:
  - id: measure
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner:
      type: io.kestra.plugin.core.runner.Process
    commands:
      - echo '::{{"metrics":[{{"name":"rows","type":"counter","value":7,"tags":{{"t":"a"}}}}]}}::'
      - echo '::{{"metrics":[{{"name":"query","type":"timer","value":12.5}}]}}::'
""")

    execution = server.post(f"/executions/{namespace}/measured", params={"wait": "true"}).json()

    metrics = {m["name"]: m for m in server.client.metrics(execution["id"])}
    assert (metrics["rows"]["type"], metrics["rows"]["value"]) == ("counter", 7)
    assert metrics["rows"]["tags"] == {"t": "a"}
    assert metrics["query"]["type"] == "timer"
    assert metrics["query"]["taskId"] == "measure"


def test_an_execution_can_be_killed(server: RunningServer, namespace: str) -> None:
    server.save(f"""
id: endless
namespace: {namespace}
tasks:
  - id: wait
    type: io.kestra.plugin.core.flow.Sleep
    duration: PT1H
  - id: after
    type: io.kestra.core.tasks.log.Log
    message: never
""")
    execution_id = server.post(f"/executions/{namespace}/endless").json()["id"]
    for execution in server.client.follow(execution_id):
        if task_states({"taskRunList": execution.get("taskRunList") or []}) == [
            ("wait", "RUNNING")
        ]:
            break

    server.client.kill(execution_id)

    execution = server.ended(execution_id)
    assert execution["state"]["current"] == "KILLED"
    assert "KILLING" in [entry["state"] for entry in execution["state"]["histories"]]
    assert task_states(execution) == [("wait", "KILLED")]


def test_a_failed_execution_can_be_restarted(server: RunningServer, namespace: str) -> None:
    source = f"""
id: second-chance
namespace: {namespace}
tasks:
  - id: first
    type: io.kestra.core.tasks.log.Log
    message: once only
  - id: second
    type: io.kestra.plugin.core.execution.Fail
    condition: "{{{{ flow.revision == 1 }}}}"
"""
    server.save(source)
    path = f"/executions/{namespace}/second-chance"
    failed = server.post(path, params={"wait": "true"}).json()
    assert failed["state"]["current"] == "FAILED"
    server.client.update_flow(namespace, "second-chance", source + "# now it may pass\n")

    restarted = server.client.restart(failed["id"], revision=2)

    assert restarted["id"] != failed["id"]
    execution = server.ended(restarted["id"])
    assert execution["state"]["current"] == "SUCCESS"
    assert "RESTARTED" in [entry["state"] for entry in execution["state"]["histories"]]
    assert task_states(execution) == [("first", "SUCCESS"), ("second", "SUCCESS")]
    assert server.messages(failed["id"]).count("once only") == 1


def test_no_log_line_is_lost_between_the_stored_and_the_live_ones(
    server: RunningServer, namespace: str
) -> None:
    server.save(GREETING.format(namespace=namespace))

    for _ in range(10):
        started = server.post(f"/executions/{namespace}/welcome-guest", params={"wait": "true"})
        first = next(server.client.follow_logs(started.json()["id"]))

        assert first["message"] == "good evening"
