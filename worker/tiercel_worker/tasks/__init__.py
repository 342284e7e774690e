"""The task types that come with Tiercel, for the entry-point group `tiercel.plugins`."""

from __future__ import annotations

from tiercel_engine.plugin import executions
from tiercel_worker.tasks import (
    execution_files,
    http,
    items,
    kafka,
    kv,
    metric,
    namespace,
    purge,
    purge_storage,
    server,
    sse,
    state,
    storage,
    templating,
)
from tiercel_worker.tasks.debug import Echo, Return
from tiercel_worker.tasks.fan_out import MergeOutputs, SplitItems, StoreOutputs
from tiercel_worker.tasks.flow import Sleep
from tiercel_worker.tasks.log import Log
from tiercel_worker.tasks.output import OutputValues
from tiercel_worker.tasks.python import OldPython, PythonCommands, PythonScript
from tiercel_worker.tasks.script import (
    NodeCommands,
    NodeScript,
    OldBash,
    OldNode,
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
    NodeCommands,
    NodeScript,
    OldBash,
    OldPython,
    OldNode,
    *http.PLUGINS,
    *sse.PLUGINS,
    *kafka.PLUGINS,
    *kv.PLUGINS,
    *state.PLUGINS,
    *server.PLUGINS,
    *purge.PLUGINS,
    *purge_storage.PLUGINS,
    *storage.PLUGINS,
    *execution_files.PLUGINS,
    *items.PLUGINS,
    *namespace.PLUGINS,
    *metric.PLUGINS,
    *templating.PLUGINS,
    *executions.PLUGINS,
)
