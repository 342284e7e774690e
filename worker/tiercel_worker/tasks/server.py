"""Tasks that ask the server: about executions, their logs and triggers of other flows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import BaseModel, Field

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Part, Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.rows import row_line
from tiercel_worker.http_client import Login
from tiercel_worker.tasks.properties import flag, text_list, text_map

#: Lines that are fetched at a time.
LINES_PER_PAGE = 5_000
#: Values that pass through `expression` of Count as no.
FALSE_TEXTS = frozenset({"", "0", "-0", "false"})


class ServerTask(RunnableTask):
    """A task that asks the server.

    `auth`: `apiToken`, or `username` and `password`, to sign in by; without it the worker's own.
    """

    auth: dict[str, Any] | None = None

    def ask(self, context: RunContext, method: str, path: str, **sent: Any) -> Any:
        """What the API answers. `sent`: as of `RunContext.ask_server`."""
        authorization = self._authorization(context)
        return context.ask_server(method, path, **sent, authorization=authorization)

    def _authorization(self, context: RunContext) -> str | None:
        auth = text_map(context, self.auth, "auth")
        if auth.get("apiToken"):
            return f"Bearer {auth['apiToken']}"
        if auth.get("username"):
            return Login(str(auth["username"]), str(auth.get("password") or "")).basic()
        return None


class FetchOutput(BaseModel):
    """`uri`: a file of Ion with one line of the log each; `size`: how many."""

    uri: str
    size: int


class Fetch(ServerTask):
    """Fetch log lines into a file.

    Properties: `executionId` (the running one), `namespace` and `flowId` (of that execution; they
    are not needed), `tasksId` (lines of these tasks alone), `level` (this one and above; INFO).
    Outputs: `uri` (Ion) and `size`, the number of lines.

    Example:
        ```yaml
        id: own-log
        namespace: docs.tasks
        tasks:
          - id: say
            type: io.kestra.plugin.core.log.Log
            message: hello
          - id: lines
            type: io.kestra.plugin.core.log.Fetch
            tasksId: [say]
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.log.Fetch"
    ALIASES: ClassVar[tuple[str, ...]] = (
        "io.kestra.core.tasks.log.Fetch",
        "io.kestra.plugin.kestra.logs.Fetch",
    )
    OUTPUTS: ClassVar[type[BaseModel] | None] = FetchOutput

    namespace: Text | None = None
    flow_id: Text | None = Field(None, alias="flowId")
    execution_id: Text = Field("{{ execution.id }}", alias="executionId")
    tasks_id: list[Text] | str | None = Field(None, alias="tasksId")
    level: Text = "INFO"

    def run(self, context: RunContext) -> FetchOutput:
        execution_id, level = context.render(self.execution_id), context.render(self.level)
        tasks: list[str | None] = [*text_list(context, self.tasks_id, "tasksId")] or [None]
        count = [0]

        def lines() -> Iterator[bytes]:
            for task_id in tasks:
                for line in self._lines(context, execution_id, level, task_id):
                    count[0] += 1
                    yield row_line(line)

        uri = context.store_stream(lines(), "logs.ion")
        return FetchOutput(uri=uri, size=count[0])

    def _lines(
        self, context: RunContext, execution_id: str, level: str, task_id: str | None
    ) -> Iterator[dict[str, Any]]:
        query = {
            "filters[executionId][EQUALS]": execution_id,
            "minLevel": level.upper(),
            "sort": "timestamp:asc",
            "size": str(LINES_PER_PAGE),
            "indexed": "true",
        }
        if task_id is not None:
            query["taskId"] = task_id
        page = 0
        while True:
            page += 1
            found = self.ask(context, "GET", "/logs/search", query={**query, "page": str(page)})
            yield from found["results"]
            if page * LINES_PER_PAGE >= found["total"]:
                return


class FlowOfCount(Part):
    """A flow whose executions are counted."""

    namespace: Text
    flow_id: Text = Field(alias="flowId")


class CountOutput(BaseModel):
    """`results`: `namespace`, `flowId` and `count` of each; `total`: their sum."""

    results: list[dict[str, Any]]
    total: int


class Count(ServerTask):
    """Count executions, such as to tell which flows did not run.

    Properties: `flows` (list of `namespace` and `flowId`) or `namespaces`, `states`, `startDate`,
    `endDate`, `expression` (a template that sees `count`; results for which it is false are left
    out). Outputs: `results` (`namespace`, `flowId`, `count`) and `total`.

    Example:
        ```yaml
        id: watch
        namespace: docs.tasks
        tasks:
          - id: idle
            type: io.kestra.plugin.core.execution.Count
            flows:
              - namespace: docs.tasks
                flowId: watch
            startDate: "{{ execution.startDate | dateAdd(-1, 'DAYS') }}"
            expression: "{{ count == 0 }}"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.execution.Count"
    ALIASES: ClassVar[tuple[str, ...]] = (
        "io.kestra.core.tasks.executions.Counts",
        "io.kestra.plugin.kestra.executions.Count",
    )
    OUTPUTS: ClassVar[type[BaseModel] | None] = CountOutput

    flows: list[FlowOfCount] | None = None
    namespaces: list[Text] | str | None = None
    states: list[Text] | str | None = None
    start_date: Text | None = Field(None, alias="startDate")
    end_date: Text | None = Field(None, alias="endDate")
    expression: Text

    def run(self, context: RunContext) -> CountOutput:
        results: list[dict[str, Any]] = []
        for place in self._places(context):
            where = {f"filters[{name}][EQUALS]": value for name, value in place.items()}
            found = context.ask_server(
                "GET", "/executions/search", {**self._query(context), **where}
            )
            count = int(found["total"])
            kept = context.render(self.expression, {"count": count}).strip().lower()
            if kept not in FALSE_TEXTS:
                results.append({**place, "count": count})
        return CountOutput(results=results, total=sum(r["count"] for r in results))

    def _places(self, context: RunContext) -> list[dict[str, str]]:
        if self.flows is not None:
            return [
                {"namespace": context.render(f.namespace), "flowId": context.render(f.flow_id)}
                for f in self.flows
            ]
        named = text_list(context, self.namespaces, "namespaces") or [context.namespace]
        return [{"namespace": name} for name in named]

    def _query(self, context: RunContext) -> dict[str, str | list[str]]:
        query: dict[str, str | list[str]] = {"size": "1"}
        states = text_list(context, self.states, "states")
        if states:
            query["state"] = states
        if self.start_date is not None:
            query["startDate"] = context.render(self.start_date)
        if self.end_date is not None:
            query["endDate"] = context.render(self.end_date)
        return query


