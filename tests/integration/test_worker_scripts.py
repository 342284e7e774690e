"""Script tasks on a real worker: real processes, files and printed lines."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.worker.harness import Bench

from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.embedded import SqliteLog
from tiercel_engine.storage.namespace_files import NamespaceFiles
from tiercel_engine.storage.uri import input_file
from tiercel_schemas.commands import StartAttempt

SHELL = "io.kestra.plugin.scripts.shell.Commands"
SCRIPT = "io.kestra.plugin.scripts.shell.Script"
PYTHON = "io.kestra.plugin.scripts.python.Script"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Commands do not care which log is behind their worker: one is enough."""
    bench = Bench(SqliteLog(tmp_path / "log.db", SystemClock()), tmp_path)
    yield bench
    bench.close()


def _run(bench: Bench, task: dict[str, Any], **options: Any) -> Any:
    with bench.worker(**options):
        bench.submit(task)
        return bench.end()


def _is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended but was not collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


def test_a_commands_lines_become_the_log(bench: Bench) -> None:
    end = _run(bench, {"type": SHELL, "commands": ["echo one", "echo two >&2", "printf three"]})

    assert end.state == "SUCCESS"
    assert sorted(bench.lines()) == [("ERROR", "two"), ("INFO", "one"), ("INFO", "three")]
    assert bench.outputs(end) == {"exitCode": 0, "vars": {}, "outputFiles": {}}


def test_a_failing_command_fails_the_task_and_stops_the_others(bench: Bench) -> None:
    end = _run(bench, {"type": SHELL, "commands": ["(exit 3)", "echo never"]})

    assert end.state == "FAILED"
    assert end.error == "Command failed with exit code 3"
    assert ("INFO", "never") not in bench.lines()


def test_without_fail_fast_the_last_command_decides(bench: Bench) -> None:
    end = _run(bench, {"type": SHELL, "failFast": False, "commands": ["false", "echo on"]})

    assert end.state == "SUCCESS"


def test_printed_outputs_metrics_and_logs_are_taken(bench: Bench) -> None:
    script = """
    echo '::{"outputs":{"a":1,"b":{"c":[true,null]}}}::'
    echo '::{"outputs":{"a":2},"metrics":[{"name":"rows","type":"counter","value":3,
    ' | tr -d '\\n '; echo '"tags":{"k":"v"}}]}::'
    echo '::{"metrics":[{"name":"rows","type":"counter","value":4,"tags":{"k":"v"}}]}::' >&2
    echo '::{"logs":[{"level":"WARNING","message":"careful"}]}::'
    echo '::{broken}::'
    """
    end = _run(bench, {"type": SCRIPT, "script": script})

    assert end.state == "SUCCESS"
    assert bench.outputs(end)["vars"] == {"a": 2, "b": {"c": [True, None]}}
    (metric,) = bench.metrics()
    assert (metric.name, metric.value, metric.tags) == ("rows", 7.0, {"k": "v"})
    assert ("WARN", "careful") in bench.lines()
    assert ("INFO", "::{broken}::") in bench.lines()


@pytest.mark.parametrize(
    ("properties", "dialect", "state"),
    [
        ({}, "1.3", "SUCCESS"),
        ({}, "0.21", "WARNING"),
        ({"warningOnStdErr": False}, "0.21", "SUCCESS"),
        ({"warningOnStdErr": True}, "1.3", "WARNING"),
        ({"type": "io.kestra.core.tasks.scripts.Bash"}, "1.3", "WARNING"),
    ],
)
def test_stderr_makes_a_warning_where_the_dialect_says_so(
    bench: Bench, properties: dict[str, Any], dialect: str, state: str
) -> None:
    task = {"type": SHELL, "commands": ["echo oops >&2"], **properties}

    with bench.worker():
        bench.submit(task, dialect=dialect)

        assert bench.end().state == state


def test_files_go_in_and_out(bench: Bench) -> None:
    # given: a file of the execution in internal storage
    uri = input_file("acme.test", "flow", "e-r1", "orders", "orders.csv")
    bench.storage.put(uri, b"1\n2\n3\n")

    # when
    task = {
        "type": SHELL,
        "inputFiles": {"in/a.txt": "text {{ 1 + 1 }}", "orders.csv": uri},
        "outputFiles": ["*.out", "deep/**"],
        "env": {"GREETING": "hi {{ flow.id }}"},
        "commands": [
            "cat in/a.txt > a.out",
            f"wc -l < {uri} | tr -d ' ' > b.out",
            "mkdir -p deep/er && cp orders.csv deep/er/c.txt",
            "echo $GREETING > {{ outputDir }}/kept.txt",
            "echo not kept > other.txt",
            'test "$PWD" = {{ workingDir }} && test "$PWD" = "$WORKING_DIR"',
        ],
    }
    end = _run(bench, task)

    # then
    files = bench.outputs(end)["outputFiles"]
    assert {name: bench.storage.get(address) for name, address in files.items()} == {
        "a.out": b"text 2",
        "b.out": b"3\n",
        "deep/er/c.txt": b"1\n2\n3\n",
        "kept.txt": b"hi flow\n",
    }
    assert "/executions/e-r1/tasks/task/r1/" in files["a.out"]


