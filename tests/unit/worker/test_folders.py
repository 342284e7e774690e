"""A WorkingDirectory on its worker: one folder, the tasks in it, and how it ends."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import msgspec
from tests.unit.worker.harness import Bench, Gate

from tiercel_engine.storage.uri import cache_file
from tiercel_schemas.codec import encode
from tiercel_schemas.commands import ReturnJob, StartAttempt
from tiercel_schemas.common import Payload
from tiercel_schemas.jobs import SessionClose, TaskJob
from tiercel_worker.cache import FolderCache

FOLDER = "io.kestra.plugin.core.flow.WorkingDirectory"
SHELL = "io.kestra.plugin.scripts.shell.Commands"
NUMBER = iter(range(1_000_000))


class Holder:
    """The executor's part: sends a folder's tasks to whoever holds it."""

    def __init__(self, bench: Bench, run: str = "folder", epoch: int = 1, **properties: Any):
        self.bench, self.run, self.epoch = bench, run, epoch
        bench.append(bench.topics.jobs, run, encode(self.job(run, {"type": FOLDER, **properties})))
        bench.until(lambda: self.start() is not None)

    def start(self) -> StartAttempt | None:
        starts = self.bench.of_kind(self.bench.topics.commands, StartAttempt)
        mine = [s for s in starts if (s.task_run_id, s.epoch) == (self.run, self.epoch)]
        return mine[0] if mine else None

    def job(self, run: str, task: dict[str, Any]) -> TaskJob:
        variables = {
            "flow": {"id": "flow", "namespace": "acme.test"},
            "execution": {"id": "e"},
            "inputs": {"name": "Ada"},
        }
        text = msgspec.json.encode({"id": "task", **task}).decode()
        return TaskJob(
            execution_id="e",
            task_run_id=run,
            attempt=1,
            epoch=self.epoch if run == self.run else 1,
            namespace="acme.test",
            flow_id="flow",
            flow_revision=1,
            task_id="task",
            task_json=text,
            variables=Payload(json=msgspec.json.encode(variables).decode()),
            submitted_us=next(NUMBER),
            session_id=self.run,
            session_epoch=self.epoch,
        )

    def send(self, run: str, task: dict[str, Any], to: str = "w1") -> TaskJob:
        job = self.job(run, task)
        self.bench.append(self.bench.topics.inboxes, to, encode(job))
        return job

    def close(self, to: str = "w1") -> Any:
        message = SessionClose("e", self.run, self.epoch)
        self.bench.append(self.bench.topics.inboxes, to, encode(message))
        return self.bench.end(self.run)


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def shell(*commands: str, **properties: Any) -> dict[str, Any]:
    return {"type": SHELL, "commands": list(commands), **properties}


def test_tasks_share_the_files_of_one_folder(bench: Bench) -> None:
    with bench.worker():
        folder = Holder(
            bench, inputFiles={"name.txt": "{{ inputs.name }}"}, outputFiles=["*.txt", "deep/**"]
        )
        folder.send("one", shell("cat name.txt > copy.txt", outputFiles=["copy.txt"]))
        first = bench.end("one")
        folder.send("two", shell("mkdir deep", "cat copy.txt copy.txt > deep/both", "ls -A"))
        second = bench.end("two")
        end = folder.close()

    assert [first.state, second.state, end.state] == ["SUCCESS"] * 3
    uri = bench.outputs(first)["outputFiles"]["copy.txt"]
    assert bench.storage.get(uri) == b"Ada"
    listed = {line for _, line in bench.lines("two")}
    assert listed >= {"name.txt", "copy.txt"}
    assert bench.outputs(second)["outputFiles"] == {}, "the first one's are not taken again"
    uris = bench.outputs(end)["outputFiles"]
    assert sorted(uris) == ["copy.txt", "deep/both", "name.txt"]
    assert bench.storage.get(uris["deep/both"]) == b"AdaAda"


def test_the_folder_is_gone_when_it_is_closed(bench: Bench) -> None:
    with bench.worker():
        folder = Holder(bench)
        folder.send("one", shell("pwd"))
        bench.end("one")
        end = folder.close()

    assert bench.outputs(end) == {}
    ((_, place),) = bench.lines("one")
    assert "tiercel-folder-" in place
    assert not Path(place).exists()


def test_a_folder_that_cannot_be_filled_fails_and_runs_nothing(bench: Bench) -> None:
    with bench.worker():
        Holder(bench, inputFiles={"../out.txt": "x"})
        end = bench.end("folder")

    assert end.state == "FAILED"
    assert "inside the working directory" in (end.error or "")


def test_a_failure_inside_leaves_the_folder_open(bench: Bench) -> None:
    with bench.worker():
        folder = Holder(bench)
        folder.send("one", shell("touch there", "exit 3"))
        failed = bench.end("one")
        folder.send("two", shell("ls there"))
        again = bench.end("two")
        end = folder.close()

    assert [failed.state, again.state, end.state] == ["FAILED", "SUCCESS", "SUCCESS"]


def test_files_of_the_namespace_are_put_into_the_folder(bench: Bench) -> None:
    for name in ("a.py", "b.py", "c.txt"):
        bench.storage.put(f"kestra:///acme/test/_files/src/{name}", name.encode())
    with bench.worker():
        spec = {"include": ["src/*.py"], "exclude": ["src/b.py"]}
        folder = Holder(bench, namespaceFiles=spec, outputFiles=["**"])
        end = folder.close()

    assert list(bench.outputs(end)["outputFiles"]) == ["src/a.py"]


def test_the_cache_brings_files_back_until_it_is_too_old(bench: Bench) -> None:
    cache = {"patterns": ["lib/**"], "ttl": "PT1H"}
    with bench.worker():
        first = Holder(bench, "f1", cache=cache)
        first.send("one", shell("mkdir lib", "echo built > lib/x", "chmod +x lib/x", "touch other"))
        bench.end("one")
        first.close()
        second = Holder(bench, "f2", cache=cache)
        second.send("two", shell("test -x lib/x", "cat lib/x", "ls"))
        found = bench.end("two")
        second.close()
        third = Holder(bench, "f3", cache={"patterns": ["lib/**"], "ttl": "PT0S"})
        third.send("three", shell("test ! -e lib"))
        old = bench.end("three")
        third.close()

    assert (found.state, old.state) == ("SUCCESS", "SUCCESS")
    lines = [line for _, line in bench.lines("two")]
    assert "built" in lines
    assert "other" not in lines
    assert ("DEBUG", "The cached files were put into the folder.") in bench.lines("f2")
    assert ("DEBUG", "Files of the folder were put into the cache.") not in bench.lines("f2")


def test_an_archive_cannot_write_outside_of_the_folder(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../outside.txt", "x")
    uri = cache_file("acme.test", "flow", "task", None)
    bench.storage.put_file(uri, path)
    folder = tmp_path / "inner" / "folder"
    folder.mkdir(parents=True)

    assert FolderCache(bench.storage, uri, ["**"], None).restore(folder, 0)

    assert not (tmp_path / "inner" / "outside.txt").exists()
    assert (folder / "outside.txt").exists()


def test_a_kill_reaches_what_a_task_inside_has_started(bench: Bench) -> None:
    with bench.worker():
        folder = Holder(bench)
        job = folder.send("one", shell("sleep 300 & echo $!", "wait"))
        bench.until(lambda: bench.lines("one"))
        ((_, pid),) = bench.lines("one")
        bench.revoke(job, "KILLED")
        bench.revoke(folder.job("folder", {"type": FOLDER}), "KILLED")
        ends = [bench.end("one"), bench.end("folder")]

    assert [end.state for end in ends] == ["KILLED", "KILLED"]
    bench.until(lambda: not lives(int(pid)))


def test_a_folder_takes_one_slot_whatever_runs_in_it(bench: Bench) -> None:
    Gate.opened.set()
    with bench.worker(slots=1):
        folder = Holder(bench)
        folder.send("one", {"type": Gate.TYPE})
        bench.end("one")
        bench.submit({"type": Gate.TYPE}, run="other")
        folder.send("two", {"type": Gate.TYPE})
        bench.end("two")
        assert not [e for e in bench.ends() if e.task_run_id == "other"]
        folder.close()
        other = bench.end("other")

    assert other.state == "SUCCESS"


def test_a_task_for_a_folder_that_is_not_open_is_given_back(bench: Bench) -> None:
    with bench.worker():
        folder = Holder(bench)
        folder.close()
        folder.send("late", shell("echo never"))
        back = bench.until(lambda: bench.of_kind(bench.topics.commands, ReturnJob))

    assert [(r.task_run_id, r.reason) for r in back] == [("late", "the folder is not open here")]
    assert bench.lines("late") == []


def test_a_draining_worker_lets_the_folder_go_on_and_then_gives_it_back(bench: Bench) -> None:
    with bench.worker(grace_s=30.0) as worker:
        folder = Holder(bench)
        worker.stop()
        folder.send("one", shell("echo on"))
        going_on = bench.end("one")
        end = folder.close()
    assert (going_on.state, end.state) == ("SUCCESS", "SUCCESS")

    with bench.worker("w2", grace_s=0.0):
        folder = Holder(bench, "second")
        folder.send("two", shell("sleep 300"), to="w2")
        bench.until(
            lambda: [
                s
                for s in bench.of_kind(bench.topics.commands, StartAttempt)
                if s.task_run_id == "two"
            ]
        )
    back = bench.of_kind(bench.topics.commands, ReturnJob)
    assert sorted(r.task_run_id for r in back) == ["second", "two"]
    assert not [e for e in bench.ends() if e.task_run_id in ("second", "two")]
