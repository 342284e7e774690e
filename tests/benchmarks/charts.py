"""What charts and statistics cost over many executions, on SQLite and on PostgreSQL.

    PYTHONPATH=. python tests/benchmarks/charts.py [rows] [sqlite|postgres …]

A year of executions of 1,000 flows in 50 namespaces, with one task run and one log line each, is
written straight into the tables; then the questions of a dashboard are asked, each several times.
The first time of each is told apart: it reads what no cache holds yet.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from tests.postgres import running_postgres

from tiercel_engine.repository.aggregates import Aggregation, Column
from tiercel_engine.repository.engines import open_engine
from tiercel_engine.repository.store import open_store
from tiercel_engine.repository.tables import executions, logs, task_runs
from tiercel_engine.repository.terms import Term

DAY_US = 86_400_000_000
START_US = 1_700_000_000_000_000
DAYS = 365
STATES = ("SUCCESS",) * 90 + ("FAILED",) * 8 + ("WARNING", "KILLED")
ROWS_PER_INSERT = 500
REPEATS = 5
NORMAL = Term("kind", "IN", ("NORMAL",))
#: As long as an execution without inputs or outputs.
DOCUMENT = json.dumps({"flowRevision": 1, "filler": "x" * 700})


def rows(count: int) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """An execution, its task run and its line, in the order of time."""
    rng = Random(1)
    for number in range(count):
        namespace = f"company.team{rng.randrange(50):02}"
        flow_id = f"flow{rng.randrange(20):02}"
        start_us = START_US + number * DAYS * DAY_US // count
        changed_us = start_us + rng.randrange(60_000_000)
        state = rng.choice(STATES)
        execution_id = f"{number:022}"
        shared = {"start_us": start_us, "changed_us": changed_us, "state": state}
        yield (
            {
                **shared, "id": execution_id, "tenant": "main", "namespace": namespace,
                "flow_id": flow_id, "kind": "NORMAL", "end_us": changed_us, "document": DOCUMENT,
            },
            {
                **shared, "execution_id": execution_id, "position": 1, "id": f"r{number:021}",
                "document": DOCUMENT,
            },
            {
                "partition": 0, "offset": number, "namespace": namespace, "flow_id": flow_id,
                "execution_id": execution_id, "task_run_id": f"r{number:021}", "task_id": "say",
                "attempt": 0, "at_us": changed_us, "level": rng.choice((2, 2, 2, 3, 4)),
                "thread": "worker", "message": "something was done",
            },
        )  # fmt: skip


def fill(url: str, count: int) -> None:
    """Write the rows."""
    open_store(url).close()
    engine = open_engine(url).execution_options(writes=True)
    tables = (executions, task_runs, logs)
    with engine.connect() as connection, connection.begin():
        batch: list[tuple[Any, ...]] = []
        for one in rows(count):
            batch.append(one)
            if len(batch) == ROWS_PER_INSERT:
                for table, some in zip(tables, zip(*batch, strict=True), strict=True):
                    connection.execute(table.insert(), list(some))
                batch.clear()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()


def questions() -> dict[str, Aggregation]:
    """What the charts of the dashboard that comes with the server ask, and others."""
    end_us = START_US + DAYS * DAY_US
    count = Column("n", None, "COUNT")
    took = Column("sum", "duration", "SUM")
    by_day = (Column("at", "startDate"), Column("state", "state"), count, took)
    by_level = (Column("at", "date"), Column("level", "level"), count)
    by_namespace = (Column("ns", "namespace"), Column("state", "state"), count)
    table = (Column("id", "id"), Column("at", "startDate"), Column("state", "state"))

    def over(days: int, name: str, columns: Any, **more: Any) -> Aggregation:
        step = {"step_us": DAY_US} | more
        where = step.pop("where", [NORMAL] if name == "executions" else [])
        start_us = end_us - days * DAY_US
        return Aggregation(name, columns, where, start_us=start_us, end_us=end_us, **step)

    team = Term("namespace", "PREFIX", ("company.team07",))
    failed = Term("state", "IN", ("FAILED",))
    return {
        "executions by day and state, 30 days": over(30, "executions", by_day),
        "executions by day and state, 365 days": over(365, "executions", by_day),
        "… of one namespace, 365 days": over(365, "executions", by_day, where=[team, NORMAL]),
        "executions by namespace and state, 30 days": over(30, "executions", by_namespace),
        "failed executions, newest 10, 30 days": over(
            30, "executions", table, where=[failed, NORMAL], order=[("at", False)], size=10
        ),
        "share of failed, 30 days": over(30, "executions", (count,), where=[failed, NORMAL]),
        "lines by day and level, 30 days": over(30, "logs", by_level),
        "task runs by day and state, 30 days": over(30, "taskRuns", by_day),
        "task runs, newest 10": Aggregation("taskRuns", table, order=[("at", False)], size=10),
    }


def timed_ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1_000


def measure(name: str, url: str, count: int) -> None:
    """Fill one database and print a row per question."""
    started = time.perf_counter()
    fill(url, count)
    print(f"\n{name}, {count:,} executions, written in {time.perf_counter() - started:.0f} s\n")
    print("| question | first, ms | then, ms | rows |\n| --- | --- | --- | --- |")
    store = open_store(url)
    for title, asked in questions().items():
        first = timed_ms(lambda asked=asked: store.aggregate(asked))
        times = [timed_ms(lambda asked=asked: store.aggregate(asked)) for _ in range(REPEATS)]
        found = len(store.aggregate(asked).rows)
        print(f"| {title} | {first:.0f} | {statistics.median(times):.0f} | {found} |", flush=True)
    store.close()


def main(arguments: list[str]) -> None:
    count = int(arguments[0]) if arguments else 1_000_000
    databases = arguments[1:] or ["sqlite", "postgres"]
    if "sqlite" in databases:
        with tempfile.TemporaryDirectory() as folder:
            measure("SQLite", f"sqlite:///{Path(folder) / 'index.db'}", count)
    if "postgres" in databases:
        with running_postgres() as postgres, postgres.database() as url:
            measure("PostgreSQL", url, count)


if __name__ == "__main__":
    main(sys.argv[1:])
