"""Which task types there are: today's name, older names, outputs, and a flow that shows each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tiercel_engine.plugin.base import RunnableTask
from tiercel_worker.tasks import PLUGINS

CORE, OLD, KESTRA = "io.kestra.plugin.core.", "io.kestra.core.tasks.", "io.kestra.plugin.kestra."
SCRIPTS = "io.kestra.plugin.scripts."
EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"

SCRIPT_OUTPUTS = "exitCode outputFiles vars"
#: Type -> (older names, names of its outputs).
TABLE: dict[str, tuple[str, str]] = {
    CORE + "debug.Echo": (OLD + "debugs.Echo", ""),
    CORE + "debug.Return": (OLD + "debugs.Return", "value"),
    CORE + "execution.Assert": ("", ""),
    CORE + "execution.Count": (
        f"{OLD}executions.Counts {KESTRA}executions.Count",
        "results total",
    ),
    CORE + "execution.Exit": ("", ""),
    CORE + "execution.Fail": (OLD + "executions.Fail", ""),
    CORE + "execution.Labels": (OLD + "executions.Labels", ""),
    CORE + "execution.PurgeExecutions": (
        f"{OLD}storages.Purge {CORE}storage.Purge",
        "executionsCount logsCount metricsCount storagesCount",
    ),
    CORE + "execution.Resume": (KESTRA + "executions.Resume", ""),
    CORE + "execution.SetVariables": ("", ""),
    CORE + "execution.UnsetVariables": ("", ""),
    CORE + "flow.PurgeFlows": ("", "size"),
    CORE + "flow.Sleep": ("", ""),
    CORE + "http.Download": ("io.kestra.plugin.fs.http.Download", "code headers length uri"),
    CORE + "http.Request": (
        "io.kestra.plugin.fs.http.Request",
        "body code encryptedBody formData headers uri",
    ),
    CORE + "http.SseRequest": ("", "events result size uri"),
    CORE + "kv.Delete": ("", "deleted"),
    CORE + "kv.Get": ("", "value"),
    CORE + "kv.GetKeys": ("", "keys"),
    CORE + "kv.PurgeKV": ("", "size"),
    CORE + "kv.Set": ("", ""),
    CORE + "log.Fetch": (f"{OLD}log.Fetch {KESTRA}logs.Fetch", "size uri"),
    CORE + "log.Log": (OLD + "log.Log", ""),
    CORE + "log.PurgeLogs": (KESTRA + "logs.PurgeLogs", "count"),
    CORE + "metric.Publish": ("", ""),
    CORE + "metric.PurgeMetrics": ("", "count"),
    CORE + "namespace.DeleteFiles": ("", "files"),
    CORE + "namespace.DownloadFiles": ("", "files"),
    CORE + "namespace.PurgeFiles": ("", "size"),
    CORE + "namespace.UploadFiles": ("", "files"),
    CORE + "output.OutputValues": ("", "values"),
    CORE + "state.Delete": (OLD + "states.Delete", "deleted"),
    CORE + "state.Get": (OLD + "states.Get", "count data"),
    CORE + "state.Set": (OLD + "states.Set", "count key"),
    CORE + "storage.Concat": (OLD + "storages.Concat", "uri"),
    CORE + "storage.DeduplicateItems": (
        OLD + "storages.DeduplicateItems",
        "droppedItemsTotal numKeys processedItemsTotal uri",
    ),
    CORE + "storage.Delete": (OLD + "storages.Delete", "deleted uri"),
    CORE + "storage.FilterItems": (
        OLD + "storages.FilterItems",
        "droppedItemsTotal processedItemsTotal uri",
    ),
    CORE + "storage.LocalFiles": (OLD + "storages.LocalFiles", "uris"),
    CORE + "storage.PurgeCurrentExecutionFiles": (
        f"{OLD}storages.PurgeExecution {CORE}storage.PurgeExecution",
        "uris",
    ),
    CORE + "storage.PurgeStorage": ("", "deletedFilesCount purgedCount scannedCount"),
    CORE + "storage.Reverse": (OLD + "storages.Reverse", "uri"),
    CORE + "storage.Size": (OLD + "storages.Size", "size"),
    CORE + "storage.Split": (OLD + "storages.Split", "uris"),
    CORE + "storage.Write": ("", "uri"),
    CORE + "templating.TemplatedTask": (OLD + "templating.TemplatedTask", ""),
    CORE + "trigger.Toggle": (f"{OLD}trigger.Toggle {KESTRA}triggers.Toggle", ""),
    OLD + "scripts.Bash": ("", SCRIPT_OUTPUTS),
    OLD + "scripts.Node": ("", SCRIPT_OUTPUTS),
    OLD + "scripts.Python": ("", SCRIPT_OUTPUTS),
    SCRIPTS + "node.Commands": ("", SCRIPT_OUTPUTS),
    SCRIPTS + "node.Script": ("", SCRIPT_OUTPUTS),
    SCRIPTS + "python.Commands": ("", SCRIPT_OUTPUTS),
    SCRIPTS + "python.Script": ("", SCRIPT_OUTPUTS),
    SCRIPTS + "shell.Commands": ("", SCRIPT_OUTPUTS),
    SCRIPTS + "shell.Script": ("", SCRIPT_OUTPUTS),
    "io.kestra.plugin.kafka.Consume": ("", "messagesCount uri"),
    "io.kestra.plugin.kafka.Produce": ("", "messagesCount"),
}
#: What no example flow shows: it needs a broker; tests/acceptance/test_kafka_triggers.py has one.
WITHOUT_EXAMPLE = {"io.kestra.plugin.kafka.Consume", "io.kestra.plugin.kafka.Produce"}

#: Without the parts of other tasks, which nobody writes into a flow.
WRITTEN = {plugin.TYPE: plugin for plugin in PLUGINS if "$" not in plugin.TYPE}


def outputs_of(plugin: type[RunnableTask]) -> set[str]:
    model = plugin.OUTPUTS
    return set() if model is None else {f.alias or n for n, f in model.model_fields.items()}


def types_in(value: object) -> set[str]:
    """Every `type` of a parsed flow, at any depth."""
    if isinstance(value, list):
        return set().union(*map(types_in, value))
    if not isinstance(value, dict):
        return set()
    own = {value["type"]} if isinstance(value.get("type"), str) else set()
    return own.union(*map(types_in, value.values()))


def test_every_task_type_stands_in_the_table() -> None:
    assert WRITTEN.keys() == TABLE.keys()


@pytest.mark.parametrize("name", TABLE)
def test_a_task_type_has_these_older_names_and_outputs(name: str) -> None:
    older, outputs = TABLE[name]
    assert set(WRITTEN[name].ALIASES) == set(older.split())
    assert outputs_of(WRITTEN[name]) == set(outputs.split())


def test_every_task_type_is_shown_by_an_example_flow() -> None:
    shown: set[str] = set()
    for path in EXAMPLES.rglob("*.yaml"):
        shown |= types_in(yaml.safe_load(path.read_text()))
    missing = {n for n in TABLE if not {n, *TABLE[n][0].split()} & shown}
    assert missing == WITHOUT_EXAMPLE


def test_the_command_line_explains_a_task_type() -> None:
    command = [sys.executable, "-m", "tiercel_cli.main", "plugins", "doc"]
    for name in (CORE + "storage.PurgeStorage", OLD + "storages.Purge"):
        done = subprocess.run([*command, name], capture_output=True, text=True, check=True)
        assert "Properties" in done.stdout
