"""Task types of the peer's own tests, for servers under test. See `plugin_folder`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext


class ListenersTestTask(RunnableTask):
    """Gives a text that names the execution and its flow."""

    TYPE: ClassVar[str] = "io.kestra.core.runners.ListenersTestTask"

    def run(self, context: RunContext) -> dict[str, Any]:
        return {"value": f"Execution(id={context.execution_id}, flowId={context.flow_id})"}


PLUGINS = (ListenersTestTask,)
NAMES = frozenset(plugin.TYPE for plugin in PLUGINS)


def plugin_folder(folder: Path) -> Path:
    """Make a folder that, on the Python path, installs these types into any server."""
    info = folder / "conformance_tasks-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: conformance-tasks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tiercel.plugins]\nconformance = " + __name__ + "\n")
    return folder
