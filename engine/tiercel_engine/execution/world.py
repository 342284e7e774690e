"""What `process` may ask of the world: time, chance, flows, rendering. Never I/O.

Whatever it learns here it writes into events, so that replaying them needs no world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.skips import Skips
from tiercel_engine.expression.quick import QuickRenderer
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey


class World(Protocol):
    """The executor implements it; tests use a still clock and a seeded chance."""

    renderer: QuickRenderer
    #: Executions that are left alone.
    skips: Skips
    #: Encrypts a text into what an execution keeps of it; None without a key.
    seal: Callable[[str], Any] | None
    #: Opens what `seal` made; raises UserError when another key did. None without a key.
    unseal: Callable[[Mapping[str, Any]], str] | None
    #: Whether Template tasks find the templates that are stored.
    keeps_templates: bool

    def now_us(self) -> int: ...

    def has_workers(self, group: str) -> bool:
        """Whether a worker of this group lives."""

    def new_id(self) -> str:
        """A new time-ordered id."""

    def random(self) -> float:
        """A number in [0, 1)."""

    def plan(self, key: FlowKey, revision: int | None) -> Plan | None:
        """The flow's revision, prepared for running; None for the revision: the latest."""

    def latest_revision(self, key: FlowKey) -> int:
        """Number of the newest revision, deletions included; 0 when there never was one."""

    def revision(self, key: FlowKey, number: int) -> FlowRevision | None:
        """A revision as it is stored, whether it is a deletion, or purged."""

    def missing(self, key: FlowKey, revision: int | None) -> str:
        """Why there is no plan of a revision, as a sentence; None for it: the latest."""

    def is_deleted(self, key: FlowKey) -> bool:
        """Whether the newest revision deletes the flow, or there is none."""

    def problem_with(self, revision: FlowRevision) -> str | None:
        """Why this revision cannot be stored; None when it can."""
