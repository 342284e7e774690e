"""What deciding costs, without a log: `process` on an execution of many task runs.

A ForEach over so many values, each with one task that a worker starts and ends at once. The cost
per task run must not depend on how many there are; nor must the memory that a task run takes. Each
size is measured in a process of its own, whose memory is the state and nothing that came before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.engine_harness import EXECUTION, StillWorld, registry

from tiercel_engine.clock import FakeClock
from tiercel_engine.collector import collect_rarely
from tiercel_engine.execution.model import Execution
from tiercel_engine.execution.process import process
from tiercel_engine.flow.parse import load_flow
from tiercel_schemas import commands as c
from tiercel_schemas.common import Payload

FLOW = """id: each
namespace: bench
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: "{{{{ range(1, {values}) }}}}"
    concurrencyLimit: 0
    tasks:
      - id: one
        type: test.Work
        message: "{{{{ taskrun.value }}}}"
"""


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(values: int) -> dict[str, float]:
    """CPU microseconds and resident bytes per task run, with so many of them."""
    world = StillWorld(FakeClock(), [load_flow(FLOW.format(values=values), registry())])
    execution = Execution(EXECUTION)
    create = c.CreateExecution("create", EXECUTION, "bench", "each", Payload(), Payload(), 1)
    waiting: deque[object] = deque([create])
    collect_rarely()
    before_bytes, begin_s, peak_bytes = resident_bytes(), time.process_time(), 0
    while waiting:
        step = process(execution, waiting.popleft(), world)
        execution = step.execution
        waiting.extendleft(reversed(step.follow_ups))
        for job in step.jobs:
            end = c.EndAttempt(
                EXECUTION,
                job.task_run_id,
                job.attempt,
                job.epoch,
                "worker",
                "SUCCESS",
                1,
                1,
                outputs=Payload(json='{"value": "a value"}'),
            )
            waiting.append(end)
        if step.follow_ups or execution.is_ended:
            peak_bytes = max(peak_bytes, resident_bytes())
    took_s = time.process_time() - begin_s
    assert execution.state == "SUCCESS", execution.state
    assert len(execution.task_runs) == values + 1
    return {
        "cpu_us": took_s / values * 1e6,
        "bytes": (peak_bytes - before_bytes) / values,
    }


def measured_alone(values: int) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, str(values)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(result.stdout)
    return found


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
