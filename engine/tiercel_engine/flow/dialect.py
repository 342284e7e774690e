"""Dialects: where the same text of a flow means something else in another version of Kestra.

One table holds every such difference (`Dialect`, filled by `dialect_of`); nothing else asks for a
version. A flow gets its dialect when it is saved, and keeps it with the revision for ever. The
order of evidence: what its author says (a label `dialect`, or a comment in its first line), then
constructs that only one generation has, then the dialect of the revision before, then the
server's setting `dialect`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

DEFAULT = "1.3"
#: The names that somebody may give: the peer's versions from 0.13 to 2.x.
NAME_PATTERN = r"^(0\.(1[3-9]|2\d)|1\.\d{1,2}|2\.\d{1,2})$"
_NAME = re.compile(NAME_PATTERN)
_COMMENT = re.compile(r"^#[ \t]*dialect:[ \t]*[\"']?([\d.]+)[\"']?[ \t]*$")
#: The dialect of constructs that only the second generation has.
_NEW = "2.0"

OnChildFailure = Literal["CONTINUE", "FAIL"]


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """How often, how long, how fast a LoopUntil goes round. None: without limit."""

    iterations_max: int | None
    duration_s: float | None
    interval_s: float


_OLD_PYTHON = "ghcr.io/kestra-io/kestrapy:latest"
_NEW_PYTHON = "python:3.13-slim"
_OLD_LOOP = LoopLimits(100, 3_600.0, 1.0)
_NEW_LOOP = LoopLimits(None, None, 60.0)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs, as it is where the author has written nothing about it.

    Attributes:
        name: a version of the peer, such as "1.3".
        on_child_failure: what running siblings in a Parallel or Dag do when one has failed.
        stderr_warns: whether a line on a script's stderr makes its task run WARNING.
        renders_input_defaults: whether templates in the `defaults` of inputs are rendered.
        refuses_optional_defaults: whether an input with `defaults` and `required: false` is
            refused.
        refuses_reserved_ids: whether ids that name routes of the API are refused as flow ids.
        numbers_values: whether `taskrun.iteration` tells which value of a ForEach it is.
        foreach_item_base: `taskrun.iteration` of the first batch of a ForEachItem.
        loop_limit: values that a Loop goes through at a time; 0 for all.
        flow_trigger_pauses: whether a Flow trigger without states fires on PAUSED, too.
        scopes_trigger_outputs: whether in `trigger.outputs` the map per flow wins over the merged
            keys where both have a name.
        fails_trigger_inputs: whether bad inputs of a Flow trigger make a FAILED execution, not a
            warning alone.
        restarts_failed_child: whether a restarted Subflow restarts its failed child, and does not
            start another.
        env_prefix: prefix of the environment variables in `envs`.
        deletes_folders: whether local.Delete goes into folders.
        files_max: files that a task lists; None for any number.
        pull_policy: when a container's image is pulled.
        python_image: the image of Python scripts.
        kv_error_on_missing: whether `kv()` of a missing key is an error.
        micro_timestamps: whether `timestampMicro` gives microseconds.
    """

    name: str
    on_child_failure: OnChildFailure
    stderr_warns: bool
    renders_input_defaults: bool
    refuses_optional_defaults: bool
    refuses_reserved_ids: bool
    numbers_values: bool
    foreach_item_base: int
    loop_limit: int
    flow_trigger_pauses: bool
    scopes_trigger_outputs: bool
    fails_trigger_inputs: bool
    restarts_failed_child: bool
    env_prefix: str
    deletes_folders: bool
    files_max: int | None
    pull_policy: str
    python_image: str
    kv_error_on_missing: bool
    micro_timestamps: bool
    _loop_limits: LoopLimits

    def loop_limits(self, type_name: str) -> LoopLimits:
        """Limits of a loop without `checkFrequency`; the older type name keeps its own."""
        return _OLD_LOOP if type_name.endswith(".WaitFor") else self._loop_limits


