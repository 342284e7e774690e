"""The command line against a running server: answers, JSON, exit codes, errors."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from tests.acceptance.running import TIERCEL, RunningServer, eventually, tiercel
from tests.acceptance.test_executions_page import GREETING

ENDLESS = """
id: endless
namespace: {namespace}
tasks:
  - id: wait
    type: io.kestra.plugin.core.flow.Sleep
    duration: PT1H
"""
FAILS = """
id: fails
namespace: {namespace}
tasks:
  - id: no
    type: io.kestra.plugin.core.execution.Fail
"""


def test_a_flow_is_validated_created_updated_listed_and_printed(
    embedded_server: RunningServer, namespace: str, tmp_path: Path
) -> None:
    file = tmp_path / "flows" / "welcome.yaml"
    file.parent.mkdir()
    source = GREETING.format(namespace=namespace)
    file.write_text(source)
    name = f"{namespace}.welcome-guest"

    validated = tiercel("flow", "validate", str(file), server=embedded_server)
    created = tiercel("flow", "create", "-", server=embedded_server, stdin=source)
    again = tiercel("flow", "create", str(file), server=embedded_server)
    file.write_text(source.replace("good evening", "good night"))
    updated = tiercel("flow", "update", str(file.parent), server=embedded_server)
    listed = tiercel("flow", "list", "--namespace", namespace, "--json", server=embedded_server)
    old = tiercel(
        "flow", "get", namespace, "welcome-guest", "--revision", "1", server=embedded_server
    )

    assert f"({name}): holds" in validated.stdout
    assert created.stdout == f"{name} revision 1\n"
    assert (again.returncode, "already exists" in again.stderr) == (5, True)
    assert updated.stdout == f"{name} revision 2\n"
    assert [flow["id"] for flow in json.loads(listed.stdout)["results"]] == ["welcome-guest"]
    assert old.stdout.strip() == source.strip()


def test_a_flow_that_does_not_hold_is_told_with_exit_code_1(
    embedded_server: RunningServer, tmp_path: Path
) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("id: broken\nnamespace: a.b\ntasks:\n  - id: x\n    type: no.such.Type\n")

    told = tiercel("flow", "validate", str(file), server=embedded_server)
    as_json = tiercel("flow", "validate", str(file), "--json", server=embedded_server)

    assert told.returncode == as_json.returncode == 1
    assert "broken.yaml: Invalid type: no.such.Type" in told.stderr
    assert json.loads(as_json.stdout)[0]["constraints"]


def test_run_prints_the_id_at_once(embedded_server: RunningServer, namespace: str) -> None:
    embedded_server.save(GREETING.format(namespace=namespace))

    started = tiercel("execution", "run", namespace, "welcome-guest", server=embedded_server)

    assert started.returncode == 0
    assert embedded_server.ended(started.stdout.strip())["state"]["current"] == "SUCCESS"


def test_follow_shows_task_runs_logs_and_outputs(server: RunningServer, namespace: str) -> None:
    source = GREETING.format(namespace=namespace)
    server.save(source + 'outputs:\n  - {id: said, type: STRING, value: "{{ inputs.greeting }}"}\n')

    followed = tiercel(
        "execution", "run", namespace, "welcome-guest", "-i", "greeting=hi", "-f", server=server
    )

    assert followed.returncode == 0, followed.stderr
    lines = [" ".join(line.split()) for line in followed.stdout.splitlines()]
    assert "INFO welcome hi" in lines
    assert any(line.startswith("SUCCESS welcome") for line in lines)
    assert any(line.startswith(f"SUCCESS {namespace}.welcome-guest") for line in lines)
    assert lines[-1] == "said = hi"


def test_follow_as_json_is_one_document_per_change(
    embedded_server: RunningServer, namespace: str
) -> None:
    embedded_server.save(GREETING.format(namespace=namespace))

    followed = tiercel(
        "execution", "run", namespace, "welcome-guest", "-f", "--json", server=embedded_server
    )

    documents = [json.loads(line) for line in followed.stdout.splitlines()]
    assert documents[-1]["state"]["current"] == "SUCCESS"


def test_a_file_and_labels_are_passed_on(
    embedded_server: RunningServer, namespace: str, orders: Path
) -> None:
    embedded_server.save(f"""
id: reads
namespace: {namespace}
inputs:
  - {{id: list, type: FILE}}
