"""Storage tasks on a file of 2 GB, and a script of a million lines: time, and peak memory.

Run by hand: `python tests/benchmarks/large_files.py [--megabytes 2048] [--lines 1000000]`.
Each task runs in a process of its own, so that each tells its own peak.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.unit.worker.rig import Rig, rig_in

from tiercel_engine.clock import SystemClock
from tiercel_engine.collector import return_buffers
from tiercel_engine.eventlog.embedded import SqliteLog

ROW_BYTES = 1_024
PART_BYTES = "128MB"
WITHIN_S = 900.0


def rows(megabytes: int) -> Iterator[bytes]:
    """JSON lines of about one kilobyte each."""
    text = "x" * (ROW_BYTES - 40)
    for block in range(megabytes):
        start = block * 1_024
        yield b"".join(
            b'{"id": %9d, "text": "%s"}\n' % (start + n, text.encode()) for n in range(1_024)
        )


def measured(folder: str, kind: str, properties: dict[str, Any], answer: Any) -> None:
    """In a process of its own: run one task, tell its outputs, seconds and peak megabytes."""
    return_buffers()
    # On disk: what a log in memory holds would count, too.
    log = SqliteLog(Path(folder) / f"log-{os.getpid()}.db", SystemClock())
    with rig_in(Path(folder), log) as rig:
        began_s = time.monotonic()
        rig.bench.submit({"type": kind, **properties}, "r")
        end = rig.bench.until(
            lambda: next((e for e in rig.bench.ends() if e.task_run_id == "r"), None), WITHIN_S
        )
        took_s = time.monotonic() - began_s
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
        outputs = rig.bench.outputs(end) if end.outputs else end.error
        lines = len(rig.bench.lines("r")) if "Script" in kind else 0
        answer.put((end.state, outputs, took_s, peak_mb, lines))


def run(folder: str, kind: str, **properties: Any) -> Any:
    named = {name.removesuffix("_"): value for name, value in properties.items()}
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=measured, args=(folder, kind, named, answer))
    process.start()
    state, outputs, took_s, peak_mb, lines = answer.get()
    process.join()
    name = kind.rpartition(".")[2]
    print(f"{name:12} {state} {took_s:7.1f} s  peak {peak_mb:6.0f} MB  {lines or ''}")
    sys.stdout.flush()
    return outputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=2_048)
    parser.add_argument("--lines", type=int, default=1_000_000)
    options = parser.parse_args()
    core = "io.kestra.plugin.core.storage."
    with tempfile.TemporaryDirectory(prefix="tiercel-large-") as folder:
        with rig_in(Path(folder)) as rig:
            source = source_of(rig, options.megabytes)
        parts = run(folder, core + "Split", from_=source, bytes=PART_BYTES)["uris"]
        run(folder, core + "Concat", files=parts)
        for uri in parts:
            run_delete(folder, uri)
        condition = "{{ id % 2 == 0 }}"
        run(folder, core + "FilterItems", from_=source, filterCondition=condition)
        expression = "{{ id }}"
        run(folder, core + "DeduplicateItems", from_=source, expr=expression)
        run(folder, core + "Reverse", from_=source)
        run(folder, core + "Size", uri=source)
        run(folder, core + "LocalFiles", inputs={"rows.jsonl": source}, outputs=["*.jsonl"])
        names = {"/rows.jsonl": source}
        files = "io.kestra.plugin.core.namespace."
        run(folder, files + "UploadFiles", namespace="acme.test", files=names)
        run(folder, files + "DownloadFiles", namespace="acme.test", files="rows.jsonl")
        with served(Path(folder) / "storage") as address:
            uri = source.replace("kestra://", address)
            run(folder, "io.kestra.plugin.core.http.Download", uri=uri)
        script = f"for n in range({options.lines}): print(n)"
        run(folder, "io.kestra.plugin.scripts.python.Script", script=script)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The files of a folder by HTTP, from another process; the server's address."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    server = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    try:
        yield server.stdout.readline().split("(")[1].split("/)")[0]
    finally:
        server.terminate()
        server.wait()


def source_of(rig: Rig, megabytes: int) -> str:
    uri = "kestra:///acme/test/flow/executions/e/inputs/file/rows.jsonl"
    size_bytes = rig.storage.put_stream(uri, rows(megabytes))
    print(f"{size_bytes / (1 << 20):.0f} MB of rows of {ROW_BYTES} bytes")
    return uri


def run_delete(folder: str, uri: str) -> None:
    with rig_in(Path(folder)) as rig:
        rig.storage.delete(uri)


if __name__ == "__main__":
    main()
