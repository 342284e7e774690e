"""PurgeRevisions: earlier revisions of a flow lose their sources.

What is written stands under the key of the revision, so that a compaction drops the source.
"""

from __future__ import annotations

from msgspec.structs import replace

from tiercel_engine.errors import Rejected
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.world import World
from tiercel_schemas.commands import PurgeRevisions
from tiercel_schemas.ids import FlowKey


def purge_revisions(step: Step, command: PurgeRevisions, world: World) -> None:
    """Purge all that are named, or none; one that is purged already is purged again."""
    key = FlowKey(command.tenant, command.namespace, command.flow_id)
    newest = world.latest_revision(key)
    for number in command.revisions:
        found = world.revision(key, number)
        if found is None:
            raise Rejected(world.missing(key, number), "NOT_FOUND")
        if number == newest:
            raise Rejected(
                f"Expected revisions before the current one, but {number} is the current one.",
                "CONFLICT",
            )
        step.flows.append(replace(found, source="", purged=True, command_id=command.command_id))
