"""`make bench`: P1 and P2 beside the bare loop, on both logs; writes bench.json.

    python tests/benchmarks/run.py [--logs sqlite,kafka] [--quick]

P1: one Log task, `POST ?wait=true`, one at a time, 200 times.
P2: 1,000 then 10,000 executions of one Log task, 8 concurrent clients, until all have ended.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.console import Console
from rich.table import Table
from tests.benchmarks import bare_loop, load
from tests.benchmarks.server import Server

from tiercel_cli.kafka_broker import LocalBroker
from tiercel_engine.clock import SystemClock
from tiercel_engine.eventlog.embedded import SqliteLog
from tiercel_engine.eventlog.kafka import KafkaLog

CLIENTS = 8
console = Console()


def row(workload: str, log: str, metric: str, value: float, unit: str, bare: float | None) -> Any:
    """One row of bench.json."""
    return {
        "workload": workload,
        "log": log,
        "metric": metric,
        "value": round(value, 3),
        "unit": unit,
        "bare_loop": None if bare is None else round(bare, 3),
    }


def measure(log: str, kafka: str | None, bare: dict[str, float], quick: bool) -> list[Any]:
    """P1 and P2 against a real server."""
    rows = []
    with Server(kafka) as server:
        asyncio.run(load.one_at_a_time(server.url, "log", 50))
        done = 50
        single = load.centiles_ms(asyncio.run(load.one_at_a_time(server.url, "log", 200)))
        done += 200
        for metric, value in single.items():
            rows.append(row("P1", log, metric, value, "ms", bare[metric]))
        for count in (1_000,) if quick else (1_000, 10_000):
            before = server.usage()
            _, seconds = asyncio.run(load.many(server.url, "log", count, CLIENTS, done))
            after = server.usage()
            done += count
            rate = bare["executions_per_s"]
            rows.append(row(f"P2/{count}", log, "executions_per_s", count / seconds, "1/s", rate))
            for role, (cpu_s, peak_mib) in after.items():
                used_ms = (cpu_s - before.get(role, (0.0, 0.0))[0]) / count * 1_000
                rows.append(
                    row(f"P2/{count}", log, f"cpu_per_execution:{role}", used_ms, "ms", None)
                )
                rows.append(row(f"P2/{count}", log, f"peak_memory:{role}", peak_mib, "MiB", None))
    return rows


def measure_sqlite(quick: bool) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        opener = functools.partial(SqliteLog, path, clock=SystemClock())
        bare = bare_loop.measure(opener, "bare.", False, 2_000 if quick else 10_000, CLIENTS)
    return measure("sqlite", None, bare, quick)


def measure_kafka(quick: bool) -> list[Any]:
    with LocalBroker() as broker:
        opener = functools.partial(KafkaLog, broker.bootstrap, clock=SystemClock())
        bare = bare_loop.measure(opener, "bare.", True, 2_000 if quick else 10_000, CLIENTS)
        return measure("kafka", broker.bootstrap, bare, quick)


def show(rows: list[Any]) -> None:
    table = Table("workload", "log", "metric", "value", "unit", "bare loop", "ratio")
    for r in rows:
        bare = r["bare_loop"]
        ratio = "" if bare is None else f"{r['value'] / bare:.2f}"
        value = f"{r['value']:,.2f}"
        table.add_row(
            r["workload"],
            r["log"],
            r["metric"],
            value,
            r["unit"],
            "" if bare is None else f"{bare:,.2f}",
            ratio,
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", default="sqlite,kafka")
    parser.add_argument("--quick", action="store_true", help="fewer executions")
    parser.add_argument("--output", default="bench.json")
    options = parser.parse_args()
    rows: list[Any] = []
    for log in options.logs.split(","):
        console.print(f"measuring on {log} ...")
        rows += (measure_kafka if log == "kafka" else measure_sqlite)(options.quick)
        show(rows)
        Path(options.output).write_text(json.dumps(rows, indent=1) + "\n")
    console.print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
