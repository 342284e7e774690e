"""Every revision of every flow, template and dashboard, in memory: the flows topic as a table.

Sources are kept as text; a flow is parsed when it is first asked for and kept among the
`PARSED_MAX` last used. The reading side (`refresh`, `catch_up`) may be called by any thread and
is the table's; lookups never wait for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import structlog

from tiercel_engine.clock import Clock
from tiercel_engine.eventlog.base import EventLog, Record
from tiercel_engine.eventlog.table import CATCH_UP_TIMEOUT_S, Table
from tiercel_engine.flow.defaults import TypeDefault
from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.parse import TypeLookup, load_flow
from tiercel_schemas.codec import UnreadableRecord, decode_as
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey, is_dashboard
from tiercel_schemas.topics import Topics

PARSED_MAX = 2_000

log = structlog.get_logger(__name__)

Changed = Callable[[FlowRevision], None]


class FlowCatalog:
    """The flows as of the last `refresh`, `catch_up` or `add`."""

    def __init__(
        self,
        event_log: EventLog,
        topics: Topics,
        types: TypeLookup,
        clock: Clock,
        defaults: Sequence[TypeDefault] = (),
    ) -> None:
        """`defaults`: the server's plugin defaults, merged into every parsed flow."""
        self._types = types
        self._clock = clock
        self.defaults = tuple(defaults)
        self._writing = threading.Lock()
        self._table = Table(
            event_log,
            topics.flows.name,
            lambda value: decode_as(FlowRevision, value),
            on_change=lambda _, revision: None if revision is None else self.add(revision),
            on_poison=_log_unreadable,
        )
        # Inner maps are ordered by revision, and replaced, never changed: readers need no lock.
        self._revisions: dict[FlowKey, dict[int, FlowRevision]] = {}
        self._parsed: OrderedDict[tuple[FlowKey, int], tuple[FlowRevision, Flow]] = OrderedDict()
        self._listeners: tuple[Changed, ...] = ()
        #: When the topic's end was last reached, in microseconds; 0 before the first time.
        self.caught_up_us = 0

    def refresh(self) -> None:
        """Take in what has arrived.

        Does not wait, neither for the log nor for another thread that is reading already.
        """
        self._table.refresh()

    def catch_up(self, timeout_s: float = CATCH_UP_TIMEOUT_S) -> None:
        """Take in everything that the topic holds now.

        Raises:
            LogUnavailable: the log did not give it within `timeout_s`.
        """
        self._table.catch_up(timeout_s)
        self.caught_up_us = self._clock.now_us()

    def add(self, revision: FlowRevision) -> None:
        """Take in a revision; one that is known already changes nothing.

        Whoever writes a revision need not wait for the log to bring it back.
        """
        if self._store(revision) and not is_dashboard(revision.tenant):
            for listener in self._listeners:
                listener(revision)

    def entry(
        self, key: FlowKey, revision: int | None = None, *, allow_deleted: bool = False
    ) -> FlowRevision | None:
        """A revision as it was stored; without `revision` the latest.

        One that deletes the flow counts as none unless `allow_deleted`, a purged one always.
        """
        found = self.stored(key, revision)
        if found is None or found.purged or (found.deleted and not allow_deleted):
            return None
        return found

    def stored(self, key: FlowKey, revision: int | None = None) -> FlowRevision | None:
        """What the log has of a revision, the latest without `revision`: purged ones, too."""
        known = self._revisions.get(key)
        if not known:
            return None
        return known.get(next(reversed(known)) if revision is None else revision)

    def is_purged(self, key: FlowKey, revision: int | None) -> bool:
        """Whether there was such a revision, whose source was deleted."""
        found = None if revision is None else self.stored(key, revision)
        return found is not None and found.purged

    def missing(self, key: FlowKey, revision: int | None) -> str:
        """Why `entry` gives none, as a sentence."""
        name = f"flow {key.namespace}.{key.flow_id}"
        if revision is None:
            return f"There is no {name}."
        if self.is_purged(key, revision):
            return f"Revision {revision} of the {name} was purged: choose another one."
        return f"There is no revision {revision} of the {name}."

    def flow(
        self, key: FlowKey, revision: int | None = None, *, allow_deleted: bool = False
    ) -> Flow | None:
        """A revision as a flow, leniently parsed (see `load_flow`).

        Raises:
            InvalidFlow: its source does not hold even so.
        """
        entry = self.entry(key, revision, allow_deleted=allow_deleted)
        if entry is None:
            return None
        place = (key, entry.revision)
        with self._writing:
            cached = self._parsed.get(place)
            if cached is not None and cached[0] == entry:
                self._parsed.move_to_end(place)
                return cached[1]
        flow = self.parse(entry)
        with self._writing:
            self._parsed[place] = (entry, flow)
            self._parsed.move_to_end(place)
            if len(self._parsed) > PARSED_MAX:
                self._parsed.popitem(last=False)
        return flow

    def load(self, source: str, tenant: str, default_dialect: str) -> Flow:
        """A new source as a flow, the server's plugin defaults merged in; it is not stored.

        Raises:
            InvalidFlow: with one violation per thing that is wrong.
        """
        return load_flow(
            source,
            self._types,
            tenant=tenant,
            defaults=self.defaults,
            default_dialect=default_dialect,
        )

    def parse(self, entry: FlowRevision) -> Flow:
        """Parse a revision leniently, whether it is in the catalog or not.

        Raises:
            InvalidFlow: its source does not hold even so.
        """
        return load_flow(
            entry.source,
            self._types,
            revision=entry.revision,
            tenant=entry.tenant,
            defaults=self.defaults,
            lenient=True,
            dialect=entry.dialect,
            deleted=entry.deleted,
        )

    def revisions(self, key: FlowKey) -> list[FlowRevision]:
        """All revisions of a flow but purged ones, oldest first, deleting ones included."""
        return [entry for entry in self._revisions.get(key, {}).values() if not entry.purged]

    def latest_all(self, tenant: str | None = None) -> list[FlowRevision]:
        """The latest revision of every flow that is not deleted, ordered by key.

        Dashboards are among what is stored, too, and answered when `tenant` is theirs.
        """
        latest = [
            known[next(reversed(known))]
            for key, known in sorted(self._revisions.copy().items())
            if key.tenant == tenant or (tenant is None and not is_dashboard(key.tenant))
        ]
        return [entry for entry in latest if not entry.deleted]

    def namespaces(self, tenant: str = "main") -> list[str]:
        """The namespaces that have a flow, in order."""
        return sorted({entry.namespace for entry in self.latest_all(tenant)})

    def on_change(self, listener: Changed) -> None:
        """Call `listener` for every new revision of a flow, in the thread that takes it in.

        It must be quick and raise nothing.
        """
        self._listeners = (*self._listeners, listener)

    def close(self) -> None:
        """Let go of the log."""
        self._table.close()

    def _store(self, revision: FlowRevision) -> bool:
        """Keep it; False when it was known already."""
        key = FlowKey(revision.tenant, revision.namespace, revision.flow_id)
        with self._writing:
            known = self._revisions.get(key, {})
            before = known.get(revision.revision)
            # What is purged stays so: the topic may still bring what was there before.
            if before == revision or (before is not None and before.purged > revision.purged):
                return False
            grown = {**known, revision.revision: revision}
            if known and revision.revision < next(reversed(known)):
                grown = dict(sorted(grown.items()))
            self._revisions[key] = grown
            return True


def _log_unreadable(record: Record, error: UnreadableRecord) -> None:
    log.error(
        "flow_record_unreadable",
        key=record.key,
        partition=record.partition,
        offset=record.offset,
        reason=str(error),
    )
