"""Python scripts in forks of a ready interpreter: as isolated and as killable as any process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.worker.rig import Rig, rig_in

from tiercel_schemas.jobs import TaskJob
from tiercel_worker.task_runner.spawner import SPAWNER

PYTHON = "io.kestra.plugin.scripts.python.Script"
SHELL = "io.kestra.plugin.scripts.shell.Commands"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("python")) as rig:
        yield rig
    SPAWNER.close()


def script(rig: Rig, text: str, **properties: Any) -> Any:
    return rig.run(PYTHON, script=textwrap.dedent(text), **properties)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


def test_a_script_runs_as_it_would_alone(rig: Rig) -> None:
    end = script(
        rig,
        """\
        import __main__, os, sys, helper
        assert __name__ == "__main__" and __main__.__file__ == __file__
        assert sys.argv == [__file__] and sys.path[0] == os.getcwd()
        assert os.environ["COLOR"] == "red" and "SECRET_X" not in os.environ
        assert sys.stdin.read() == ""
        print(helper.WORD, os.getpid() == os.getsid(0))
        print("and", file=sys.stderr)
        """,
        env={"COLOR": "{{ 'red' }}"},
        inputFiles={"helper.py": "WORD = 'helped'"},
    )
    assert end.state == "SUCCESS", end.error
    assert sorted(rig.lines()) == [("ERROR", "and"), ("INFO", "helped True")]


def test_nothing_of_a_script_is_seen_by_the_next(rig: Rig) -> None:
    script(
        rig, "import json, os, sys; json.mine = 1; os.environ['MINE'] = '1'; sys.mine = mine = 1"
    )
    end = script(
        rig,
        """\
        import json, os, sys
        print(hasattr(json, "mine"), hasattr(sys, "mine"), "MINE" in os.environ)
        print("mine" in globals())
        """,
    )
    assert end.state == "SUCCESS"
    assert rig.lines() == [("INFO", "False False False"), ("INFO", "False")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("import sys; sys.exit(7)", 7),
        ("import os; os._exit(8)", 8),
        ("raise SystemExit('said')", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("1 / 0", 1),
        ("this is no Python", 1),
    ],
)
def test_the_exit_code_is_the_scripts(rig: Rig, text: str, code: int) -> None:
    end = script(rig, text)
    assert (end.state, end.error) == ("FAILED", f"Command failed with exit code {code}")


def test_a_traceback_shows_the_script_and_nothing_of_ours(rig: Rig) -> None:
    script(rig, "def fail():\n    raise ValueError('so it is')\nfail()")
    text = "\n".join(message for _, message in rig.lines())
    assert "ValueError: so it is" in text
    assert "raise ValueError('so it is')" in text
    assert "zygote" not in text


def test_handlers_at_exit_and_threads_are_waited_for(rig: Rig) -> None:
    end = script(
        rig,
        """\
        import atexit, threading, time
        atexit.register(print, "last")
        threading.Thread(target=lambda: (time.sleep(0.1), print("thread"))).start()
        print("first")
        """,
    )
    assert end.state == "SUCCESS"
    assert [message for _, message in rig.lines()] == ["first", "thread", "last"]


def test_a_variable_that_python_reads_early_counts(rig: Rig) -> None:
    end = script(rig, "import sys; print(sys.flags.utf8_mode)", env={"PYTHONUTF8": "1"})
    assert end.state == "SUCCESS"
    assert rig.lines() == [("INFO", "1")]


def test_many_scripts_run_at_once(rig: Rig) -> None:
    task = {"type": PYTHON, "script": "import time; time.sleep(0.2); print('done')"}
    for number in range(12):
        rig.bench.submit(task, f"many{number}")
    assert {rig.bench.end(f"many{number}").state for number in range(12)} == {"SUCCESS"}


def test_a_lost_interpreter_is_started_again(rig: Rig) -> None:
    end = script(rig, "import os; print(open(f'/proc/{os.getppid()}/stat').read().split()[3])")
    assert end.state == "SUCCESS"
    os.kill(int(rig.lines()[0][1]), signal.SIGKILL)
    assert script(rig, "print('again')").state == "SUCCESS"


def test_a_script_that_runs_outlives_its_interpreters_loss(rig: Rig, tmp_path: Path) -> None:
    text = f"""\
    import os, pathlib, time
    parent = open(f'/proc/{{os.getppid()}}/stat').read().split()[3]
    print("interpreter", parent, flush=True)
    while not pathlib.Path({str(tmp_path / "go")!r}).exists():
        time.sleep(0.01)
    print("on")
    """
    task = {"type": PYTHON, "script": textwrap.dedent(text)}
    rig.bench.submit(task, "outlives")
    rig.bench.until(lambda: rig.bench.lines("outlives"))

    os.kill(int(rig.bench.lines("outlives")[0][1].split()[1]), signal.SIGKILL)
    (tmp_path / "go").touch()

    assert rig.bench.end("outlives").state == "SUCCESS"
    assert rig.bench.lines("outlives")[-1] == ("INFO", "on")


def _killed(rig: Rig, task: dict[str, Any], run: str) -> list[int]:
    """Kill a task once it has logged process ids; return them."""
    job: TaskJob = rig.bench.submit(task, run)

    def pids() -> list[int]:
        found = [m for _, m in rig.bench.lines(run) if m.startswith("pids ")]
        return [int(pid) for pid in found[0].split()[1:]] if found else []

    known: list[int] = rig.bench.until(pids)
    assert all(alive(pid) for pid in known)
    rig.bench.revoke(job, "KILLED")
    assert rig.bench.end(run).state == "KILLED"
    return known


#: Starts one descendant of each kind, all deaf to SIGTERM, and says their ids.
GRANDCHILDREN = """\
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"

