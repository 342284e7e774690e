"""`make bench`: the workloads beside the bare loop, on both logs; writes bench.json.

    python tests/benchmarks/run.py
    python tests/benchmarks/run.py --only P1,P2 --log sqlite --quick
    python tests/benchmarks/run.py --only P4 --log sqlite --sizes 100,1000
    python tests/benchmarks/run.py --plot docs/cost.svg

P1: one Log task, `POST ?wait=true`, one at a time, 200 times.
P2: 1,000, then 10,000 executions of one Log task, 8 clients, until all have ended.
P3: 500 executions of ten Log tasks one after the other.
P4: ForEach with concurrencyLimit 0, one Return per value, 100 to 100,000 values.
P5: ForEachItem that waits, one Log task per child, 1,000 to 100,000 children.
P9: 40 Python scripts of recursive fibonacci(10), one after the other.
P11: a scheduler of 1,000 to 100,000 flows with a Schedule each: its start, and a pass; SQLite log.
api: 5,000 POST executions, GET execution, searches, 8 clients; 500 streams.
render: a simple template, and one that reads outputs among 10 and 10,000 task runs; no log.
index: the read model's writer alone, with 1,000 to 100,000 task runs open at once; no log.
process: the executor's decisions alone, on executions of 100 and of 100,000 task runs; no log.

Each workload has a server of its own. The bare loop is measured before P1 and P2 and after them;
the faster of the two counts. CPU is that of the server's processes, the client's is left out.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.console import Console
from rich.table import Table
from tests.benchmarks import bare_loop, core_cost, expression_render, index_cost, plot, scheduler
from tests.benchmarks.server import Server
from tests.benchmarks.workloads import CLIENTS, WORKLOADS

from tiercel_cli.kafka_broker import LocalBroker
from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.embedded import SqliteLog
from tiercel_engine.eventlog.kafka import KafkaLog

CORE_SIZES = (100, 1_000, 10_000, 100_000)
INDEX_SIZES = (1_000, 10_000, 30_000, 100_000)
SCHEDULER_SIZES = (1_000, 10_000, 100_000)
#: Those that need no server, and no log but one of their own.
WITHOUT_LOG = ("process", "render", "index", "P11")
#: Those whose rows carry a ratio to the bare loop.
COMPARED = ("P1", "P2")
console = Console()

Bare = Callable[[], dict[str, float]]


class Rows:
    """The rows of bench.json so far, and its file."""

    def __init__(self, path: Path) -> None:
        self.rows: list[dict[str, Any]] = []
        self._path = path

    def adder(self, workload: str, log: str) -> Callable[..., None]:
        """What adds rows of one workload on one log."""

        def add(metric: str, value: float, unit: str, bare: float | None) -> None:
            row = {"workload": workload, "log": log, "metric": metric, "value": round(value, 3)}
            row |= {"unit": unit, "bare_loop": None if bare is None else round(bare, 3)}
            self.rows.append(row)

        return add

    def faster(self, first: int, bare: dict[str, float]) -> None:
        """From row `first` on, compare with this bare loop where it was the faster one."""
        for row in self.rows[first:]:
            if row["metric"] in bare and row["bare_loop"] is not None:
                best = max if row["unit"] == "1/s" else min
                row["bare_loop"] = best(row["bare_loop"], round(bare[row["metric"]], 3))

    def save(self) -> None:
        self._path.write_text(json.dumps(self.rows, indent=1) + "\n")

    def show(self, first: int) -> None:
        table = Table("workload", "log", "metric", "value", "unit", "bare loop", "ratio")
        for row in self.rows[first:]:
            bare = row["bare_loop"]
            texts = ("", "") if bare is None else (f"{bare:,.2f}", f"{row['value'] / bare:.2f}")
            names = (row["workload"], row["log"], row["metric"])
            table.add_row(*names, f"{row['value']:,.2f}", row["unit"], *texts)
        console.print(table)


def measure(
    rows: Rows, log: str, kafka: str | None, bare_of: Bare, options: argparse.Namespace
) -> None:
    """The workloads asked for, on one log."""
    first = len(rows.rows)
    compared = [name for name in options.only if name in COMPARED]
    bare = bare_of() if compared else {}
    for name, (run, sizes, quick_sizes) in WORKLOADS.items():
        if name not in options.only:
            continue
        chosen = options.sizes if options.sizes and len(sizes) > 1 else sizes
        chosen = quick_sizes if options.quick and not options.sizes else chosen
        with Server(kafka, "--topic-prefix", f"{name.lower()}.") as server:
            for size in chosen:
                title = f"{name}/{size}" if len(sizes) > 1 else name
                console.print(f"{title} on {log} ...")
                run(server, bare, rows.adder(title, log), (size,))
                rows.save()
    if compared:
        rows.faster(first, bare_of())
    rows.save()
    rows.show(first)


def measure_core(rows: Rows, sizes: Sequence[int]) -> None:
    """CPU and memory of the state per task run, and how they grow."""
    first = len(rows.rows)
    found = {size: core_cost.measured_alone(size) for size in sizes}
    for size, cost in found.items():
        add = rows.adder(f"process/{size}", "none")
        add("cpu_per_task_run", cost["cpu_us"], "us", None)
        add("memory_per_task_run", cost["bytes"] / 1_024, "KiB", None)
    smallest, largest = found[min(sizes)], found[max(sizes)]
    ratio = largest["cpu_us"] / smallest["cpu_us"]
    rows.adder("process", "none")(f"cpu_ratio:{max(sizes)}/{min(sizes)}", ratio, "", None)
    rows.save()
    rows.show(first)


def measure_render(rows: Rows) -> None:
    """CPU of rendering, and of putting a job's variables together."""
    first = len(rows.rows)
    for name, found_us in expression_render.measured().items():
        rows.adder("render", "none")(name, found_us, "us", None)
    rows.save()
    rows.show(first)


