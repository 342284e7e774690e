"""The dialect of a flow as the expression language takes it."""

from __future__ import annotations

from functools import lru_cache

from tiercel_engine.expression.context import Dialect as ExpressionDialect
from tiercel_engine.flow.dialect import Dialect


@lru_cache(maxsize=64)
def expression_dialect(dialect: Dialect) -> ExpressionDialect:
    """The part of a flow's dialect that expressions know."""
    return ExpressionDialect(
        kv_error_on_missing=dialect.kv_error_on_missing,
        micro_timestamps=dialect.micro_timestamps,
    )
