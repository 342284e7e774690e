"""Executions that the executor leaves alone, because an operator says so.

A way out when an execution, or those of a flow, harm the others: they stay in the state that they
have, and what is said to them is dropped, save a kill and a deletion.
"""

from __future__ import annotations

import msgspec

from tiercel_schemas.ids import FlowKey


class Skips(msgspec.Struct, frozen=True):
    """What is left alone: ids of executions, `namespace.flowId` of flows, namespaces."""

    executions: frozenset[str] = frozenset()
    flows: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()

    def cover(self, execution_id: str, flow: FlowKey) -> bool:
        """Whether this execution is left alone."""
        return (
            execution_id in self.executions
            or f"{flow.namespace}.{flow.flow_id}" in self.flows
            or flow.namespace in self.namespaces
        )


NO_SKIPS = Skips()


def skips_of(executions: str | None, flows: str | None, namespaces: str | None) -> Skips:
    """From the texts of settings: names separated by commas."""
    return Skips(_names(executions), _names(flows), _names(namespaces))


def _names(text: str | None) -> frozenset[str]:
    return frozenset(name.strip() for name in (text or "").split(",") if name.strip())
