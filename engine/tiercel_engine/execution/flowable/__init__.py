"""How each flowable task goes on: one resolver per kind, in one table."""

from __future__ import annotations

from collections.abc import Mapping

from tiercel_engine.execution.flowable.base import Resolver
from tiercel_engine.execution.flowable.choice import If, Switch
from tiercel_engine.execution.flowable.foreach import EachParallel, EachSequential, ForEach
from tiercel_engine.execution.flowable.loop import LoopUntil
from tiercel_engine.execution.flowable.parallel import Dag, Parallel
from tiercel_engine.execution.flowable.pause import Pause
from tiercel_engine.execution.flowable.sequential import AllowFailure, Sequential
from tiercel_engine.execution.flowable.template import Template
from tiercel_engine.execution.flowable.working_directory import WorkingDirectory
from tiercel_engine.plugin import flowables
from tiercel_engine.plugin.child_flows import ForEachItem

#: Today's type name -> who resolves it.
RESOLVERS: Mapping[str, Resolver] = {
    flowables.AllowFailure.TYPE: AllowFailure(),
    flowables.Dag.TYPE: Dag(),
    flowables.EachParallel.TYPE: EachParallel(),
    ForEachItem.TYPE: Sequential(),
    flowables.EachSequential.TYPE: EachSequential(),
    flowables.ForEach.TYPE: ForEach(),
    flowables.If.TYPE: If(),
    flowables.LoopUntil.TYPE: LoopUntil(),
    flowables.Parallel.TYPE: Parallel(),
    flowables.Pause.TYPE: Pause(),
    flowables.Sequential.TYPE: Sequential(),
    flowables.Switch.TYPE: Switch(),
    flowables.Template.TYPE: Template(),
    flowables.WorkingDirectory.TYPE: WorkingDirectory(),
}