tasks:
  - id: show
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ read(inputs.list) }}}}"
""")
    arguments = ("--file", f"list={orders}", "--label", "team:blue", "--wait", "--json")

    ran = tiercel("execution", "run", namespace, "reads", *arguments, server=embedded_server)

    execution = json.loads(ran.stdout)
    assert execution["taskRunList"][0]["outputs"]["value"] == orders.read_text()
    assert {"key": "team", "value": "blue"} in execution["labels"]


@pytest.mark.parametrize("how", ["--wait", "--follow"])
def test_a_failed_execution_ends_with_exit_code_1(
    embedded_server: RunningServer, namespace: str, how: str
) -> None:
    embedded_server.save(FAILS.format(namespace=namespace))

    ran = tiercel("execution", "run", namespace, "fails", how, server=embedded_server)

    assert ran.returncode == 1


def test_an_execution_is_suspended_at_a_breakpoint_and_goes_on(
    embedded_server: RunningServer, namespace: str
) -> None:
    # given
    embedded_server.save(FAILS.format(namespace=namespace))
    words = ("execution", "run", namespace, "fails", "--breakpoint")
    unknown = tiercel(*words, "nobody", server=embedded_server)
    execution_id = tiercel(*words, "no", server=embedded_server).stdout.strip()
    eventually(
        lambda: embedded_server.client.execution(execution_id),
        lambda execution: execution["state"]["current"] == "BREAKPOINT",
    )

    # when
    resumed = tiercel("execution", "resume", execution_id, "--follow", server=embedded_server)

    # then
    assert (unknown.returncode, "no task 'nobody'" in unknown.stderr) == (5, True)
    assert resumed.returncode == 1
    assert "FAILED" in resumed.stdout


def test_a_killed_execution_ends_its_follower_with_exit_code_3(
    embedded_server: RunningServer, namespace: str
) -> None:
    embedded_server.save(ENDLESS.format(namespace=namespace))
    execution_id = embedded_server.post(f"/executions/{namespace}/endless").json()["id"]

    killed = tiercel("execution", "kill", execution_id, "--follow", server=embedded_server)
    shown = tiercel("execution", "get", execution_id, server=embedded_server)
    listed = tiercel(
        *("execution", "list", "--namespace", namespace, "--state", "KILLED", "--json"),
        server=embedded_server,
    )

    assert killed.returncode == 3
    assert "KILLED after" in shown.stdout
    assert [e["id"] for e in json.loads(listed.stdout)["results"]] == [execution_id]


def test_a_failed_execution_is_restarted_and_its_log_printed(
    embedded_server: RunningServer, namespace: str
) -> None:
    embedded_server.save(FAILS.format(namespace=namespace))
    failed = embedded_server.post(f"/executions/{namespace}/fails", params={"wait": "true"}).json()

    restarted = tiercel("execution", "restart", failed["id"], "--follow", server=embedded_server)
    embedded_server.messages(failed["id"], count=2)
    printed = tiercel("execution", "logs", failed["id"], "--level", "ERROR", server=embedded_server)

    assert restarted.returncode == 1
    assert printed.stdout.splitlines() == ["ERROR no  Task failure"] * 2


def test_what_does_not_exist_is_refused_with_exit_code_5(embedded_server: RunningServer) -> None:
    for arguments in (
        ("flow", "get", "no.such", "flow"),
        ("execution", "run", "no.such", "flow"),
        ("execution", "get", "5nothing00000000000000"),
        ("execution", "follow", "5nothing00000000000000"),
    ):
        asked = tiercel(*arguments, server=embedded_server)

        assert (asked.returncode, asked.stdout) == (5, "")
        assert "Not Found" in asked.stderr


def test_a_missing_input_is_named(embedded_server: RunningServer, namespace: str) -> None:
    source = GREETING.format(namespace=namespace).replace("    defaults: good evening\n", "")
    embedded_server.save(source)

    asked = tiercel("execution", "run", namespace, "welcome-guest", server=embedded_server)

    assert asked.returncode == 5
    assert "greeting" in asked.stderr


@pytest.mark.parametrize("arguments", [("executor",), ("server", "--config", "/no/such/file")])
def test_a_server_that_cannot_start_says_why(arguments: tuple[str, ...]) -> None:
    started = tiercel(*arguments)

    assert (started.returncode, started.stdout) == (2, "")
    assert started.stderr.startswith("Error: ")


def test_ctrl_c_stops_the_following_and_not_the_execution(
    embedded_server: RunningServer, namespace: str
) -> None:
    embedded_server.save(ENDLESS.format(namespace=namespace))
    arguments = ("execution", "run", namespace, "endless", "--follow")
    command = [*TIERCEL, *arguments, "--server", embedded_server.url]
    # A run in the background of a shell ignores Ctrl-C, and what it starts inherits that.
    follower = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert follower.stdout is not None
    while "RUNNING" not in follower.stdout.readline():
        pass
    follower.send_signal(signal.SIGINT)
    _, told = follower.communicate(timeout=30)

    found = embedded_server.client.executions(namespace, "endless", (), 1, 10)["results"]
    embedded_server.client.kill(found[0]["id"])
    assert follower.returncode == 130
    assert f"tiercel execution follow {found[0]['id']}" in told
    assert found[0]["state"]["current"] == "RUNNING"
