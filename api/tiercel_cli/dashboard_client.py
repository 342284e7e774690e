"""Calls about dashboards, below the default tenant: there their authors name them."""

from __future__ import annotations

import json
import shutil
from typing import BinaryIO

from tiercel_cli.client import Client, JsonObject, path_of

ROOT = "/main/dashboards"


class DashboardClient(Client):
    """Calls one server about dashboards."""

    def dashboards(self, q: str | None, page: int, size: int) -> JsonObject:
        """One page: `results` and `total`."""
        return self._object("GET", ROOT, {"q": q, "page": page, "size": size})

    def dashboard(self, dashboard_id: str) -> JsonObject:
        """The dashboard with its `sourceCode`."""
        return self._object("GET", f"{ROOT}/{path_of(dashboard_id)}")

    def validate_dashboard(self, source: str) -> JsonObject:
        """`constraints` is there when it does not hold."""
        return self._object("POST", f"{ROOT}/validate", yaml=source)

    def create_dashboard(self, source: str) -> JsonObject:
        return self._object("POST", ROOT, yaml=source)

    def update_dashboard(self, dashboard_id: str, source: str) -> JsonObject:
        return self._object("PUT", f"{ROOT}/{path_of(dashboard_id)}", yaml=source)

    def delete_dashboard(self, dashboard_id: str) -> None:
        self._json("DELETE", f"{ROOT}/{path_of(dashboard_id)}")

    def chart(self, dashboard_id: str, chart_id: str, asked: JsonObject) -> JsonObject:
        """Rows of a chart: `results` and `total`."""
        path = f"{ROOT}/{path_of(dashboard_id)}/charts/{path_of(chart_id)}"
        return self._object("POST", path, document=asked)

    def export_chart(
        self, dashboard_id: str, chart_id: str, asked: JsonObject, target: BinaryIO
    ) -> None:
        """Write the rows of a chart as CSV."""
        path = f"/api/v1{ROOT}/{path_of(dashboard_id)}/charts/{path_of(chart_id)}/export"
        headers = {"Content-Type": "application/json"}
        with self._answer("POST", path, json.dumps(asked).encode(), headers) as answer:
            shutil.copyfileobj(answer, target)
