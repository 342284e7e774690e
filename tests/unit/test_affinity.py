"""A process that keeps to one core gives its children all of them."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, subprocess, sys
from tiercel_engine.affinity import all_cores, keep_to_one_core
given = os.sched_getaffinity(0)
keep_to_one_core()
keep_to_one_core()
assert len(os.sched_getaffinity(0)) == 1
ask = [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"]
assert int(subprocess.check_output(ask)) == 1
with all_cores():
    assert int(subprocess.check_output(ask)) == len(given)
assert len(os.sched_getaffinity(0)) == 1
print("held")
"""


def test_children_started_on_all_cores_get_all_cores() -> None:
    paths = [path for path in sys.path if path]
    environment = {"PYTHONPATH": ":".join(paths)}

    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.stdout == "held\n", result.stderr
