"""Imports every module that registers names, so that `table.TABLE` is complete."""

from __future__ import annotations

from tiercel_engine.expression import (
    filters_collections,
    filters_data,
    filters_dates,
    filters_text,
    functions_dates,
    functions_values,
    functions_world,
    tests,
)

#: The modules that registered something.
LOADED = (
    filters_collections,
    filters_data,
    filters_dates,
    filters_text,
    functions_dates,
    functions_values,
    functions_world,
    tests,
)