@pytest.mark.parametrize("name", ["../x", "a/../../x", ".."])
def test_an_input_file_outside_the_working_directory_is_refused(bench: Bench, name: str) -> None:
    end = _run(bench, {"type": SHELL, "inputFiles": {name: "x"}, "commands": ["true"]})

    assert end.state == "FAILED"
    assert "inside the working directory" in end.error


def test_an_output_link_to_the_outside_is_refused(bench: Bench) -> None:
    task = {"type": SHELL, "outputFiles": ["*.txt"], "commands": ["ln -s /etc/hosts x.txt"]}

    assert "in the working directory" in _run(bench, task).error


def test_the_working_directory_is_gone_afterwards(bench: Bench) -> None:
    task = {"type": SHELL, "commands": ['echo "::{\\"outputs\\":{\\"at\\":\\"$PWD\\"}}::"']}
    end = _run(bench, task)

    assert not Path(bench.outputs(end)["vars"]["at"]).exists()


def test_the_workers_own_settings_and_secrets_are_not_in_the_environment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "aHVzaA==")
    monkeypatch.setenv("TIERCEL_DATABASE", "postgres://user:hush@host")
    end = _run(bench, {"type": SHELL, "commands": ["! env | grep -E '^(SECRET|TIERCEL)_'"]})

    assert end.state == "SUCCESS"


def test_a_secret_is_masked_in_the_log(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "aHVzaA==")
    _run(bench, {"type": SHELL, "env": {"T": "{{ secret('TOKEN') }}"}, "commands": ["echo <$T>"]})

    assert not any("hush" in message for _, message in bench.lines())


def test_a_python_script_runs_and_reads_its_context(bench: Bench) -> None:
    script = """
import json
context = json.load(open(".kestra-execution-context.json"))
print("::" + json.dumps({"outputs": {"flow": context["flow"]["id"]}}) + "::")
"""
    end = _run(bench, {"type": PYTHON, "script": script})

    assert bench.outputs(end)["vars"] == {"flow": "flow"}


def test_a_script_larger_than_one_argument_runs(bench: Bench) -> None:
    script = f"x='{'y' * 300_000}'\nprintf %s \"$x\" | wc -c | tr -d ' '"
    end = _run(bench, {"type": SCRIPT, "script": script})

    assert end.state == "SUCCESS"
    assert bench.lines() == [("INFO", "300000")]


def test_many_lines_all_arrive_in_order(bench: Bench) -> None:
    end = _run(bench, {"type": SHELL, "commands": ["seq 1 5000"]})

    assert end.state == "SUCCESS"
    assert [message for _, message in bench.lines()] == [str(n) for n in range(1, 5001)]


def test_a_line_without_end_does_not_grow(bench: Bench) -> None:
    command = "head -c 5000000 /dev/zero | tr '\\0' x"
    end = _run(bench, {"type": SHELL, "commands": [command]})

    assert end.state == "SUCCESS"
    assert sum(len(message) for _, message in bench.lines()) == 5_000_000


def test_lines_are_in_the_log_while_the_command_runs(bench: Bench) -> None:
    with bench.worker():
        job = bench.submit({"type": SHELL, "commands": ["echo early", "sleep 600"]})
        bench.until(lambda: ("INFO", "early") in bench.lines(), within_s=3)
        bench.revoke(job, "KILLED")
        assert bench.end().state == "KILLED"


def test_a_kill_ends_a_script_and_its_grandchildren_in_under_a_second(bench: Bench) -> None:
    # given: a script whose children ignore SIGTERM, one of them silent and in the background
    task = {
        "type": SHELL,
        "commands": [
            "trap '' TERM",
            'sh -c \'trap "" TERM; sh -c "sleep 601 & echo pid \\$!; wait"\' &',
            "(sleep 602 >/dev/null 2>&1 & echo pid $!)",
            "echo pid $$",
            "wait",
        ],
    }
    with bench.worker():
        job = bench.submit(task)
        bench.until(lambda: sum(m.startswith("pid ") for _, m in bench.lines()) == 3)
        pids = [int(m.split()[1]) for _, m in bench.lines() if m.startswith("pid ")]
        assert all(_is_alive(pid) for pid in pids)

        # when
        killed_s = time.monotonic()
        bench.revoke(job, "KILLED")
        end = bench.end()

        # then
        assert end.state == "KILLED"
        assert time.monotonic() - killed_s < 1.0
        assert not any(_is_alive(pid) for pid in pids)


def test_a_command_that_closes_its_pipes_is_still_killed(bench: Bench) -> None:
    with bench.worker():
        job = bench.submit({"type": SHELL, "commands": ["exec >&- 2>&-", "sleep 600"]})
        bench.until(lambda: bench.of_kind(bench.topics.commands, StartAttempt))
        bench.revoke(job, "KILLED")

        assert bench.end().state == "KILLED"


