"""What the code of a handler does not say of itself: its query, its body, its answer.

Keyed by `module.function` of the handler. A test reads the handlers' code and fails when a query
parameter is missing here, or stands here and nowhere else.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 999_999_999}

#: Query parameter -> its schema and meaning.
PARAMETERS: dict[str, tuple[Schema, str]] = {
    "aggregation": (
        {"type": "string", "enum": ["sum", "avg", "min", "max"]},
        "How values are put together; sum unless said otherwise.",
    ),
    "all": (FLAG, "Tell the properties that all types of its kind have, too."),
    "arrayOf": (FLAG, "The schema of a list of them."),
    "allowNamespaceChild": (FLAG, "Take flows of namespaces below it, too."),
    "caseSensitive": (FLAG, "Tell upper from lower case."),
    "delete": (FLAG, "Delete the namespace's other flows; true unless said otherwise."),
    "endDate": ({"type": "string", "format": "date-time"}, "Until then; now unless said."),
    "failOnError": (FLAG, "Refuse the first flow that cannot be stored."),
    "regex": (FLAG, "Take the text for a regular expression, which is refused here."),
    "section": ({"type": "string", "enum": ["TASKS", "TRIGGERS"]}, "What the body is."),
    "startDate": ({"type": "string", "format": "date-time"}, "From then on."),
    "triggerId": (TEXT, "Id of the trigger."),
    "wholeWord": (FLAG, "Find whole words only."),
    "allowDeleted": (FLAG, "Find deleted flows too."),
    "count": ({"type": "integer", "minimum": 1}, "How many."),
    "destinationOnly": (FLAG, "Only what follows from it, not what it follows from."),
    "encoding": (TEXT, "Encoding of the text; UTF-8 unless said otherwise."),
    "expandAll": (FLAG, "Executions that follow from what follows, too."),
    "field": (TEXT, "The field whose values are asked for."),
    "from": (TEXT, "Where it is; of a report: since when."),
    "format": ({"type": "string", "enum": ["CSV", "ION"]}, "CSV unless said otherwise."),
    "indexed": (FLAG, "Answer once every line written so far can be found."),
    "inputs": ({"type": "array", "items": TEXT}, "`name:value`, as often as there are inputs."),
    "maxRows": ({"type": "integer", "minimum": 1}, "Rows at most."),
    "subflows": ({"type": "array", "items": TEXT}, "Task ids whose flows are shown inside."),
    "before": ({"type": "string", "format": "date-time"}, "What was stored before then."),
    "counts": (FLAG, "Count the logs, metrics and files that go along, too."),
    "limit": ({"type": "integer", "minimum": 0}, "Executions at most, the newest."),
    "deleteLogs": (FLAG, "Delete the logs, too; true unless said otherwise."),
    "deleteMetrics": (FLAG, "Delete the metrics, too; true unless said otherwise."),
    "logLevels": ({"type": "array", "items": TEXT}, "Lines of these levels alone."),
    "deleteStorage": (FLAG, "Delete the files, too; true unless said otherwise."),
    "topic": (TEXT, "Topic that the records came from; the end of its name is enough."),
    "disabled": (FLAG, "Whether triggers are to be disabled; true unless said otherwise."),
    "explain": (FLAG, "Tell the value's type and the variables in reach, too."),
    "flowId": (TEXT, "Id of the flow."),
    "includeNonTerminated": (FLAG, "Delete executions that have not ended, too."),
    "isOnKillCascade": (FLAG, "Kill the executions that it started, too; true by default."),
    "keepAmount": (COUNT, "The newest of them that stay, the current one among them."),
    "kind": ({"type": "string", "enum": ["NORMAL", "TEST", "PLAYGROUND", "LOOP"]}, "Its kind."),
    "labels": ({"type": "array", "items": TEXT}, "`key:value`, as often as there are labels."),
    "latestRevision": (FLAG, "Run the flow's newest revision instead of the execution's own."),
    "namespace": (TEXT, "Namespace."),
    "newStatus": (TEXT, "The state to take."),
    "page": ({"type": "integer", "minimum": 1}, "Page, from 1."),
    "path": (TEXT, "Address or path of the file."),
    "q": (TEXT, "Words to find."),
    "revision": (COUNT, "Revision; the newest when none is named."),
    "revisions": (TEXT, "Numbers of revisions, by commas."),
    "scheduleDate": ({"type": "string", "format": "date-time"}, "When it is to begin."),
    "scope": (TEXT, "The part of a source: ALL, TASKS, TRIGGERS or INPUTS."),
    "size": ({"type": "integer", "minimum": 1}, "Rows of a page."),
    "sort": ({"type": "array", "items": TEXT}, "`field:asc` or `field:desc`."),
    "source": (FLAG, "Give the YAML source, too."),
    "state": (TEXT, "The state to take."),
    "status": (TEXT, "The state to take."),
    "dateFilter": (TEXT, "The date of a trigger that startDate, endDate and timeRange bound."),
    "taskRunId": (TEXT, "The task run to begin at; from the start when none is named."),
    "to": (TEXT, "Where it is to be."),
    "wait": (FLAG, "Answer when the execution has ended."),
}
#: Filters are open-ended: `filters[field][OPERATOR]=value`, or `field=value` in older clients.
FILTERS: Schema = {
    "name": "filters",
    "in": "query",
    "style": "deepObject",
    "explode": True,
    "required": False,
    "description": "filters[field][OPERATOR]=value; what is not understood is refused.",
    "schema": {"type": "object", "additionalProperties": True},
}

YAML_BODY = "application/x-yaml"
JSON_BODY = "application/json"
FORM_BODY = "multipart/form-data"
TEXT_BODY = "text/plain"
ANY_BODY = "*/*"

#: Handler -> media types of the body that it takes. Others take none.
BODIES: dict[str, tuple[str, ...]] = {
    "concurrency.update_limit": (JSON_BODY,),
    "execution_bulk.by-ids": (JSON_BODY,),
    "execution_bulk.labels_by_ids": (JSON_BODY,),
    "execution_bulk.labels_by_query": (JSON_BODY,),
    "execution_pauses.resume_execution": (FORM_BODY,),
    "execution_pauses.resume_execution_action": (FORM_BODY,),
    "execution_pauses.validate_resume": (FORM_BODY,),
    "execution_verbs.change_task_run_state": (JSON_BODY,),
    "execution_verbs.replay_execution_with_inputs": (FORM_BODY,),
    "execution_verbs.set_labels": (JSON_BODY,),
    "executions.create_execution": (FORM_BODY,),
    "executions.validate_inputs": (FORM_BODY,),
    "expressions.evaluate_expression": (TEXT_BODY,),
    "execution_lists.latest_executions": (JSON_BODY,),
    "dashboard_charts.chart_data": (JSON_BODY,),
    "dashboard_charts.export_chart_data": (JSON_BODY,),
    "dashboard_charts.export_preview": (JSON_BODY,),
    "dashboard_charts.preview_chart": (JSON_BODY,),
    "dashboards.create_dashboard": (YAML_BODY,),
    "dashboards.update_dashboard": (YAML_BODY,),
    "dashboards.validate_chart": (YAML_BODY,),
    "dashboards.validate_dashboard": (YAML_BODY,),
    "flow_bulk.by-ids": (JSON_BODY,),
    "flow_bulk.import_flows": (FORM_BODY,),
    "flow_bulk.update_many": (YAML_BODY,),
    "flow_bulk.update_namespace": (YAML_BODY,),
    "flow_sources.hashes_by_ids": (JSON_BODY,),
    "flow_sources.replace_task": (JSON_BODY,),
    "flow_sources.validate_task": (JSON_BODY, YAML_BODY),
    "flow_sources.validate_trigger": (JSON_BODY, YAML_BODY),
    "flows.create_flow": (YAML_BODY,),
    "flows.update_flow": (YAML_BODY,),
    "flows.validate_flows": (YAML_BODY,),
    "namespace_files.put_file": (FORM_BODY,),
    "pairs.delete_pairs": (JSON_BODY,),
    "pairs.put_pair": (JSON_BODY, TEXT_BODY),
    "plugins.detect_missing": (TEXT_BODY,),
    "plugins.get_ui_manifest": (JSON_BODY,),
    "plugins.install": (JSON_BODY,),
    "sessions.change_password": (JSON_BODY,),
    "sessions.create_basic_auth": (JSON_BODY,),
    "sessions.create_token": (JSON_BODY,),
    "sessions.login": (JSON_BODY,),
    "sessions.setup": (JSON_BODY,),
    "statistics.executions_by_flow": (JSON_BODY,),
    "statistics.executions_by_namespace": (JSON_BODY,),
    "statistics.executions_daily": (JSON_BODY,),
    "statistics.latest_by_flow": (JSON_BODY,),
    "statistics.logs_daily": (JSON_BODY,),
    "statistics.summary": (JSON_BODY,),
    "statistics.task_runs_daily": (JSON_BODY,),
    "source_search.apply_replacement": (JSON_BODY,),
    "source_search.preview": (JSON_BODY,),
    "source_search.replace_line": (JSON_BODY,),
    "users.change_user": (JSON_BODY,),
    "users.create_user": (JSON_BODY,),
    "webhooks.call_webhook": (ANY_BODY,),
}

#: Handler -> media type of its answer, where that is not JSON.
ANSWERS: dict[str, str] = {
    "blueprints.get_source": "application/yaml",
    "dashboard_charts.export_chart_data": "text/csv",
    "dashboard_charts.export_preview": "text/csv",
    "execution_dependencies.follow_dependencies": "text/event-stream",
    "execution_lists.export_csv": "text/csv",
    "flow_bulk.export_csv": "text/csv",
    "execution_files.download_file": "application/octet-stream",
    "executions.follow_execution": "text/event-stream",
    "logs.download_logs": "text/plain",
    "logs.follow_logs": "text/event-stream",
    "namespace_files.export": "application/zip",
    "namespace_files.get_file": "application/octet-stream",
    "plugins.get_icon_svg": "image/svg+xml",
    "sessions.get_page": "text/html",
    "system.get_prometheus": "text/plain",
    "system.ping": "text/plain",
    "triggers.export_triggers": "text/csv",
    "usage.get_report": "text/csv",
}

#: Status -> what it means, for every operation: the table of `tiercel_api.errors` knows no others.
STATUSES: dict[int, str] = {
    200: "Done.",
    201: "Made.",
    202: "Asked for; it goes on.",
    204: "Done; there is nothing to tell.",
    206: "The part of the file that was asked for.",
    400: "The request does not read.",
    401: "Nobody said who calls, or what was said is wrong.",
    403: "Whoever calls may not.",
    404: "There is no such thing.",
    405: "Not by this method, or not any more.",
    408: "The body did not come in time.",
    409: "It does not fit the present state.",
    410: "It has expired.",
    412: "It has changed since: If-Match names another revision.",
    413: "The body is too large.",
    415: "The body's type is none that is read here.",
    416: "The file has no such part.",
    422: "Something in the request does not hold; the message says what.",
    429: "Too many failures; try again later.",
    503: "The log is busy, or decides too slowly: try again after Retry-After.",
}
