"""Order among things that depend on each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def cycle_among(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """The ids of one cycle, in the order of `needs`; empty when there is none.

    Args:
        needs: per id, the ids it depends on; ids that are no key of it are ignored.
    """
    done: set[str] = set()
    for start in needs:
        path: list[str] = []
        if start not in done:
            pending: list[tuple[str, bool]] = [(start, False)]
            while pending:
                name, left = pending.pop()
                if left:
                    done.add(path.pop())
                elif name in path:
                    members = set(path[path.index(name) :])
                    return [key for key in needs if key in members]
                elif name not in done and name in needs:
                    path.append(name)
                    pending.append((name, True))
                    pending.extend((need, False) for need in needs[name])
    return []
