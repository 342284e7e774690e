"""Tasks that delete what is old: executions, log lines, metrics, revisions of flows.

The server does it.
"""

from __future__ import annotations

from collections import Counter
from typing import ClassVar
from urllib.parse import quote

from pydantic import BaseModel, Field

from tiercel_engine.clock import iso
from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.context import RunContext
from tiercel_worker.tasks.properties import flag, text_list
from tiercel_worker.tasks.server import ServerTask
from tiercel_worker.tasks.versions import (
    NamespacesTask,
    VersionsBehavior,
    pattern_matcher,
    versions_limits,
)

#: Executions that one request deletes: few enough that it is answered in seconds.
EXECUTIONS_PER_REQUEST = 500


class PurgeTask(ServerTask):
    """A task that deletes what is older than a date, of a flow, of namespaces, or of all."""

    namespace: Text | None = None
    flow_id: Text | None = Field(None, alias="flowId")
    start_date: Text | None = Field(None, alias="startDate")
    end_date: Text = Field(alias="endDate")

    def query(self, context: RunContext) -> dict[str, str | list[str]]:
        """What is to go, as the server's routes read it."""
        query: dict[str, str | list[str]] = {"endDate": context.render(self.end_date)}
        for name, template in (
            ("namespace", self.namespace),
            ("flowId", self.flow_id),
            ("startDate", self.start_date),
        ):
            if template is not None:
                query[name] = context.render(template)
        return query


class CountOfPurge(BaseModel):
    """`count`: how many were deleted."""

    count: int


