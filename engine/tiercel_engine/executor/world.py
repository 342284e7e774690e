"""The executor's world: what `process` may ask (see `tiercel_engine.execution.world`)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import structlog

from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import Clock
from tiercel_engine.errors import InvalidFlow
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.skips import NO_SKIPS
from tiercel_engine.expression.quick import QuickRenderer
from tiercel_engine.expression.server import ServerVariables
from tiercel_engine.flow.model import Flow
from tiercel_engine.storage.sealing import Sealer
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey, is_dashboard, make_id

log = structlog.get_logger(__name__)

#: Prepared revisions kept in memory.
PLANS_MAX = 2_000


class ExecutorWorld:
    """Time, chance, flows and rendering for one executor."""

    def __init__(
        self,
        catalog: FlowCatalog,
        clock: Clock,
        rng: Random,
        renderer: QuickRenderer,
        server: ServerVariables | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        self.skips = NO_SKIPS
        self.keeps_templates = False
        self.renderer = renderer
        #: Whether a worker of a group lives; whoever hears them sets it.
        self.has_workers: Callable[[str], bool] = lambda group: True
        self.seal: Callable[[str], Any] | None = None
        self.unseal: Callable[[Mapping[str, Any]], str] | None = None
        if sealer is not None:
            self.seal, self.unseal = sealer.seal, sealer.open
        self._server = server or ServerVariables()
        self._catalog = catalog
        self._clock = clock
        self._rng = rng
        self._plans: OrderedDict[tuple[FlowKey, int], Plan] = OrderedDict()
        #: Revisions that the transaction in hand will write, by flow.
        self._uncommitted: dict[FlowKey, dict[int, FlowRevision]] = {}

    def now_us(self) -> int:
        return self._clock.now_us()

    def new_id(self) -> str:
        return make_id(self._clock.now_us(), self._rng.getrandbits(80))

    def random(self) -> float:
        return self._rng.random()

    def plan(self, key: FlowKey, revision: int | None) -> Plan | None:
        """The flow's revision, prepared; reads the flows topic to its end before saying None."""
        found = self._catalog.entry(key, revision)
        if found is None and not self._catalog.is_purged(key, revision):
            self._catalog.catch_up()
            found = self._catalog.entry(key, revision)
        if found is None:
            return None
        cached = self._plans.get((key, found.revision))
        if cached is not None:
            self._plans.move_to_end((key, found.revision))
            return cached
        try:
            flow = self._catalog.flow(key, found.revision)
        except InvalidFlow as error:
            log.error("flow_unreadable", flow=str(key), revision=found.revision, error=str(error))
            return None
        if flow is None:
            return None
        plan = self._plans[key, found.revision] = Plan(flow, self._server)
        if len(self._plans) > PLANS_MAX:
            self._plans.popitem(last=False)
        return plan

    def latest_revision(self, key: FlowKey) -> int:
        newest = self._newest(key)
        return 0 if newest is None else newest.revision

    def revision(self, key: FlowKey, number: int) -> FlowRevision | None:
        pending = self._uncommitted.get(key, {}).get(number)
        return pending or self._catalog.stored(key, number)

    def missing(self, key: FlowKey, revision: int | None) -> str:
        return self._catalog.missing(key, revision)

    def is_deleted(self, key: FlowKey) -> bool:
        newest = self._newest(key)
        return newest is None or newest.deleted

    def problem_with(self, revision: FlowRevision) -> str | None:
        """Why this revision cannot be stored: it must be a flow, and the one it is stored as.

        Types are not checked here: the doors did, and this process may lack a plugin they have.
        Dashboards are not either: nobody but the doors reads them.
        """
        if is_dashboard(revision.tenant):
            return None
        try:
            flow = self._catalog.parse(revision)
        except InvalidFlow as error:
            return str(error)
        if (flow.namespace, flow.id) != (revision.namespace, revision.flow_id):
            return (
                f"Expected the source of {revision.namespace}.{revision.flow_id}, but it is that "
                f"of {flow.namespace}.{flow.id}."
            )
        return None

    def parsed(self, revision: FlowRevision) -> Flow:
        """A revision that `problem_with` has found nothing wrong with, as a flow."""
        return self._catalog.parse(revision)

    def _newest(self, key: FlowKey) -> FlowRevision | None:
        known = (*self._catalog.revisions(key)[-1:], *self._uncommitted.get(key, {}).values())
        return max(known, key=lambda each: each.revision, default=None)

    def stage(self, flow: FlowRevision) -> None:
        """Remember a revision until its transaction commits."""
        key = FlowKey(flow.tenant, flow.namespace, flow.flow_id)
        self._uncommitted.setdefault(key, {})[flow.revision] = flow

    def committed(self) -> None:
        """The transaction is in the log: its flow revisions are now in the catalog."""
        for revisions in self._uncommitted.values():
            for flow in revisions.values():
                self._catalog.add(flow)
        self._uncommitted.clear()

    def dropped(self) -> None:
        """The transaction did not happen, or nobody knows: forget its revisions."""
        self._uncommitted.clear()