class Resume(ServerTask):
    """Resume a paused execution.

    Properties: `executionId`, `inputs` (what its Pause asks for), `namespace` and `flowId` (of that
    execution; they are not needed). Outputs: none.

    Example:
        ```yaml
        id: go-on
        namespace: docs.tasks
        inputs:
          - id: paused
            type: STRING
        tasks:
          - id: resume
            type: io.kestra.plugin.core.execution.Resume
            executionId: "{{ inputs.paused }}"
            inputs:
              approved: "true"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.execution.Resume"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.plugin.kestra.executions.Resume",)

    namespace: Text | None = None
    flow_id: Text | None = Field(None, alias="flowId")
    execution_id: Text = Field(alias="executionId")
    inputs: dict[str, Any] | str | None = None

    def run(self, context: RunContext) -> None:
        execution_id = context.render(self.execution_id)
        if execution_id == context.execution_id:
            raise TaskError("Expected another execution: this one is running.")
        inputs = {
            name: value if isinstance(value, str) else context.render(value)
            for name, value in text_map(context, self.inputs, "inputs").items()
        }
        path = f"/executions/{quote(execution_id, safe='')}/resume"
        self.ask(context, "POST", path, form=inputs or None)


class Toggle(ServerTask):
    """Enable or disable a trigger.

    Properties: `trigger` (its id), `enabled` (false), `namespace` and `flowId` (the flow's own).
    Outputs: none.

    Example:
        ```yaml
        id: stop-schedule
        namespace: docs.tasks
        triggers:
          - id: nightly
            type: io.kestra.plugin.core.trigger.Schedule
            cron: "0 2 * * *"
        tasks:
          - id: off
            type: io.kestra.plugin.core.trigger.Toggle
            trigger: nightly
            enabled: false
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.trigger.Toggle"
    ALIASES: ClassVar[tuple[str, ...]] = (
        "io.kestra.core.tasks.trigger.Toggle",
        "io.kestra.plugin.kestra.triggers.Toggle",
    )

    trigger: Text
    enabled: bool | str = False
    namespace: Text = "{{ flow.namespace }}"
    flow_id: Text = Field("{{ flow.id }}", alias="flowId")

    def run(self, context: RunContext) -> None:
        body = {
            "namespace": context.render(self.namespace),
            "flowId": context.render(self.flow_id),
            "triggerId": context.render(self.trigger),
            "disabled": not flag(context, self.enabled),
        }
        self.ask(context, "PUT", "/triggers", body=body)


PLUGINS = (Fetch, Count, Resume, Toggle)
