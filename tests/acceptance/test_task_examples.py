"""The example flows of the task types, on a real server."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.running import RunningServer, eventually, running_server

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples" / "tasks"

EXPECTED: dict[str, dict[str, Any]] = {
    "pairs": {
        "price": 4,
        "keys": ["price.bread", "price.day"],
        "remembered": {"last": 4},
        "purged": 1,
    },
    "files": {"dropped": 1, "customers": 2, "parts": 2, "size": 130, "removed": True},
    "namespace-files": {"words": 3, "fetched": ["scripts/count.py"], "deleted": 1},
    "requests": {"code": 200, "missing": 404},
    "scripts": {"letters": 3, "kind": "RYE", "kinds": 2},
    "older-names": {"rolls": 3},
    "wake-up": {"sold": True},
    "purges": {"purged": 0, "revisions": 0, "files": 0},
    "server": {"lines": 2, "counted": 2, "purged": 0},
}


#: Flows beside these that an example starts.
NEEDED = {"wake-up": "tasting"}
#: Those with a task in JavaScript.
WITH_NODE = ("scripts", "older-names")


def run_example(server: RunningServer, name: str, **form: Any) -> dict[str, Any]:
    source = (EXAMPLES / f"{name}.yaml").read_text()
    path = f"/flows/bakery.tasks/{name}"
    if server.get(path).status_code == 404:
        server.save(source)
        if name in NEEDED:
            server.save((EXAMPLES.parent / f"{NEEDED[name]}.yaml").read_text())
    execution = server.post(f"/executions/bakery.tasks/{name}", files=form).json()
    assert "id" in execution, execution
    return server.ended(execution["id"])


def test_every_example_is_expected_to_give_something() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_runs(server: RunningServer, name: str) -> None:
    if name in WITH_NODE and shutil.which("node") is None:
        print("Node.js is not installed here: its task ends in a warning.")
    ended = run_example(server, name, url=(None, server.url))
    expected_states = ("SUCCESS", "WARNING") if name in WITH_NODE else ("SUCCESS",)
    said = [entry["message"] for entry in server.client.logs(ended["id"])]
    assert ended["state"]["current"] in expected_states, said
    assert EXPECTED[name].items() <= ended["outputs"].items()


def test_a_task_switches_a_trigger_off(server: RunningServer) -> None:
    run_example(server, "server", url=(None, server.url))

    def disabled() -> bool:
        found = server.get("/triggers/search?namespace=bakery.tasks").json()["results"]
        rows = [row["triggerContext"] for row in found]
        return any(row["triggerId"] == "nightly" and row.get("disabled") for row in rows)

    eventually(disabled, bool)


def test_a_task_resumes_another_execution(server: RunningServer, namespace: str) -> None:
    server.save(f"""id: waits
namespace: {namespace}
tasks:
  - id: ask
    type: io.kestra.plugin.core.flow.Pause
    onResume:
      - {{id: approved, type: BOOL}}
  - id: answer
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ outputs.ask.onResume.approved }}}}"
""")
    server.save(f"""id: resumes
namespace: {namespace}
inputs:
  - {{id: paused, type: STRING}}
tasks:
  - id: go
    type: io.kestra.plugin.core.execution.Resume
    executionId: "{{{{ inputs.paused }}}}"
    inputs: {{approved: "true"}}
""")
    waiting = server.post(f"/executions/{namespace}/waits").json()["id"]
    eventually(
        lambda: server.client.execution(waiting)["state"]["current"],
        lambda state: state == "PAUSED",
    )
    resumes = server.post(
        f"/executions/{namespace}/resumes", files={"paused": (None, waiting)}
    ).json()
    assert server.ended(resumes["id"])["state"]["current"] == "SUCCESS"
    ended = server.ended(waiting)
    assert ended["taskRunList"][-1]["outputs"] == {"value": "true"}
    # once it has ended there is nothing to resume
    again = server.post(
        f"/executions/{namespace}/resumes", files={"paused": (None, waiting)}
    ).json()
    assert server.ended(again["id"])["state"]["current"] == "FAILED"


def test_tasks_delete_lines_and_metrics(server: RunningServer, namespace: str) -> None:
    # given: an execution that said and measured something
    server.save(f"""id: talks
