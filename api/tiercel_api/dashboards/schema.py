"""The JSON schema of dashboards, by which an editor completes and checks them as they are written.

Made from the models and the tables of fields, so it says what `reading` takes. What holds between
properties is for `rules` alone.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tiercel_api.dashboards.conditions import OPERATORS, written_name
from tiercel_api.dashboards.parts import (
    CHART_PREFIX,
    DATA_PREFIX,
    ENDS,
    ROWS,
    TABLES,
    TEXT,
    VALUE,
    Chart,
    ColumnPart,
    ConditionPart,
    Dashboard,
    OrderPart,
    TimeWindow,
)
from tiercel_engine.flow.base import Part
from tiercel_engine.plugin.schema import DRAFT
from tiercel_engine.repository.aggregates import FIELDS

Schema = dict[str, Any]


@cache
def schema() -> Schema:
    """The schema of a whole dashboard. Not to be changed."""
    charts = [
        *(_data_chart(name, kinds) for kinds in (ROWS, VALUE) for name in TABLES),
        _text_chart(),
    ]
    dashboard = _of(Dashboard)
    dashboard["properties"]["charts"] = {"type": "array", "items": {"anyOf": charts}}
    dashboard["properties"]["timeWindow"] = _of(TimeWindow)
    return {"$schema": DRAFT, **dashboard}


def _of(part: type[Part]) -> Schema:
    """A part's own properties; those that are parts themselves are set by who asks."""
    made = part.model_json_schema(by_alias=True)
    made.pop("$defs", None)
    made.pop("title", None)
    return made


def _chart(kinds: tuple[str, ...], **properties: Schema) -> Schema:
    chart = _of(Chart)
    own = {name: chart["properties"][name] for name in ("id", "chartOptions")}
    kind = {"type": "string", "enum": [CHART_PREFIX + name for name in kinds]}
    return {
        "type": "object",
        "properties": {"type": kind, **own, **properties},
        "required": ["id", "type", *(["data"] if "data" in properties else [])],
        "additionalProperties": False,
    }


def _data_chart(name: str, kinds: tuple[str, ...]) -> Schema:
    table = TABLES[name]
    fields = {"type": "string", "enum": [written_name(field) for field in FIELDS[table]]}
    column, condition = _of(ColumnPart), _of(ConditionPart)
    column["properties"]["field"] = fields
    condition["properties"]["field"] = fields
    condition["properties"]["type"] = {"type": "string", "enum": [*OPERATORS, "OR"]}
    conditions = {"type": "array", "items": condition}
    data: Schema = {
        "type": {"type": "string", "enum": [f"{DATA_PREFIX}{name}{end}" for end in ENDS]},
        "where": conditions,
    }
    if kinds == VALUE:
        data |= {"columns": column, "numerator": conditions}
    else:
        data |= {
            "columns": {"type": "object", "additionalProperties": column, "minProperties": 1},
            "orderBy": {"type": "array", "items": _of(OrderPart)},
        }
    inside = {
        "type": "object",
        "properties": data,
        "required": ["type", "columns"],
        "additionalProperties": False,
    }
    return _chart(kinds, data=inside)


def _text_chart() -> Schema:
    own = _of(Chart)["properties"]
    return _chart((TEXT,), content=own["content"], source=own["source"])
