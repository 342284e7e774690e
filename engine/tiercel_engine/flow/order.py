"""Order among things that depend on each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter


def dependencies_first(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """The ids of `needs` so that each comes after those it depends on.

    Args:
        needs: per id, the ids it depends on; ids that are no key of it are ignored.

    Raises:
        graphlib.CycleError: there is no such order; `args[1]` is a cycle.
    """
    known = {key: [need for need in wanted if need in needs] for key, wanted in needs.items()}
    return list(TopologicalSorter(known).static_order())


def cycle_among(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """The ids of one cycle, in the order of `needs`; empty when there is none."""
    try:
        dependencies_first(needs)
    except CycleError as error:
        return [key for key in needs if key in error.args[1]]
    return []