def test_what_a_command_left_in_the_background_does_not_hold_the_task(bench: Bench) -> None:
    started_s = time.monotonic()
    end = _run(bench, {"type": SHELL, "commands": ["sleep 600 & echo pid $!"]})

    assert end.state == "SUCCESS"
    assert time.monotonic() - started_s < 3
    (pid,) = [int(message.split()[1]) for _, message in bench.lines()]
    assert not _is_alive(pid)


def test_a_script_over_its_timeout_fails(bench: Bench) -> None:
    end = _run(bench, {"type": SHELL, "timeout": "PT0.3S", "commands": ["sleep 600"]})

    assert end.state == "FAILED"
    assert end.error == "Timeout after 00:00:00.300"


def test_an_exit_by_a_signal_is_told_as_a_shell_does(bench: Bench) -> None:
    end = _run(bench, {"type": SHELL, "commands": ["kill -9 $$"]})

    assert end.error == "Command failed with exit code 137"


def test_an_interpreter_that_is_not_there_fails_clearly(bench: Bench) -> None:
    end = _run(bench, {"type": SHELL, "interpreter": ["/no/such", "-c"], "commands": ["x"]})

    assert end.state == "FAILED"
    assert "/no/such" in end.error


@pytest.mark.parametrize(
    "runner",
    [
        {"runner": "DOCKER"},
        {"taskRunner": {"type": "io.kestra.plugin.scripts.runner.docker.Docker"}},
    ],
)
def test_an_explicit_docker_runner_fails_with_advice(bench: Bench, runner: dict[str, Any]) -> None:
    end = _run(bench, {"type": SHELL, "commands": ["true"], **runner})

    assert end.state == "FAILED"
    assert "taskRunner: {type: io.kestra.plugin.core.runner.Process}" in end.error


@pytest.mark.parametrize(
    "runner",
    [
        {"runner": "PROCESS"},
        {"taskRunner": {"type": "io.kestra.plugin.core.runner.Process"}},
        {"containerImage": "ubuntu", "docker": {"image": "ubuntu"}},
    ],
)
def test_a_local_process_is_what_runs_otherwise(bench: Bench, runner: dict[str, Any]) -> None:
    assert _run(bench, {"type": SHELL, "commands": ["true"], **runner}).state == "SUCCESS"


def test_the_oldest_python_task_runs_its_main_file(bench: Bench) -> None:
    task = {
        "type": "io.kestra.core.tasks.scripts.Python",
        "inputFiles": {"main.py": "print('old')"},
    }
    _run(bench, task)

    assert bench.lines() == [("INFO", "old")]


def test_namespace_files_lie_in_the_working_directory(bench: Bench) -> None:
    files = NamespaceFiles(bench.storage, "acme.test")
    shared = NamespaceFiles(bench.storage, "acme.shared")
    for target, path in ((files, "lib/a.sh"), (files, "notes.txt"), (shared, "lib/a.sh")):
        target.put(path, (f"echo {path} of {'shared' if target is shared else 'own'}".encode(),))
    task = {
        "type": SHELL,
        "namespaceFiles": {"enabled": True, "exclude": ["*.txt"]},
        "inputFiles": {"again.txt": "nsfile:///notes.txt"},
        "commands": ["sh lib/a.sh", "sh again.txt", "test ! -e notes.txt"],
    }
    with bench.worker():
        bench.submit(task, "own")
        assert bench.end("own").state == "SUCCESS"
        both = {"namespaces": ["acme.test", "acme.{{ 'shared' }}"], "include": ["lib/"]}
        bench.submit({**task, "namespaceFiles": both, "commands": ["sh lib/a.sh"]}, "both")
        assert bench.end("both").state == "SUCCESS"
    assert bench.lines("own") == [
        ("INFO", "echo lib/a.sh of own"[5:]),
        ("INFO", "notes.txt of own"),
    ]
    assert bench.lines("both") == [("INFO", "lib/a.sh of shared")]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed here")
def test_node_runs_commands_and_scripts(bench: Bench) -> None:
    kind = "io.kestra.plugin.scripts.node."
    with bench.worker():
        script = 'console.log("::" + JSON.stringify({outputs: {sum: {{ 1 + 2 }} + 4}}) + "::")'
        bench.submit({"type": kind + "Script", "script": script}, "script")
        end = bench.end("script")
        files = {"main.js": "console.log('hello'); process.exit(3)"}
        task = {"type": kind + "Commands", "inputFiles": files, "commands": ["node main.js"]}
        bench.submit(task, "commands")
        failed = bench.end("commands")
    assert (end.state, bench.outputs(end)["vars"]) == ("SUCCESS", {"sum": 7})
    assert failed.error == "Command failed with exit code 3"
    assert ("INFO", "hello") in bench.lines("commands")
