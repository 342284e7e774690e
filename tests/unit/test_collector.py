"""What a server process keeps of what it no longer uses, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Threads fill and free buffers of a few megabytes; prints by how many megabytes memory has grown.
PROGRAM = """
import ctypes, sys, threading
from tiercel_engine.collector import collect_rarely, return_buffers
if not hasattr(ctypes.CDLL(None), "mallopt"):
    sys.exit(3)
collect_rarely()
return_buffers()
def resident_mb():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4_096 / (1 << 20)
before = resident_mb()
def work():
    for size in (1, 2, 4, 6):
        kept = [b"x" * (size << 20) for _ in range(2)]
        del kept
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(resident_mb() - before)
"""


def test_large_buffers_go_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip("The C library here is not glibc: it has no mallopt.")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 4


def test_what_few_use_is_imported_when_it_is_needed() -> None:
    program = (
        "import sys, tiercel_cli.main, tiercel_cli.server, tiercel_worker.tasks\n"
        "print(sorted({'holidays', 'cryptography.hazmat.primitives', 'sqlalchemy',"
        " 'tiercel_api.app', 'tiercel_engine.executor.service'}"
        " & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
