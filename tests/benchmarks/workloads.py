"""The workloads as flows, and what a client does with them (spec names P1 to P5, P9)."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
from tests.benchmarks import load
from tests.benchmarks.api_load import api
from tests.benchmarks.server import Server

CLIENTS = 8
#: Executions of P3, and the tasks of each.
CHAINS, CHAIN_TASKS = 500, 10
#: Script tasks of P9, and how often they are measured.
SCRIPTS, SCRIPT_ROUNDS = 40, 5

Row = dict[str, Any]
#: metric, value, unit, the bare loop's value.
Add = Callable[[str, float, str, float | None], None]

CHAIN_FLOW = "id: chain\nnamespace: bench\ntasks:\n" + "".join(
    f"  - id: t{n}\n    type: io.kestra.plugin.core.log.Log\n    message: step {n}\n"
    for n in range(CHAIN_TASKS)
)
FIBONACCI = """\
      def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
      print(fibonacci(10))
"""
SCRIPT_FLOW = "id: scripts\nnamespace: bench\ntasks:\n" + "".join(
    f"  - id: t{n}\n    type: io.kestra.plugin.scripts.python.Script\n    script: |\n{FIBONACCI}"
    for n in range(SCRIPTS)
)
ITEM_FLOW = """id: item{count}
namespace: bench
inputs:
  - id: items
    type: FILE
tasks:
  - id: hello
    type: io.kestra.plugin.core.log.Log
    message: one item
"""
ITEMS_FLOW = """id: items{count}
namespace: bench
inputs:
  - id: rows
    type: FILE
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEachItem
    items: "{{{{ inputs.rows }}}}"
    batch:
      rows: 1
    namespace: bench
    flowId: item{count}
    inputs:
      items: "{{{{ taskrun.items }}}}"
    wait: true
"""


def each_flow(values: int) -> str:
    """P4: so many values, all at once, one Return for each."""
    return f"""id: each{values}
namespace: bench
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: "{{{{ range(1, {values}) }}}}"
    concurrencyLimit: 0
    tasks:
      - id: one
        type: io.kestra.plugin.core.debug.Return
        format: "{{{{ taskrun.value }}}}"
"""


class Usage:
    """What the server's processes use between here and `add`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before = server.usage()

    def add(self, add: Add, count: int, of: str, bare: dict[str, float] | None = None) -> None:
        """Rows of CPU per `of` (say execution) and of peak memory, per process."""
        usage = self._server.usage()
        if len(usage) > 1:
            # The bare loop's CPU is that of one process; several share what it does.
            bare = None
        for role, (cpu_s, peak_mib) in usage.items():
            used_s, was_mib = self._before.get(role, (0.0, 0.0))
            metric = f"cpu_per_{of}:{role}"
            add(metric, (cpu_s - used_s) / count * 1_000, "ms", (bare or {}).get(metric))
            add(f"peak_memory:{role}", peak_mib, "MiB", None)
            if of == "task_run":
                grown_kib = (peak_mib - was_mib) * 1_024 / count
                add(f"memory_per_{of}:{role}", grown_kib, "KiB", None)


def p1(server: Server, bare: dict[str, float], add: Add, sizes: Sequence[int]) -> None:
    """One Log task, `POST ?wait=true`, one at a time, 200 times."""
    asyncio.run(load.one_at_a_time(server.url, "log", 50))
    single = load.centiles_ms(asyncio.run(load.one_at_a_time(server.url, "log", 200)))
    for metric, value in single.items():
        add(metric, value, "ms", bare[metric])


def p2(server: Server, bare: dict[str, float], add: Add, sizes: Sequence[int]) -> None:
    """Executions of one Log task by concurrent clients, until all have ended."""
    (count,) = sizes
    usage = Usage(server)
    seconds = run_many(server, "log", count)
    add("executions_per_s", count / seconds, "1/s", bare["executions_per_s"])
    usage.add(add, count, "execution", bare)


