"""Which workers run a task: those of a group, by `workerGroup` or `workerSelector`.

A worker serves one group. `workerGroup.key` names it; the tags of a `workerSelector` do, in order
and joined by underscores, so that one tag is the group of that name.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.task import Task

#: What becomes of a task when no worker of its group is known.
WAIT, FAIL, IGNORE = "WAIT", "FAIL", "IGNORE"

_GROUP = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}")


class Placement(NamedTuple):
    """`group`: "" for the workers of no group. `fallback`: WAIT, FAIL or IGNORE."""

    group: str = ""
    fallback: str = WAIT


def placement(flow: Flow, task: Task) -> Placement:
    """Where the task's attempts run: what it says itself, else what its flow says.

    Raises:
        ValueError: that is no name of a group.
    """
    asking = task if task.worker_group or task.worker_selector else flow
    key = asking.worker_group
    if key and key.get("key"):
        return _checked(str(key["key"]), str(key.get("fallback", WAIT)))
    selector = asking.worker_selector
    if not selector:
        return Placement()
    tags = selector.get("tags")
    if not isinstance(tags, list) or not tags:
        return Placement()
    return _checked("_".join(sorted(map(str, tags))), str(selector.get("fallback", FAIL)))


def _checked(group: str, fallback: str) -> Placement:
    if _GROUP.fullmatch(group) is None:
        raise ValueError(
            "Expected a worker group of letters, digits, dots, dashes and underscores, but it was"
            f" {group[:100]!r}."
        )
    # To cancel is to fail: the execution ends, and its errors branch tells why.
    return Placement(group, {"CANCEL": FAIL}.get(fallback.upper(), fallback.upper()))
