"""What a fan-out goes through: the question that each kind of it answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from tiercel_engine.execution.fan_out_state import FanOut
from tiercel_schemas.commands import ChildEnded, CreateExecution


class Source(Protocol):
    """What a fan-out goes through.

    Attributes:
        limit: how many executions run at once; 0 for all.
        waits: whether it waits for their ends.
        transmits: whether a bad end makes its own end bad.
        collects: whether their outputs are wanted.
        stores: whether a worker stores them, set by set.
        keeps: whether the order of the ends is wanted.
        restarts: whether a restart runs those that failed again in their place.
        stops: whether after a bad end nothing more starts.
        found_file: whether `open` has found that outputs are to be stored, too.
        values: what `open` has found; what the state knows already need not be in it.
    """

    limit: int
    waits: bool = True
    transmits: bool
    collects: bool = True
    stores: bool
    keeps: bool = False
    restarts: bool = True
    stops: bool = False
    values: tuple[str, ...] = ()
    found_file: bool = False

    def open(self) -> tuple[int, dict[str, Any]]:
        """How many there are, and its outputs without counters. Raises TaskError."""

    def commands(self, indices: list[int]) -> Iterator[CreateExecution | str]:
        """What starts each of them, or why it cannot start."""

    def is_enough(self, ended: ChildEnded) -> bool:
        """Whether nothing more is to start after this end."""
        return False

    def outputs(self, written: dict[str, Any], fan: FanOut) -> dict[str, Any]:
        """Its outputs with the counters as they stand. Raises TaskError."""
