"""WorkingDirectory over a real server: scripts that share files, the cache, errors, a kill.

Runs against `tiercel server` and against the Kafka roles.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.acceptance.running import RunningServer, eventually

SHARING = """
id: sharing
namespace: {namespace}
inputs:
  - id: name
    type: STRING
    defaults: Ada
variables: {{greeting: Hello}}
tasks:
  - id: folder
    type: io.kestra.plugin.core.flow.WorkingDirectory
    inputFiles:
      name.txt: "{{{{ inputs.name }}}}"
    outputFiles: ["out/*"]
    cache:
      patterns: ["lib/**"]
    tasks:
      - id: make
        type: io.kestra.plugin.scripts.shell.Commands
        commands:
          - mkdir -p out lib
          - echo "{{{{ vars.greeting }}}} $(cat name.txt)" > out/hello.txt
          - test -e lib/built && echo '::{{"outputs":{{"cached":"yes"}}}}::' || touch lib/built
      - id: skipped
        type: io.kestra.plugin.core.log.Log
        runIf: "{{{{ false }}}}"
        message: never
      - id: read
        type: io.kestra.plugin.scripts.shell.Commands
        commands:
          - echo "read $(cat out/hello.txt), cached {{{{ outputs.make.vars.cached ?? 'no' }}}}"
          - echo '::{{"metrics":[{{"name":"files","type":"counter","value":2}}]}}::'
  - id: after
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ read(outputs.folder.outputFiles['out/hello.txt']) }}}}"
"""

FAILING = """
id: failing
namespace: {namespace}
tasks:
  - id: folder
    type: io.kestra.plugin.core.flow.WorkingDirectory
    tasks:
      - id: first
        type: io.kestra.plugin.scripts.shell.Commands
        commands: ["touch mark"]
      - id: again
        type: io.kestra.plugin.scripts.shell.Commands
        retry: {{type: constant, interval: PT0.1S, maxAttempts: 2}}
        commands: ["test -e mark", "test -e tried || {{ touch tried; exit 1; }}"]
      - id: fails
        type: io.kestra.plugin.scripts.shell.Commands
        commands: ["exit 7"]
      - id: never
        type: io.kestra.plugin.core.log.Log
        message: never
    errors:
      - id: mend
        type: io.kestra.plugin.core.log.Log
        message: mended
"""

ENDLESS = """
id: endless
namespace: {namespace}
tasks:
  - id: folder
    type: io.kestra.plugin.core.flow.WorkingDirectory
    tasks:
      - id: long
        type: io.kestra.plugin.scripts.shell.Commands
        commands: ["sleep 600 & echo pid=$!", "wait"]
"""


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def runs_of(execution: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {run["taskId"]: run for run in execution["taskRunList"]}


def test_scripts_share_a_folder_and_its_cache(server: RunningServer, namespace: str) -> None:
    server.save(SHARING.format(namespace=namespace))

    first = server.ended(server.post(f"/executions/{namespace}/sharing").json()["id"])
    second = server.ended(server.post(f"/executions/{namespace}/sharing").json()["id"])

    assert [first["state"]["current"], second["state"]["current"]] == ["SUCCESS"] * 2
    runs = runs_of(first)
    assert list(runs) == ["folder", "make", "skipped", "read", "after"]
    assert runs["after"]["outputs"]["value"] == "Hello Ada\n"
    assert "attempts" not in runs["folder"]
    assert len(runs["make"]["attempts"]) == 1
    assert runs["read"]["parentTaskRunId"] == runs["folder"]["id"]
    assert "read Hello Ada, cached no" in server.messages(first["id"], 3)
    assert "read Hello Ada, cached yes" in server.messages(second["id"], 3)


def test_a_failure_inside_runs_the_errors_and_a_restart_runs_all_anew(
    server: RunningServer, namespace: str
) -> None:
    server.save(FAILING.format(namespace=namespace))
    failed = server.ended(server.post(f"/executions/{namespace}/failing").json()["id"])
    assert failed["state"]["current"] == "FAILED"
    runs = runs_of(failed)
    assert list(runs) == ["folder", "first", "again", "fails", "mend"]
    assert len(runs["again"]["attempts"]) == 2
    assert runs["folder"]["state"]["current"] == "FAILED"

    answer = server.post(f"/executions/{failed['id']}/restart")

    assert answer.status_code == 200, answer.text
    again = eventually(
        lambda: server.client.execution(failed["id"]),
        lambda x: x["metadata"]["attemptNumber"] == 2 and x["state"]["current"] == "FAILED",
    )
    assert list(runs_of(again)) == ["folder", "first", "again", "fails", "mend"]
    assert runs_of(again)["folder"]["id"] == runs["folder"]["id"]
    assert runs_of(again)["first"]["id"] != runs["first"]["id"]


def test_a_kill_reaches_what_runs_in_the_folder(server: RunningServer, namespace: str) -> None:
    server.save(ENDLESS.format(namespace=namespace))
    execution_id = server.post(f"/executions/{namespace}/endless").json()["id"]
    (line,) = [m for m in server.messages(execution_id) if m.startswith("pid=")]
    pid = int(line.removeprefix("pid="))
    assert lives(pid)

    server.client.kill(execution_id)

    killed = server.ended(execution_id)
    assert {run["state"]["current"] for run in killed["taskRunList"]} == {"KILLED"}
    eventually(lambda: lives(pid), lambda alive: not alive)