namespace: {namespace}
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: [one, two]
    level: WARN
  - id: measure
    type: io.kestra.plugin.core.metric.Publish
    metrics: [{{type: counter, name: loaves, value: 3}}]
""")
    server.save(f"""id: silences
namespace: {namespace}
tasks:
  - id: lines
    type: io.kestra.plugin.core.log.PurgeLogs
    namespace: {namespace}
    flowId: talks
    endDate: "{{{{ execution.startDate }}}}"
    logLevels: [WARN]
  - id: metrics
    type: io.kestra.plugin.core.metric.PurgeMetrics
    namespace: {namespace}
    endDate: "{{{{ execution.startDate }}}}"
""")
    talked = server.post(f"/executions/{namespace}/talks").json()["id"]
    server.ended(talked)
    said = eventually(
        lambda: server.client.logs(talked),
        lambda lines: {"one", "two"} <= {line["message"] for line in lines},
    )
    measured = eventually(
        lambda: server.get(f"/metrics/{talked}").json()["total"], lambda total: total >= 1
    )

    # when
    silenced = server.ended(server.post(f"/executions/{namespace}/silences").json()["id"])

    # then
    assert silenced["state"]["current"] == "SUCCESS"
    outputs = [run["outputs"] for run in silenced["taskRunList"]]
    assert outputs == [{"count": 2}, {"count": measured}]
    left = [line["message"] for line in server.client.logs(talked)]
    assert left == [line["message"] for line in said if line["level"] != "WARN"]
    assert server.get(f"/metrics/{talked}").json()["total"] == 0


def test_executions_are_purged_with_all_that_is_theirs(
    server: RunningServer, namespace: str
) -> None:
    # given: three executions, each with a line, a metric and a file
    server.save(f"""id: leaves
namespace: {namespace}
tasks:
  - {{id: say, type: io.kestra.plugin.core.log.Log, message: hello}}
  - id: measure
    type: io.kestra.plugin.core.metric.Publish
    metrics: [{{type: counter, name: loaves, value: 3}}]
  - {{id: write, type: io.kestra.plugin.core.storage.Write, content: bread}}
""")
    server.save(f"""id: tidies
namespace: {namespace}
tasks:
  - id: purge
    type: io.kestra.plugin.core.execution.PurgeExecutions
    namespace: {namespace}
    flowId: leaves
    endDate: "{{{{ execution.startDate }}}}"
""")
    ids = [server.post(f"/executions/{namespace}/leaves").json()["id"] for _ in range(3)]
    for one in ids:
        server.ended(one)
    by_flow = f"/logs/search?namespace={namespace}&flowId=leaves"
    eventually(lambda: server.get(by_flow).json()["total"], lambda total: total >= 3)

    # when
    tidied = server.ended(server.post(f"/executions/{namespace}/tidies").json()["id"])

    # then
    [purge] = tidied["taskRunList"]
    assert purge["state"]["current"] == "SUCCESS", server.client.logs(tidied["id"])
    assert purge["outputs"]["executionsCount"] == 3
    assert purge["outputs"]["storagesCount"] == 3
    assert purge["outputs"]["logsCount"] >= 3
    assert purge["outputs"]["metricsCount"] >= 3
    assert [server.get(f"/executions/{one}").status_code for one in ids] == [404] * 3


def test_files_that_executions_left_are_purged(server: RunningServer, namespace: str) -> None:
    # given: two executions with a file each, of which one is deleted and its file kept
    server.save(f"""id: leaves
namespace: {namespace}
tasks:
  - {{id: write, type: io.kestra.plugin.core.storage.Write, content: bread}}
""")
    server.save(f"""id: frees
namespace: {namespace}
inputs: [{{id: dry, type: BOOL}}]
tasks:
  - id: purge
    type: io.kestra.plugin.core.storage.PurgeStorage
    namespace: {namespace}
    endDate: "{{{{ execution.startDate }}}}"
    dryRun: "{{{{ inputs.dry }}}}"
