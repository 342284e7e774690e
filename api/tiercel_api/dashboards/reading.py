"""YAML text -> a dashboard or a chart, or everything that is wrong with it, by path and line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from tiercel_api.dashboards import rules
from tiercel_api.dashboards.parts import Chart, Dashboard
from tiercel_engine.errors import InvalidFlow, Violation
from tiercel_engine.flow.base import Part
from tiercel_engine.flow.report import dotted, invalid_flow
from tiercel_engine.flow.source import Document, Location, failure_at, read

P = TypeVar("P", bound=Part)


@dataclass(slots=True)
class _Context:
    """Which model read each mapping, for the words of errors."""

    classes: dict[int, type[Part]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """A dashboard and the JSON object that its text says."""

    dashboard: Dashboard
    properties: dict[str, Any]


def load_dashboard(source: str) -> Written:
    """Read a dashboard.

    Raises:
        InvalidFlow: it is none; with one violation per thing that is wrong.
    """
    document = _read(source, "dashboard")
    dashboard = _validated(Dashboard, document, "dashboard")
    _refuse(rules.of_dashboard(dashboard), document)
    return Written(dashboard, document.data)


def load_chart(source: str) -> Chart:
    """Read one chart. Raises InvalidFlow, as `load_dashboard`."""
    document = _read(source, "chart")
    chart = _validated(Chart, document, "chart")
    _refuse(rules.of_chart(chart, ()), document)
    return chart


def _read(source: str, what: str) -> Document:
    document = read(source)
    if not isinstance(document.data, dict):
        raise failure_at(f"Expected a {what}, but it was no map of properties", 1, 1)
    return document


def _validated(model: type[P], document: Document, what: str) -> P:
    context = _Context()
    try:
        return model.model_validate(document.data, context=context, by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid_flow(error, document, context.classes, what) from None


def _refuse(problems: list[tuple[Location, str]], document: Document) -> None:
    if problems:
        violations = tuple(
            Violation(dotted(location), message, *document.position(location))
            for location, message in problems
        )
        text = "".join(f"{one.path}: {one.message}\n" for one in violations)
        raise InvalidFlow(text, violations)
