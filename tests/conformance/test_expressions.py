"""The peer's own rows, when a directory of them is given: `TIERCEL_CONFORMANCE=<dir> pytest ...`.

Without that there is nothing here to collect.
"""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.expression.support import value_of

from tiercel_engine.errors import InvalidExpression
from tiercel_engine.expression.context import Dialect, RenderContext
from tiercel_engine.expression.render import Renderer

_DIRECTORY = os.environ.get("TIERCEL_CONFORMANCE", "")

if _DIRECTORY:
    _LINES = (Path(_DIRECTORY) / "expressions.jsonl").read_text("utf-8").splitlines()
    _ROWS: list[dict[str, Any]] = [json.loads(line) for line in _LINES if line.strip()]

    @pytest.mark.parametrize("row", _ROWS, ids=range(len(_ROWS)))
    def test_a_row_of_the_peer_holds(row: dict[str, Any]) -> None:
        renderer = Renderer(
            RenderContext(
                now=lambda: datetime(2024, 5, 6, tzinfo=UTC),
                rng=random.Random(1),
                dialect=Dialect(kv_error_on_missing=False, text_comparison=False),
            )
        )
        variables = value_of(row["vars"])

        if row.get("error"):
            with pytest.raises(InvalidExpression, match=row.get("error_contains")):
                renderer.text(row["template"], variables)
            return
        rendered = renderer.text(row["template"], variables)
        if "expected_json" in row:
            assert json.loads(rendered) == row["expected_json"]
        else:
            assert rendered == row["expected"]
