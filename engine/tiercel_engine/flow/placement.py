"""Which workers run a task: those of a group, by `workerGroup` or `workerSelector`.

A worker serves one group. `workerGroup.key` names it; the tags of a `workerSelector` do, in order
and joined by underscores, so that one tag is the group of that name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.task import Task

#: What becomes of a task when no worker of its group is known.
WAIT, FAIL, IGNORE, CANCEL = "WAIT", "FAIL", "IGNORE", "CANCEL"

_GROUP = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}")


class Placement(NamedTuple):
    """`group`: "" for the workers of no group. `fallback`: WAIT, FAIL, IGNORE or CANCEL."""

    group: str = ""
    fallback: str = WAIT


def placement(flow: Flow, task: Task, render: Callable[[str], str]) -> Placement:
    """Where the task's attempts run: what it says itself, else what its flow says.

    Args:
        render: of the key, or of a tag, which may be templates.

    Raises:
        ValueError: that is no name of a group. What `render` raises.
    """
    asking = task if task.worker_group or task.worker_selector else flow
    key = asking.worker_group
    if key and key.get("key"):
        return _checked(render(str(key["key"])), str(key.get("fallback", WAIT)))
    selector = asking.worker_selector
    if not selector:
        return Placement()
    tags = selector.get("tags")
    if not isinstance(tags, list) or not tags:
        return Placement()
    return _checked(
        "_".join(sorted(render(str(tag)) for tag in tags)), str(selector.get("fallback", FAIL))
    )


def _checked(group: str, fallback: str) -> Placement:
    if _GROUP.fullmatch(group) is None:
        raise ValueError(
            "Expected a worker group of letters, digits, dots, dashes and underscores, but it was"
            f" {group[:100]!r}."
        )
    return Placement(group, fallback.upper())
