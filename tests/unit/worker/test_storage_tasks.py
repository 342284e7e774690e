"""Tasks on files of internal storage and of namespaces, and what writes a task or a metric."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from amazon.ion import simpleion
from tests.unit.worker.rig import Rig, rig_in

from tiercel_engine.storage.namespace_files import NamespaceFiles
from tiercel_engine.storage.uri import execution_value, input_file, task_file
from tiercel_worker.tasks import storage as storage_tasks

ROWS = "".join(f'{{"id": {n}, "name": "n{n}"}}\n' for n in range(6))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("files")) as rig:
        yield rig


def test_files_are_joined_with_a_separator_after_each(rig: Rig) -> None:
    uris = [rig.file("a.txt", "one"), rig.file("b.txt", "two")]
    joined = rig.outputs("storage.Concat", files=uris, separator="\n", extension=".txt")
    assert rig.text(joined["uri"]) == "one\ntwo\n"
    assert joined["uri"].endswith(".txt")
    assert rig.text(rig.outputs("storage.Concat", files=str(uris).replace("'", '"'))["uri"]) == (
        "onetwo"
    )


@pytest.mark.parametrize(
    ("how", "parts"),
    [
        ({"rows": 4}, [ROWS.splitlines(True)[:4], ROWS.splitlines(True)[4:]]),
        ({"partitions": "{{ 2 }}"}, [ROWS.splitlines(True)[::2], ROWS.splitlines(True)[1::2]]),
        ({"bytes": "0.08KB"}, [ROWS.splitlines(True)[i : i + 3] for i in (0, 3)]),
    ],
)
def test_a_file_is_split(rig: Rig, how: dict[str, Any], parts: list[list[str]]) -> None:
    uris = rig.outputs("storage.Split", from_=rig.file("rows.jsonl", ROWS), **how)["uris"]
    assert [rig.text(uri) for uri in uris] == ["".join(part) for part in parts]
    assert uris[0].endswith("/rows-00000.jsonl")


@pytest.mark.parametrize("read_bytes", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    ("content", "turned"),
    [
        ("1\n22\n333\n", "333\n22\n1\n"),
        ("1\n\n22", "22\n\n1\n"),
        ("\n", "\n"),
        ("", ""),
        ("a\n\n", "\na\n"),
    ],
)
def test_rows_are_reversed(
    rig: Rig, content: str, turned: str, read_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_tasks, "READ_BYTES", read_bytes)
    uri = rig.outputs("storage.Reverse", from_=rig.file("a.txt", content))["uri"]
    assert rig.text(uri) == turned


def test_a_file_is_written_measured_and_deleted(rig: Rig) -> None:
    uri = rig.outputs("storage.Write", content="{{ flow.id }} é", extension=".txt")["uri"]
    assert rig.text(uri) == "flow é"
    assert rig.outputs("storage.Size", uri=uri) == {"size": 7}
    assert rig.outputs("storage.Delete", uri=uri) == {"uri": uri, "deleted": True}
    assert rig.outputs("storage.Delete", uri=uri) == {"uri": uri, "deleted": False}
    assert "Expected a file at" in rig.failure("storage.Delete", uri=uri, errorOnMissing=True)
    assert "Expected a file at" in rig.failure("storage.Size", uri=uri)


def _ion_binary() -> bytes:
    rows = [{"id": n, "name": f"n{n}"} for n in range(6)]
    return b"".join([simpleion.dumps(rows, binary=True, sequence_as_stream=True)])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", ROWS),
        ("rows.ion", "".join(f'{{id:{n},name:"n{n}"}}\n' for n in range(6))),
        ("binary.ion", _ion_binary()),
        ("rows.csv", "id,name\n" + "".join(f"{n},n{n}\n" for n in range(6))),
    ],
)
def test_rows_are_filtered_however_they_are_written(
    rig: Rig, name: str, content: str | bytes
) -> None:
    uri = rig.file(name, content)
    outputs = rig.outputs("storage.FilterItems", from_=uri, filterCondition="{{ name == 'n4' }}")
    assert (outputs["processedItemsTotal"], outputs["droppedItemsTotal"]) == (6, 5)
    again = (
        rig.outputs("storage.FilterItems", from_=outputs["uri"], filterCondition="{{ id == 4 }}")
        if name != "rows.csv"
        else outputs
    )
    assert "n4" in rig.text(again["uri"])
    assert rig.metrics()["dropped"] in (0, 5)


def test_a_row_stays_as_it_was_written(rig: Rig) -> None:
    content = "{at:2024-05-01T10:00:00Z, a: 1.5d0, 'odd name':\"a:b\"}\n[1, 2]\n"
    uri = rig.file("odd.ion", content)
    condition = "{{ item is iterable or at is defined }}"
    outputs = rig.outputs("storage.FilterItems", from_=uri, filterCondition=condition)
    assert rig.text(outputs["uri"]) == content


@pytest.mark.parametrize(("behavior", "kept"), [("INCLUDE", 2), ("EXCLUDE", 1)])
def test_rows_without_an_answer_are_kept_or_dropped(rig: Rig, behavior: str, kept: int) -> None:
    uri = rig.file("rows.jsonl", '{"a": true}\n{"b": 1}\n{"a": false}\n')
    outputs = rig.outputs(
        "storage.FilterItems", from_=uri, filterCondition="{{ a }}", errorOrNullBehavior=behavior
    )
    assert outputs["processedItemsTotal"] - outputs["droppedItemsTotal"] == kept
    assert "The condition fails on the row" in rig.failure(
        "storage.FilterItems", from_=uri, filterCondition="{{ a }}"
    )


def test_rows_that_match_are_dropped_when_asked(rig: Rig) -> None:
    outputs = rig.outputs(
        "storage.FilterItems",
        from_=rig.file("rows.jsonl", ROWS),
        filterCondition="{{ id > 1 }}",
        filterType="EXCLUDE",
    )
    assert rig.text(outputs["uri"]) == "".join(ROWS.splitlines(True)[:2])


def test_the_last_row_of_each_key_stays(rig: Rig) -> None:
    content = '{"k":1,"v":"a"}\n{"k":2,"v":"b"}\n{"k":1,"v":"c"}\n'
    outputs = rig.outputs(
        "storage.DeduplicateItems", from_=rig.file("r.jsonl", content), expr="{{ k }}"
    )
    assert rig.text(outputs.pop("uri")) == '{"k":2,"v":"b"}\n{"k":1,"v":"c"}\n'
    assert outputs == {"numKeys": 2, "processedItemsTotal": 3, "droppedItemsTotal": 1}


def test_the_last_rows_of_many_keys_stay_in_their_order(rig: Rig) -> None:
    # given: 2,500 keys, of which every second one comes twice
    rows = [f'{{"k":{k},"n":1}}\n' for k in range(2_500)]
    rows += [f'{{"k":{k},"n":2}}\n' for k in range(0, 2_500, 2)]
    # when
    uri = rig.file("many.jsonl", "".join(rows))
    outputs = rig.outputs("storage.DeduplicateItems", from_=uri, expr="{{ k }}")
    # then
    assert outputs["numKeys"] == 2_500
    assert rig.text(outputs["uri"]) == "".join(rows[1:2_500:2] + rows[2_500:])
    empty = rig.outputs("storage.DeduplicateItems", from_=rig.file("no.jsonl", ""), expr="{{ k }}")
    assert (empty["numKeys"], rig.text(empty["uri"])) == (0, "")


def test_an_unreadable_row_is_named(rig: Rig) -> None:
    uri = rig.file("rows.jsonl", '{"a": 1}\n{oops\n')
    assert "row 2 is" in rig.failure(
        "storage.FilterItems", from_=uri, filterCondition="{{ a == 1 }}"
    )


def test_local_files_are_written_and_kept(rig: Rig) -> None:
    uri = rig.file("b.txt", "bee")
    uris = rig.outputs(
        "storage.LocalFiles", inputs={"a.txt": "{{ flow.id }}", "d/b.txt": uri}, outputs=["**.txt"]
    )["uris"]
    assert {name: rig.text(address) for name, address in uris.items()} == {
        "a.txt": "flow",
        "d/b.txt": "bee",
    }


def test_the_files_of_the_execution_are_deleted_but_not_its_values(rig: Rig) -> None:
    end = rig.run("storage.Write", content="x")
    flow = ("acme.test", "flow", end.execution_id)
    kept = [
        execution_value(*flow, "inputs.json"),
        task_file(*flow, "t", "r", "outputs-1-1.json"),
        input_file("acme.test", "flow", "another", "file", "a.txt"),
    ]
    gone = [input_file(*flow, "file", "a.txt"), task_file(*flow, "t", "r", "a.txt")]
    for uri in (*kept, *gone):
        rig.storage.put(uri, b"x")
    # when: a task run of the same execution
    rig.last_run = end.task_run_id
    job = {"type": "io.kestra.plugin.core.storage.PurgeCurrentExecutionFiles"}
    rig.bench.submit(job, end.task_run_id, attempt=2)
    ended = rig.bench.until(lambda: next((e for e in rig.bench.ends() if e.attempt == 2), None))
    # then
    assert set(gone) < set(rig.bench.outputs(ended)["uris"])
    assert [rig.storage.exists(uri) for uri in (*kept, *gone)] == [True] * 3 + [False] * 2


def test_files_go_into_a_namespace_out_of_it_and_away(rig: Rig) -> None:
    script = rig.file("x.py", "print(1)")
    uploaded = rig.outputs(
        "namespace.UploadFiles",
        namespace="acme.files",
        files={"a.py": script, "d/b.txt": "text"},
        destination="/lib",
    )["files"]
    assert sorted(uploaded) == ["/lib/a.py", "/lib/d/b.txt"]
    assert rig.metrics() == {"uploaded": 2}
    downloaded = rig.outputs("namespace.DownloadFiles", namespace="acme.files", files="**.py")
    assert [rig.text(uri) for uri in downloaded["files"].values()] == ["print(1)"]
    assert list(downloaded["files"]) == ["lib/a.py"]
    rig.outputs("namespace.DeleteFiles", namespace="acme.files", files=["lib/d/"])
    assert [e.path for e in NamespaceFiles(rig.storage, "acme.files").all()] == ["/lib/a.py"]


@pytest.mark.parametrize(("conflict", "state"), [("ERROR", "FAILED"), ("SKIP", "SUCCESS")])
def test_a_file_that_is_there_is_not_overwritten(rig: Rig, conflict: str, state: str) -> None:
    files = NamespaceFiles(rig.storage, "acme.conflict")
    files.put("a.txt", io.BytesIO(b"old"))
    end = rig.run(
        "namespace.UploadFiles",
        namespace="acme.conflict",
        files={"a.txt": "new"},
        conflict=conflict,
    )
    assert end.state == state
    assert files.open("a.txt").read() == b"old"


def test_a_file_of_the_namespace_is_read_where_an_address_is_expected(rig: Rig) -> None:
    NamespaceFiles(rig.storage, "acme.test").put("in/rows.jsonl", io.BytesIO(ROWS.encode()))
    uri = "nsfile:///in/rows.jsonl"
    assert rig.outputs("storage.Size", uri=uri) == {"size": len(ROWS)}
    kept = rig.outputs("storage.FilterItems", from_=uri, filterCondition="{{ id == 1 }}")
    assert rig.text(kept["uri"]) == ROWS.splitlines(True)[1]
    joined = rig.outputs("storage.Concat", files=[uri, uri])
    assert rig.text(joined["uri"]) == ROWS * 2
    assert "inside its folder" in rig.failure("storage.Size", uri="nsfile:///../secret")


def test_metrics_are_published(rig: Rig) -> None:
    rig.outputs(
        "metric.Publish",
        metrics=[
            {"type": "counter", "name": "{{ flow.id }}", "value": "{{ 6 * 7 }}"},
            {"type": "timer", "name": "waited", "value": "PT1.5S", "tags": {"a": "b"}},
        ],
    )
    assert rig.metrics() == {"flow": 42, "waited": 1_500}


def test_a_task_is_written_by_a_template(rig: Rig) -> None:
    spec = "type: io.kestra.plugin.core.debug.Return\nformat: '{{ flow.id }} {{ 1 + 1 }}'"
    assert rig.outputs("templating.TemplatedTask", spec=spec) == {"value": "flow 2"}


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("type: io.kestra.plugin.core.templating.TemplatedTask\nspec: x", "TemplatedTask itself"),
        ("type: no.such.Type", "Expected a task type that this worker knows"),
        ("just text", "no map"),
        ("a: [", "Expected the YAML of a task"),
    ],
)
def test_a_template_that_is_no_task_is_refused(rig: Rig, spec: str, error: str) -> None:
    assert error in rig.failure("templating.TemplatedTask", spec=spec)