class PurgeLogs(PurgeTask):
    """Delete log lines, of executions and of triggers.

    Properties: `endDate` (those written until then; a template), `startDate` (from then on),
    `namespace` (with those below it, or just itself beside a `flowId`), `flowId`, `logLevels`
    (lines of these levels alone). Outputs: `count`.

    Example:
        ```yaml
        id: shorten-logs
        namespace: docs.tasks
        tasks:
          - id: purge
            type: io.kestra.plugin.core.log.PurgeLogs
            namespace: docs.tasks.none
            endDate: "{{ execution.startDate | dateAdd(-30, 'DAYS') }}"
            logLevels: [TRACE, DEBUG]
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.log.PurgeLogs"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.plugin.kestra.logs.PurgeLogs",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = CountOfPurge

    log_levels: list[Text] | str | None = Field(None, alias="logLevels")

    def run(self, context: RunContext) -> CountOfPurge:
        levels = text_list(context, self.log_levels, "logLevels") or []
        query = {**self.query(context), "logLevels": levels}
        return CountOfPurge(
            count=self.ask(context, "DELETE", "/logs/by-query", query=query)["count"]
        )


class PurgeMetrics(PurgeTask):
    """Delete metrics of task runs.

    Properties: `endDate` (those measured until then; a template), `startDate` (from then on),
    `namespace` (with those below it, or just itself beside a `flowId`), `flowId`.
    Outputs: `count`.

    Example:
        ```yaml
        id: forget-metrics
        namespace: docs.tasks
        tasks:
          - id: purge
            type: io.kestra.plugin.core.metric.PurgeMetrics
            namespace: docs.tasks.none
            endDate: "{{ execution.startDate | dateAdd(-30, 'DAYS') }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.metric.PurgeMetrics"
    OUTPUTS: ClassVar[type[BaseModel] | None] = CountOfPurge

    def run(self, context: RunContext) -> CountOfPurge:
        query = self.query(context)
        found = self.ask(context, "DELETE", "/metrics/by-query", query=query)
        return CountOfPurge(count=found["count"])


class PurgeExecutionsOutput(BaseModel):
    """How many executions were deleted, and with them lines of logs, metrics and files."""

    executions_count: int = Field(0, alias="executionsCount")
    logs_count: int = Field(0, alias="logsCount")
    metrics_count: int = Field(0, alias="metricsCount")
    storages_count: int = Field(0, alias="storagesCount")


class PurgeExecutions(PurgeTask):
    """Delete ended executions, with their logs, metrics and files.

    Properties: `endDate` (those that started before; a template), `startDate` (after),
    `namespace` (with those below), `flowId`, `states` (all final ones), and `purgeLog`,
    `purgeMetric`, `purgeStorage` (true). Outputs: `executionsCount`,
    `logsCount`, `metricsCount`, `storagesCount` (files).

    Example:
        ```yaml
        id: tidy-up
        namespace: docs.tasks
        tasks:
          - id: purge
            type: io.kestra.plugin.core.execution.PurgeExecutions
            namespace: docs.tasks.none
            endDate: "{{ execution.startDate | dateAdd(-30, 'DAYS') }}"
            states: [SUCCESS]
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.execution.PurgeExecutions"
    ALIASES: ClassVar[tuple[str, ...]] = (
        "io.kestra.core.tasks.storages.Purge",
        "io.kestra.plugin.core.storage.Purge",
    )
    OUTPUTS: ClassVar[type[BaseModel] | None] = PurgeExecutionsOutput

    states: list[Text] | str | None = None
    purge_execution: bool | str = Field(True, alias="purgeExecution")
    purge_log: bool | str = Field(True, alias="purgeLog")
    purge_metric: bool | str = Field(True, alias="purgeMetric")
    purge_storage: bool | str = Field(True, alias="purgeStorage")

    def run(self, context: RunContext) -> PurgeExecutionsOutput:
        if not flag(context, self.purge_execution):
            raise TaskError("Expected purgeExecution: logs and files go with their execution only.")
        query = self.query(context)
        final = ["SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "RETRIED", "SKIPPED"]
        query["state"] = text_list(context, self.states, "states") or final
        for name, asked in (
            ("deleteLogs", self.purge_log),
            ("deleteMetrics", self.purge_metric),
            ("deleteStorage", self.purge_storage),
        ):
            query[name] = "true" if flag(context, asked) else "false"
        query |= {"counts": "true", "limit": str(EXECUTIONS_PER_REQUEST)}
        total: Counter[str] = Counter()
        while not context.is_cancelled():
            gone = Counter(self.ask(context, "DELETE", "/executions/by-query", query=query))
            executions = gone.pop("count", 0)
            if not executions:
                break
            total += gone + Counter(executionsCount=executions)
        return PurgeExecutionsOutput.model_validate(total)


class PurgeFlowsOutput(BaseModel):
    """`size`: how many revisions were purged."""

    size: int


class PurgeFlows(ServerTask, NamespacesTask):
    """Purge earlier revisions of flows; their current one stays.

    A purged revision cannot be read or run again; executions that ran it stay. Those that still run
    keep theirs.

    Properties: `namespaces` (the flow's own) or `namespacePattern` (a glob),
    `includeChildNamespaces` (true), `flowPattern` (a glob on the flow's id), `behavior`
    (`type: version`, `before`, a date, and `keepAmount`, revisions that stay of each flow, the
    current one among them; 1 when not given). Outputs: `size`.

    Example:
        ```yaml
        id: forget-revisions
        namespace: docs.tasks
        tasks:
          - id: purge
            type: io.kestra.plugin.core.flow.PurgeFlows
            namespaces: [docs.tasks.none]
            behavior:
              type: version
              keepAmount: 10
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.flow.PurgeFlows"
    OUTPUTS: ClassVar[type[BaseModel] | None] = PurgeFlowsOutput

    flow_pattern: Text | None = Field(None, alias="flowPattern")
    behavior: VersionsBehavior | None = None

    def run(self, context: RunContext) -> PurgeFlowsOutput:
        known: list[str] = self.ask(context, "GET", "/flows/distinct-namespaces")

        def below(root: str) -> list[str]:
            return [n for n in known if not root or n == root or n.startswith(f"{root}.")]

        before_us, kept_max = versions_limits(context, self.behavior)
        query: dict[str, str | list[str]] = {"keepAmount": str(kept_max + 1)}
        if before_us is not None:
            query["before"] = iso(before_us)
        matches, size = pattern_matcher(context, self.flow_pattern), 0
        for namespace in self.all_namespaces(context, below):
            for flow in self.ask(context, "GET", f"/flows/{quote(namespace, safe='')}"):
                if context.is_cancelled():
                    return PurgeFlowsOutput(size=size)
                if matches(flow["id"]):
                    path = f"/flows/{quote(namespace, safe='')}/{quote(flow['id'], safe='')}"
                    path += "/revisions"
                    size += self.ask(context, "DELETE", path, query=query)["count"]
        return PurgeFlowsOutput(size=size)


PLUGINS = (PurgeLogs, PurgeMetrics, PurgeExecutions, PurgeFlows)
