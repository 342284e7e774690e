"""How each flowable task goes on: one resolver per kind, in one table."""

from __future__ import annotations

from collections.abc import Mapping

from tiercel_engine.execution.flowable.base import Resolver
from tiercel_engine.execution.flowable.sequential import Sequential

#: Today's type name -> who resolves it.
RESOLVERS: Mapping[str, Resolver] = {
    "io.kestra.plugin.core.flow.Sequential": Sequential(),
}