def p3(server: Server, bare: dict[str, float], add: Add, sizes: Sequence[int]) -> None:
    """500 executions of ten Log tasks, one after the other in each."""
    server.add_flow(CHAIN_FLOW)
    usage = Usage(server)
    runs = CHAINS * CHAIN_TASKS
    add("task_runs_per_s", runs / run_many(server, "chain", CHAINS), "1/s", None)
    usage.add(add, runs, "task_run")


def p4(server: Server, bare: dict[str, float], add: Add, sizes: Sequence[int]) -> None:
    """ForEach over so many values, concurrencyLimit 0, one Return each."""
    (count,) = sizes
    server.add_flow(each_flow(count))
    usage = Usage(server)
    seconds = run_many(server, f"each{count}", 1)
    add("duration", seconds, "s", None)
    add("time_per_task_run", seconds / count * 1_000, "ms", None)
    usage.add(add, count, "task_run")


def p5(server: Server, bare: dict[str, float], add: Add, sizes: Sequence[int]) -> None:
    """ForEachItem over a file of so many rows, wait, one Log task per child."""
    (count,) = sizes
    server.add_flow(ITEM_FLOW.format(count=count))
    server.add_flow(ITEMS_FLOW.format(count=count))
    usage = Usage(server)
    rows = "".join(f"row {n}\n" for n in range(count)).encode()
    begin = time.perf_counter()
    asyncio.run(_start_with_file(server.url, f"items{count}", "rows", rows))
    asyncio.run(_until_ended(server.url, f"items{count}", 1))
    seconds = time.perf_counter() - begin
    add("duration", seconds, "s", None)
    add("time_per_child", seconds / count * 1_000, "ms", None)
    usage.add(add, count, "task_run")


def p9(server: Server, bare: dict[str, float], add: Add, sizes: Sequence[int]) -> None:
    """40 Python scripts of recursive fibonacci(10), one after the other, `POST ?wait=true`.

    The first execution, which also starts what the scripts are forked from, is told apart.
    """
    server.add_flow(SCRIPT_FLOW)
    (first,) = asyncio.run(load.one_at_a_time(server.url, "scripts", 1))
    add("first", first, "s", None)
    usage = Usage(server)
    took = asyncio.run(load.one_at_a_time(server.url, "scripts", SCRIPT_ROUNDS))
    add("duration", statistics.median(took), "s", None)
    add("slowest", max(took), "s", None)
    usage.add(add, SCRIPTS * SCRIPT_ROUNDS, "task_run")


def run_many(server: Server, flow: str, count: int) -> float:
    """Start so many executions of a flow; seconds until all have ended."""
    before = asyncio.run(load.ended(server.url, flow))
    _, seconds = asyncio.run(load.many(server.url, flow, count, CLIENTS, before))
    return seconds


async def _start_with_file(url: str, flow: str, name: str, content: bytes) -> None:
    form = aiohttp.FormData()
    form.add_field(name, content, filename=name)
    path = f"{url}/api/v1/executions/bench/{flow}"
    async with aiohttp.ClientSession() as session, session.post(path, data=form) as response:
        assert response.status == 200, await response.text()


async def _until_ended(url: str, flow: str, count: int) -> None:
    async with aiohttp.ClientSession() as session:
        await load.until_ended(session, url, flow, count)


#: Name -> how it is run; the sizes that it is run with, each on its own; those of a quick run.
WORKLOADS: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
    "P1": (p1, (200,), (200,)),
    "P2": (p2, (1_000, 10_000), (1_000,)),
    "P3": (p3, (CHAINS,), (CHAINS,)),
    "P4": (p4, (100, 1_000, 10_000, 100_000), (100, 1_000)),
    "P5": (p5, (1_000, 10_000, 100_000), (1_000,)),
    "api": (api, (5_000,), (1_000,)),
    "P9": (p9, (SCRIPTS,), (SCRIPTS,)),
}