def forked(own_session, twice):
    told, tell = os.pipe()
    if os.fork() == 0:
        if own_session:
            os.setsid()
        if twice and os.fork():
            os._exit(0)
        os.write(tell, b"%d" % os.getpid())
        time.sleep(600)
        os._exit(0)
    pid = int(os.read(told, 20))
    return pid

pids = [
    os.getpid(),
    subprocess.Popen([sys.executable, "-c", code]).pid,
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True).pid,
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True, env={}).pid,
    *(forked(own_session, twice) for own_session in (False, True) for twice in (False, True)),
]
print("pids", *pids, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("interpreter", [None, ["/bin/sh", "-c"]], ids=["warm", "cold"])
def test_a_kill_leaves_no_process(rig: Rig, interpreter: list[str] | None) -> None:
    task: dict[str, Any] = {"type": PYTHON, "script": GRANDCHILDREN}
    if interpreter:
        task["interpreter"] = interpreter
    pids = _killed(rig, task, f"killed-{interpreter is None}")
    rig.bench.until(lambda: not any(alive(pid) for pid in pids))


def test_lines_are_seen_while_the_script_runs(rig: Rig) -> None:
    pids = _killed(
        rig,
        {"type": PYTHON, "script": "import os, time\nprint('pids', os.getpid())\ntime.sleep(600)"},
        "live",
    )
    rig.bench.until(lambda: not alive(pids[0]))


def test_the_peers_python_package_gives_outputs_metrics_logs_and_context(rig: Rig) -> None:
    end = script(
        rig,
        """\
        from kestra import Kestra
        Kestra.outputs({"a": [1, {"b": "c"}]})
        Kestra.counter("rows", 3, {"kind": "x"})
        Kestra.timer("waited", 20)
        Kestra.gauge("level", 0.5)
        Kestra.logger().warning("careful")
        Kestra.logger().info("fine")
        """,
        warningOnStdErr=False,
    )
    assert end.state == "SUCCESS", (end.error, rig.lines())
    assert rig.bench.outputs(end)["vars"] == {"a": [1, {"b": "c"}]}
    assert rig.metrics() == {"rows": 3.0, "waited": 20.0, "level": 0.5}
    lines = sorted((level, message.rpartition(" - ")[2]) for level, message in rig.lines())
    assert lines == [("INFO", "fine"), ("WARN", "careful")]


def test_a_script_whose_supervisor_is_lost_ends(rig: Rig) -> None:
    text = "import os, time\nprint('pids', os.getpid(), os.getppid())\ntime.sleep(600)"
    rig.bench.submit({"type": PYTHON, "script": text}, "unsupervised")
    rig.bench.until(lambda: rig.bench.lines("unsupervised"))
    pid, supervisor = (int(word) for word in rig.bench.lines("unsupervised")[0][1].split()[1:])

    os.kill(supervisor, signal.SIGKILL)

    end = rig.bench.end("unsupervised")
    assert end.error == "Command failed with exit code 137"
    rig.bench.until(lambda: not alive(pid))


OWNER = """\
import sys, time
from pathlib import Path
from tiercel_worker.task_runner.spawner import Spawner
folder = Path(sys.argv[1])
script = folder / "script.py"
if sys.argv[2] == "warm":
    process = Spawner().start_script(script, folder, {})
else:
    process = Spawner().start_command([sys.executable, str(script)], folder, {})
print(process.stdout.readline().decode(), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("kind", ["warm", "cold"])
def test_scripts_end_with_the_worker_that_started_them(rig: Rig, tmp_path: Path, kind: str) -> None:
    (tmp_path / "script.py").write_text(GRANDCHILDREN)
    command = [sys.executable, "-c", OWNER, str(tmp_path), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()[1:]]
        assert len(pids) == 8
        assert all(alive(pid) for pid in pids)
        owner.kill()
    rig.bench.until(lambda: not any(alive(pid) for pid in pids))


def test_what_left_its_session_stays_when_the_script_ends_by_itself(rig: Rig) -> None:
    text = """\
    import subprocess
    quiet = subprocess.DEVNULL
    stays = subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=quiet, stderr=quiet)
    goes = subprocess.Popen(["sleep", "600"], stdout=quiet, stderr=quiet)
    print(stays.pid, goes.pid)
    """
    assert script(rig, text).state == "SUCCESS"
    stays, goes = (int(word) for word in rig.lines()[0][1].split())
    assert alive(stays)
    os.kill(stays, signal.SIGKILL)
    assert not alive(goes)