""")

    def purged(dry: str) -> list[int]:
        run = server.post(f"/executions/{namespace}/frees", files={"dry": (None, dry)}).json()["id"]
        outputs = server.ended(run)["taskRunList"][0]["outputs"]
        return [outputs[n] for n in ("scannedCount", "purgedCount", "deletedFilesCount")]

    ids = [server.post(f"/executions/{namespace}/leaves").json()["id"] for _ in range(2)]
    kept, gone = (server.ended(one)["taskRunList"][0]["outputs"]["uri"] for one in ids)
    assert server.delete(f"/executions/{ids[1]}?deleteStorage=false").status_code == 204
    places = [server.data / "storage" / uri.removeprefix("kestra:///") for uri in (kept, gone)]

    # then: it is too young to be sure that nobody begins with it
    assert purged("false") == [2, 0, 0]
    # when: two hours have passed
    for place in places:
        os.utime(place, (time.time() - 7_200,) * 2)
    # then
    assert purged("true") == [2, 1, 1]
    assert [place.exists() for place in places] == [True, True]
    assert purged("false") == [2, 1, 1]
    assert [place.exists() for place in places] == [True, False]


def test_revisions_are_purged_but_those_that_still_run(
    server: RunningServer, namespace: str
) -> None:
    # given: a flow of four revisions, of which the second is being run
    text = f"""id: waits
namespace: {namespace}
tasks:
  - {{id: ask, type: io.kestra.plugin.core.flow.Pause}}
"""
    path = f"/flows/{namespace}/waits"
    yaml = {"Content-Type": "application/x-yaml"}
    server.save(text)
    for number in (2, 3, 4):
        assert server.put(path, data=f"{text}# {number}\n", headers=yaml).status_code == 200
    waiting = server.post(f"/executions/{namespace}/waits?revision=2").json()["id"]
    eventually(
        lambda: server.client.execution(waiting)["state"]["current"],
        lambda state: state == "PAUSED",
    )
    server.save(f"""id: forgets
namespace: {namespace}
tasks:
  - id: purge
    type: io.kestra.plugin.core.flow.PurgeFlows
    flowPattern: "w*"
    behavior: {{type: version, keepAmount: 1}}
""")

    # when
    ended = server.ended(server.post(f"/executions/{namespace}/forgets").json()["id"])

    # then
    [purge] = ended["taskRunList"]
    assert purge["outputs"] == {"size": 2}, server.client.logs(ended["id"])
    assert [one["revision"] for one in server.get(f"{path}/revisions").json()] == [2, 4]
    refused = server.delete(f"{path}/revisions?revisions=2")
    assert (refused.status_code, "no execution runs" in refused.text) == (409, True)
    # and the execution goes on as it would have
    assert server.post(f"/executions/{waiting}/resume").status_code < 300
    assert server.ended(waiting)["state"]["current"] == "SUCCESS"
    wrong = {"": 400, "?keepAmount=0": 422, "?revisions=one": 400, "?before=soon": 422}
    answers = {query: server.delete(f"{path}/revisions{query}").status_code for query in wrong}
    assert answers == wrong


def test_a_server_with_a_login_and_defaults_of_its_own(tmp_path: Path) -> None:
    """Tasks sign in where they ask the server, and have the properties that it gives them."""
    login = ("ada@example.org", "Much-too-long-1")
    defaults = '[{"type": "io.kestra.plugin.core.log.Log", "values": {"level": "WARN"}}]'
    options = (
        "--admin-user",
        login[0],
        "--admin-password",
        login[1],
        "--plugin-defaults",
        defaults,
    )
    source = (EXAMPLES / "server.yaml").read_text()
    with running_server(tmp_path, *options) as server:
        assert server.get("/flows/search").status_code == 401
        headers = {"Content-Type": "application/x-yaml"}
        assert server.post("/flows", data=source, headers=headers, auth=login).status_code == 200
        path = "/executions/bakery.tasks/server?wait=true"
        ended = server.post(path, auth=login).json()
        lines = server.get(f"/logs/search?filters[executionId][EQUALS]={ended['id']}", auth=login)
        levels = {line["level"] for line in lines.json()["results"] if line["taskId"] == "say"}
    assert levels == {"WARN"}
    assert ended["state"]["current"] == "SUCCESS"
    assert ended["outputs"]["lines"] == 2
