"""Dashboards as they are stored: revisions of the flows topic under keys of their own.

One dashboard comes with the server: `default`. Nobody stores, changes or deletes it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from tiercel_api.dashboards.reading import Written, load_dashboard
from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import iso
from tiercel_engine.errors import InvalidFlow
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.flows import FlowRevision
from tiercel_schemas.ids import FlowKey, dashboard_key

DEFAULT_ID = "default"
#: Ids that paths of the API have other uses for.
RESERVED = frozenset({DEFAULT_ID, "charts", "settings", "validate"})
#: Parsed dashboards at hand.
PARSED_MAX = 500

#: The source is all that a dashboard depends on. What it gives is not to be changed.
parsed = lru_cache(maxsize=PARSED_MAX)(load_dashboard)


@lru_cache(maxsize=1)
def default_source() -> str:
    """The text of the dashboard that comes with the server."""
    return (Path(__file__).parent / "default.yaml").read_text()


def default_entry(tenant: str) -> FlowRevision:
    """The dashboard that comes with the server as if somebody had stored it."""
    key = dashboard_key(tenant, DEFAULT_ID)
    return FlowRevision(key.namespace, key.flow_id, 1, default_source(), 0, tenant=key.tenant)


def document(catalog: FlowCatalog, entry: FlowRevision) -> JsonObject:
    """A dashboard as the API answers it.

    One that does not read any more still shows its source, for somebody to mend it.
    """
    answer: JsonObject = {"id": entry.flow_id, "title": entry.flow_id}
    try:
        answer |= _said(parsed(entry.source))
    except InvalidFlow:
        answer["charts"] = []
    answer |= {"id": entry.flow_id, "deleted": entry.deleted, "sourceCode": entry.source}
    if entry.updated_us:
        answer |= {"created": iso(_created_us(catalog, entry)), "updated": iso(entry.updated_us)}
    return answer


def _said(written: Written) -> JsonObject:
    dashboard = written.dashboard
    answer: JsonObject = {"title": dashboard.title}
    if dashboard.description is not None:
        answer["description"] = dashboard.description
    answer["timeWindow"] = {"default": dashboard.window.default, "max": dashboard.window.max}
    answer["charts"] = written.properties.get("charts") or []
    return answer


def _created_us(catalog: FlowCatalog, entry: FlowRevision) -> int:
    """When the first revision after its last deletion was stored."""
    created_us = entry.updated_us
    key = FlowKey(entry.tenant, entry.namespace, entry.flow_id)
    for revision in reversed(catalog.revisions(key)):
        if revision.revision > entry.revision:
            continue
        if revision.deleted:
            break
        created_us = revision.updated_us
    return created_us