def measure_scheduler(rows: Rows, sizes: Sequence[int]) -> None:
    """The start of a scheduler, and its passes."""
    first = len(rows.rows)
    for size in sizes:
        console.print(f"P11/{size} on sqlite ...")
        scheduler.measured(size, rows.adder(f"P11/{size}", "sqlite"))
        rows.save()
    rows.show(first)


def measure_index(rows: Rows, sizes: Sequence[int]) -> None:
    """CPU of the read model's writer per task run, and how it grows."""
    first = len(rows.rows)
    for size in sizes:
        found_us = index_cost.measured(size)
        rows.adder(f"index/{size}", "none")("cpu_per_task_run", found_us, "us", None)
    rows.save()
    rows.show(first)


@contextmanager
def opened(log: str, quick: bool) -> Iterator[tuple[str | None, Bare]]:
    """The broker's address, if there is one, and the bare loop on that log."""
    count = 2_000 if quick else 10_000
    with tempfile.TemporaryDirectory() as folder:
        if log == "sqlite":
            names = iter(range(1_000))

            def on_sqlite() -> dict[str, float]:
                path = Path(folder) / f"{next(names)}.db"
                opener = functools.partial(SqliteLog, path, clock=SystemClock())
                return bare_loop.measure(opener, "bare.", False, count, CLIENTS)

            yield None, on_sqlite
            return
        with LocalBroker() as broker:
            prefixes = iter(f"bare{n}." for n in range(1_000))
            opener = functools.partial(KafkaLog, broker.bootstrap, clock=SystemClock())
            yield (
                broker.bootstrap,
                lambda: bare_loop.measure(opener, next(prefixes), True, count, CLIENTS),
            )


def draw(rows: Rows, path: Path) -> None:
    """The time per task run of P4 and P5, and the core's CPU, against their number."""
    found: dict[str, list[tuple[float, float]]] = {}
    metrics = {"time_per_task_run": 1.0, "time_per_child": 1.0, "cpu_per_task_run": 1e-3}
    for row in rows.rows:
        name, _, size = row["workload"].partition("/")
        if row["metric"] in metrics and size:
            label = f"{name} {row['log']}" if row["log"] != "none" else f"{name}, CPU"
            point = (float(size), row["value"] * metrics[row["metric"]])
            found.setdefault(label, []).append(point)
    series = [(label, sorted(points)) for label, points in found.items() if len(points) > 1]
    if not series:
        console.print("Expected more than one size of P4, P5 or process for a plot.")
        return
    path.write_text(plot.svg(series, "task runs of one execution", "ms per task run"))
    console.print(f"wrote {path}")


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    names = (*WORKLOADS, *WITHOUT_LOG)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--log", default="sqlite,kafka", help="sqlite, kafka or both")
    parser.add_argument("--sizes", default="", help="numbers instead of each workload's own")
    parser.add_argument("--quick", action="store_true", help="the small sizes alone")
    parser.add_argument("--output", default="bench.json", type=Path)
    parser.add_argument("--plot", type=Path, help="also draw the costs into this SVG file")
    options = parser.parse_args(arguments)
    options.only, options.log = options.only.split(","), options.log.split(",")
    for given, known in ((options.only, names), (options.log, ("sqlite", "kafka"))):
        if unknown := set(given) - set(known):
            parser.error(f"Expected some of {', '.join(known)}, but {', '.join(sorted(unknown))}.")
    try:
        options.sizes = tuple(int(size) for size in filter(None, options.sizes.split(",")))
    except ValueError:
        parser.error(f"Expected numbers, but --sizes was {options.sizes}.")
    return options


def main() -> None:
    options = options_of()
    rows = Rows(options.output)
    if "process" in options.only:
        measure_core(rows, options.sizes or CORE_SIZES)
    if "render" in options.only:
        measure_render(rows)
    if "P11" in options.only:
        quick = SCHEDULER_SIZES[:1] if options.quick else SCHEDULER_SIZES
        measure_scheduler(rows, options.sizes or quick)
    if "index" in options.only:
        measure_index(rows, options.sizes or INDEX_SIZES)
    if set(options.only) - set(WITHOUT_LOG):
        for log in options.log:
            with opened(log, options.quick) as (kafka, bare_of):
                measure(rows, log, kafka, bare_of, options)
    if options.plot is not None:
        draw(rows, options.plot)
    console.print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
