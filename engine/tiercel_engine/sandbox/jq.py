"""jq programs in a child process, killed when their time is over.

jq holds the interpreter's lock while it runs, and nothing in its own process can stop it. Templates
reach this through the port `RenderContext.run_jq`; whoever renders beside an event loop or a
deadline brings it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Any

import msgspec

from tiercel_engine.errors import UserError

#: What one program may take: time, its process's memory, and what it may give.
DEADLINE_S = 10.0
MEMORY_BYTES_MAX = 1 << 30
RESULTS_MAX = 100_000
OUTPUT_BYTES_MAX = 10_000_000
#: How often a running program is looked after, in seconds.
CHECK_S = 0.2
_COMMAND = (sys.executable, "-I", "-m", "tiercel_engine.sandbox.jq_child")


def _never() -> bool:
    return False


class JqSandbox:
    """Runs jq programs, one child process each. Thread-safe.

    Args:
        expired: whether nobody waits for the result any more; asked while a program runs.
        deadline_s: seconds that one program may take, its start included.
        memory_bytes: address space of the child.
    """

    def __init__(
        self,
        expired: Callable[[], bool] = _never,
        deadline_s: float = DEADLINE_S,
        memory_bytes: int = MEMORY_BYTES_MAX,
    ) -> None:
        self._expired = expired
        self._deadline_s = deadline_s
        self._memory_bytes = memory_bytes

    def __call__(self, program: str, source: str) -> list[Any]:
        """The results of a program over the JSON text `source`.

        Raises:
            UserError: the program fails, or takes too much time or memory, or gives too much.
        """
        asked = {
            "program": program,
            "input": source,
            "seconds": int(self._deadline_s) + 1,
            "memory_bytes": self._memory_bytes,
            "results_max": RESULTS_MAX,
            "output_bytes_max": OUTPUT_BYTES_MAX,
        }
        with TemporaryFile() as file:
            # A file and not a pipe: a child that does not read it cannot hold us up.
            file.write(msgspec.json.encode(asked))
            file.seek(0)
            # A program may ask for the environment, which holds credentials: the child gets none.
            child = subprocess.Popen(
                _COMMAND,
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )
            with child:
                try:
                    output = self._wait(child)
                finally:
                    child.kill()
        return _results(child.returncode, output)

    def _wait(self, child: subprocess.Popen[bytes]) -> bytes:
        deadline_s = time.monotonic() + self._deadline_s
        while True:
            with suppress(subprocess.TimeoutExpired):
                return child.communicate(timeout=CHECK_S)[0]
            if time.monotonic() > deadline_s:
                raise UserError(
                    f"Expected the jq program to end within {self._deadline_s} s, but it did not"
                )
            if self._expired():
                raise UserError("The time to render this expression is over")


def _results(returncode: int, output: bytes) -> list[Any]:
    if returncode != 0:
        raise UserError(
            "Expected the jq program to end, but its process died; it may need too much memory"
        )
    answer: dict[str, Any] = msgspec.json.decode(output)
    if "error" in answer:
        raise UserError(answer["error"])
    results: list[Any] = answer["results"]
    return results
