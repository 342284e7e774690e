"""The child: runs one jq program and ends. `python -I -m tiercel_engine.sandbox.jq_child`.

Reads `{program, input, seconds, memory_bytes, results_max, output_bytes_max}` as JSON from standard
input and writes `{results}` or `{error}` to standard output. It imports jq and msgspec only, so
that it starts fast, and bounds itself, should the parent die.
"""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from typing import Any

import jq
import msgspec


def main() -> None:
    """Run the program that standard input brings."""
    asked: dict[str, Any] = msgspec.json.decode(sys.stdin.buffer.read())
    _limit(resource.RLIMIT_CPU, asked["seconds"])
    _limit(resource.RLIMIT_AS, asked["memory_bytes"])
    _limit(resource.RLIMIT_CORE, 0)
    sys.stdout.buffer.write(_answer(asked))


def _limit(kind: int, most: int) -> None:
    # Not every system knows every limit; the parent's deadline holds in any case.
    with suppress(ValueError, OSError):
        resource.setrlimit(kind, (most, most))


def _answer(asked: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode({"results": _results(asked)})
    except (ValueError, StopIteration) as error:
        return msgspec.json.encode({"error": str(error)})
    except MemoryError:
        return msgspec.json.encode({"error": "it needs too much memory"})


def _results(asked: dict[str, Any]) -> list[msgspec.Raw]:
    """The results as JSON each. Raises ValueError: jq's own, or there is too much of them."""
    results: list[msgspec.Raw] = []
    left_bytes = asked["output_bytes_max"]
    for result in jq.compile(asked["program"]).input_text(asked["input"]):
        encoded = msgspec.json.encode(result)
        left_bytes -= len(encoded)
        if len(results) >= asked["results_max"] or left_bytes < 0:
            raise ValueError(
                f"Expected at most {asked['results_max']} results in "
                f"{asked['output_bytes_max']} bytes, but the jq program gives more"
            )
        results.append(msgspec.Raw(encoded))
    return results


if __name__ == "__main__":
    main()