@lru_cache(maxsize=64)
def dialect_of(name: str) -> Dialect:
    """The table: what each version means.

    Raises:
        ValueError: the name is no version of the peer (see `NAME_PATTERN`).
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"Expected a dialect such as 0.21, 1.3 or 2.0, but it was {name!r}.")
    major, minor = name.split(".")
    version = (int(major), int(minor))
    return Dialect(
        name=name,
        on_child_failure="FAIL" if version >= (2, 0) else "CONTINUE",
        stderr_warns=version < (0, 23),
        renders_input_defaults=version >= (1, 0),
        refuses_optional_defaults=version >= (1, 1),
        refuses_reserved_ids=version >= (2, 0),
        numbers_values=version >= (0, 22),
        foreach_item_base=0 if version >= (1, 1) else 1,
        loop_limit=0,
        flow_trigger_pauses=version >= (0, 23),
        scopes_trigger_outputs=version >= (2, 0),
        fails_trigger_inputs=version >= (2, 0),
        restarts_failed_child=version >= (0, 21),
        env_prefix="ENV_" if version >= (0, 23) else "KESTRA_",
        deletes_folders=version < (2, 0),
        files_max=25 if version >= (1, 3) else None,
        pull_policy="IF_NOT_PRESENT" if version >= (0, 23) else "ALWAYS",
        python_image=_NEW_PYTHON if version >= (0, 23) else _OLD_PYTHON,
        kv_error_on_missing=version >= (0, 22),
        micro_timestamps=version >= (2, 0),
        _loop_limits=_NEW_LOOP if version >= (0, 23) else _OLD_LOOP,
    )


def decide(source: str, data: Mapping[str, Any], default: str) -> str:
    """The dialect of a flow that is saved.

    Args:
        source: its text, for a comment in the first line.
        data: what the text says.
        default: the dialect of the revision before, or else the server's.
    """
    said = _said(source, data)
    if said is not None:
        return said
    new, old = evidence(data)
    if bool(new) == bool(old):
        return default
    is_new = dialect_of(default).refuses_reserved_ids
    if new:
        return default if is_new else _NEW
    return DEFAULT if is_new else default


def evidence(data: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Constructs that only the second generation has, and those that only the first has."""
    new = [name for name in ("workerSelector", "policyRefs", "draft") if name in data]
    old = [
        name
        for name in ("pluginDefaults", "taskDefaults", "workerGroup", "listeners")
        if name in data
    ]
    for part in _parts(data):
        kind = part["type"]
        new += [name for name in _NEW_PROPERTIES if name in part]
        old += [name for name in _OLD_PROPERTIES if name in part]
        if kind in _NEW_TYPES:
            new.append(kind)
        elif _OLD_TYPES.match(kind):
            old.append(kind)
        elif kind.endswith(".trigger.Flow") and "dependsOn" in part:
            new.append("dependsOn")
        elif ".trigger." in kind and "when" in part:
            new.append("when")
    return list(dict.fromkeys(new)), list(dict.fromkeys(old))


_NEW_TYPES = frozenset({"io.kestra.plugin.core.flow.Loop", "FORM"})
_OLD_TYPES = re.compile(
    r"io\.kestra\.core\.|BOOLEAN$|ENUM$"
    r"|io\.kestra\.plugin\.core\.(state\.|flow\.(ForEach|EachSequential|EachParallel|Template))"
)
_NEW_PROPERTIES = ("workerSelector", "policyRefs", "onChildFailure")
_OLD_PROPERTIES = ("workerGroup", "conditions", "preconditions", "runner")


def _said(source: str, data: Mapping[str, Any]) -> str | None:
    """What the author says; a label `dialect` that names no version is a label like others."""
    labels = data.get("labels")
    if isinstance(labels, list):
        pairs = [(each.get("key"), each.get("value")) for each in labels if isinstance(each, dict)]
    else:
        pairs = list(labels.items()) if isinstance(labels, dict) else []
    names = [str(value) for key, value in pairs if key == "dialect"]
    comment = _COMMENT.match(source.partition("\n")[0].rstrip("\r"))
    names += [comment[1]] if comment else []
    return next((name for name in names if _NAME.fullmatch(name)), None)


def _parts(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Everything that has an id and a type: tasks, triggers, inputs, at any depth."""
    pending: list[Any] = [data]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if isinstance(value.get("type"), str) and "id" in value:
                yield value
            pending += value.values()
        elif isinstance(value, list):
            pending += value
