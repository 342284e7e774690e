"""Slots of flows that limit their executions, as the API answers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from tiercel_engine.repository.base import JsonObject
from tiercel_engine.repository.query import Searched
from tiercel_engine.repository.tables import executions, flow_limits, flow_slots

LIMITS = Searched(
    {"namespace": flow_limits.c.namespace, "flowId": flow_limits.c.flow_id},
    (flow_limits.c.namespace, flow_limits.c.flow_id),
)
_l, _s = flow_limits.c, flow_slots.c
_IS_OF = sa.and_(_s.tenant == _l.tenant, _s.namespace == _l.namespace, _s.flow_id == _l.flow_id)


def limits(tenant: str) -> sa.Select[Any]:
    """Flows of a tenant that have a limit, or whose executions have slots still, by name."""
    held = sa.func.coalesce(sa.func.sum(_s.is_held), 0)
    return (
        sa.select(
            _l.tenant.label("tenantId"),
            _l.namespace.label("namespace"),
            _l.flow_id.label("flowId"),
            held.label("running"),
            (sa.func.count(_s.execution_id) - held).label("queued"),
            _l.executions_max.label("limit"),
            _l.behavior.label("behavior"),
        )
        .select_from(flow_limits.outerjoin(flow_slots, _IS_OF))
        .where(_l.tenant == tenant)
        .group_by(*flow_limits.columns)
        .having(sa.or_(_l.executions_max.is_not(None), sa.func.count(_s.execution_id) > 0))
        .order_by(_l.namespace, _l.flow_id)
    )


def holders(tenant: str, namespace: str, flow_id: str) -> sa.Select[Any]:
    """(execution, its state or none) of the executions with a slot of a flow."""
    return (
        sa.select(_s.execution_id, executions.c.state)
        .select_from(flow_slots.outerjoin(executions, executions.c.id == _s.execution_id))
        .where(
            _s.tenant == tenant,
            _s.namespace == namespace,
            _s.flow_id == flow_id,
            _s.is_held == 1,
        )
    )


def document(row: Mapping[Any, Any]) -> JsonObject:
    """A row of `limits` as it is answered, parts without a value left out."""
    return {str(name): value for name, value in row.items() if value is not None}
