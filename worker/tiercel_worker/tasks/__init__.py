"""The task types that come with Tiercel, for the entry-point group `tiercel.plugins`."""

from __future__ import annotations

from tiercel_engine.plugin import executions
from tiercel_worker.tasks import http, items, kv, metric, namespace, state, storage, templating
from tiercel_worker.tasks.debug import Echo, Return
from tiercel_worker.tasks.fan_out import MergeOutputs, SplitItems, StoreOutputs
from tiercel_worker.tasks.flow import Sleep
from tiercel_worker.tasks.log import Log
from tiercel_worker.tasks.output import OutputValues
from tiercel_worker.tasks.script import (
    OldBash,
    OldPython,
    PythonCommands,
    PythonScript,
    ShellCommands,
    ShellScript,
)

PLUGINS = (
    Log,
    Return,
    Echo,
    OutputValues,
    Sleep,
    SplitItems,
    StoreOutputs,
    MergeOutputs,
    ShellCommands,
    ShellScript,
    PythonCommands,
    PythonScript,
    OldBash,
    OldPython,
    *http.PLUGINS,
    *kv.PLUGINS,
    *state.PLUGINS,
    *storage.PLUGINS,
    *items.PLUGINS,
    *namespace.PLUGINS,
    *metric.PLUGINS,
    *templating.PLUGINS,
    *executions.PLUGINS,
)
