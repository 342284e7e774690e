"""What users of single namespaces see and change by requests that name none: only their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.api_harness import YAML, ApiServer, api_server, flow_source

from tiercel_api.app import ROUTES
from tiercel_api.security.narrowing import is_narrowing
from tiercel_api.services import ApiSettings
from tiercel_schemas.triggers import TriggerState

ADMIN = ("ada", "correct horse battery")
HOUSE = ("hal", "open the pod bay")
VIEWER = ("vic", "may look at things")
OWN, OTHER = "house.kitchen", "office"
KINDS = ("by-ids", "by-query")
EXECUTION_VERBS = ("kill", "", "pause", "resume", "restart", "replay", "force-run", "unqueue")
TRIGGER_CALLS = (
    ("POST", "unlock"),
    ("POST", "set-disabled"),
    ("DELETE", "delete"),
    ("POST", "backfill/delete"),
    ("POST", "backfill/pause"),
    ("POST", "backfill/unpause"),
)


class World:
    """A server with the same things in two namespaces; `HOUSE` edits one of them alone."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.executions = {namespace: self._made(namespace) for namespace in (OWN, OTHER)}

    def _made(self, namespace: str) -> str:
        server = self.server
        limit = "concurrency: {limit: 1}"
        source = flow_source(f"of-{namespace}".replace(".", "-"), limit, namespace)
        stored = server.post("/flows", data=source.encode(), headers=YAML, auth=ADMIN)
        flow_id = stored.json()["id"]
        template = flow_source(f"template-{flow_id}", namespace=namespace).encode()
        made = server.post("/templates", data=template, headers=YAML, auth=ADMIN)
        assert made.status_code == 200, made.text
        started = server.post(f"/executions/{namespace}/{flow_id}", auth=ADMIN).json()
        server.work(started["id"])
        server.until(
            f"/executions/{started['id']}",
            lambda found: found["state"]["current"] == "SUCCESS",
            auth=ADMIN,
        )
        server.until(
            "/concurrency-limit/search",
            lambda page: namespace in [row["namespace"] for row in page["results"]],
            auth=ADMIN,
        )
        server.until(f"/logs/{started['id']}", lambda lines: len(lines) == 1, auth=ADMIN)
        for path in ("a-key", "b-key"):
            put = f"/namespaces/{namespace}/kv/{path}"
            assert server.call("PUT", put, data="1", auth=ADMIN).status_code == 200
        state = TriggerState("main", namespace, flow_id, "tick", "SCHEDULE", 1, updated_us=1)
        server.append(server.topics.triggers.name, f"main/{namespace}/{flow_id}/tick", state)
        server.until(
            f"/triggers/{namespace}/{flow_id}", lambda page: page["total"] == 1, auth=ADMIN
        )
        return str(started["id"])

    def ask(self, method: str, path: str, auth: tuple[str, str] = HOUSE, **body: Any) -> Any:
        answer = self.server.call(method, path, auth=auth, **body)
        assert answer.status_code in (200, 204), (method, path, answer.text)
        return answer.json() if "json" in answer.headers["Content-Type"] else answer.text

    def refused(self, method: str, path: str, **body: Any) -> requests.Response:
        answer = self.server.call(method, path, auth=HOUSE, **body)
        assert answer.status_code in (400, 404, 422), (method, path, answer.text)
        return answer

    def seen(self, namespace: str) -> tuple[Any, ...]:
        """Everything that is there of a namespace."""
        execution = self.executions[namespace]
        flow = f"of-{namespace}".replace(".", "-")
        paths = (
            f"/executions/{execution}",
            f"/flows/{namespace}/{flow}?source=true",
            f"/logs/{execution}",
            f"/metrics/{execution}",
            f"/namespaces/{namespace}/kv",
            f"/triggers/{namespace}/{flow}",
            f"/templates/{namespace}/template-{flow}",
        )
        return tuple(self.ask("GET", path, ADMIN) for path in paths)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with api_server(tmp_path_factory.mktemp("narrowing"), ApiSettings(templates=True)) as server:
        body = {"username": ADMIN[0], "password": ADMIN[1]}
        assert server.post("/setup", json=body).status_code == 200
        for (name, password), role in ((HOUSE, "editor"), (VIEWER, "viewer")):
            roles = [{"role": role, "namespace": OWN}]
            user = {"username": name, "password": password, "roles": roles}
            assert server.post("/users", json=user, auth=ADMIN).status_code == 200
        yield World(server)


@pytest.fixture(autouse=True)
def _others_stay(world: World) -> Iterator[None]:
    """Nothing of the other namespace changes, whatever `HOUSE` asks for."""
    before = world.seen(OTHER)
    yield
    assert world.seen(OTHER) == before


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/executions/search", 1),
        ("/flows/search", 1),
        ("/flows/source?q=welcome", 1),
        ("/logs/search", 1),
        ("/triggers/search", 1),
        ("/kv", 2),
        ("/namespaces/search", 1),
        ("/templates/search", 1),
    ],
)
def test_a_search_finds_what_is_theirs(world: World, path: str, count: int) -> None:
    found = world.ask("GET", path)
    assert found["total"] == len(found["results"]) == count
    assert OTHER not in str(found)
    assert world.ask("GET", path, ADMIN)["total"] > count
    mark = "&" if "?" in path else "?"
    for query in (f"namespace={OTHER}", f"filters[or][0][namespace][EQUALS]={OTHER}"):
        if path.startswith(("/flows/source", "/namespaces")) and "filters" in query:
            continue
        assert world.ask("GET", f"{path}{mark}{query}")["total"] == 0, query


@pytest.mark.parametrize(
    "path",
    [
        "/executions/namespaces",
        "/executions/distinct-field-values?field=namespace",
        "/executions/export/by-query/csv",
        "/flows/distinct-namespaces",
        "/flows/export/by-query/csv",
        "/flows/deprecated",
        "/triggers/export/by-query/csv",
        f"/executions?namespace={OTHER}&flowId=of-office",
        "/secrets",
        "/concurrency-limit/search",
        "/templates/distinct-namespaces",
        "/templates/export/by-query",
    ],
)
def test_a_list_shows_what_is_theirs(world: World, path: str) -> None:
    assert OTHER not in str(world.ask("GET", path)).replace("of-office", "")


def test_what_is_named_elsewhere_is_as_if_it_were_not_there(world: World) -> None:
    flows = [{"namespace": OWN, "id": "of-house-kitchen"}, {"namespace": OTHER, "id": "of-office"}]
    assert len(world.ask("POST", "/executions/latest", json=flows)) == 1
    own, other = world.ask("POST", "/flows/hashes/by-ids", json=flows)["results"]
    assert "hash" in own
    assert "hash" not in other
    names = world.ask("POST", "/namespaces/autocomplete", json={"q": "", "ids": [OTHER]})
    assert names == [OWN]


@pytest.mark.parametrize("verb", EXECUTION_VERBS)
def test_no_execution_elsewhere_is_touched(world: World, verb: str) -> None:
    method = "DELETE" if verb in ("kill", "") else "POST"
    base = f"/executions/{verb}".rstrip("/")
    other = world.executions[OTHER]

    refused = world.refused(method, f"{base}/by-ids", json=[other])

    assert "execution not found" in refused.text
    query = f"filters[namespace][EQUALS]={OTHER}&includeNonTerminated=true"
    assert world.ask(method, f"{base}/by-query?{query}") == {"count": 0}


def test_what_is_no_flow_yet_is_checked_and_drawn(world: World) -> None:
    source = f"revision: 1\n{flow_source('of-office', namespace=OTHER)}"
    options: Any = {"data": source.encode(), "headers": YAML}

    # Whether there is such a flow elsewhere is not told.
    assert world.ask("POST", "/flows/validate", **options)[0]["outdated"] is False
    assert world.ask("POST", "/flows/validate", ADMIN, **options)[0]["outdated"] is True
    assert world.ask("POST", "/flows/graph", data=flow_source("new").encode(), headers=YAML)
    words = world.ask("POST", "/flows/expressions", **options)
    assert "a-key" not in str(words)
    task = {"id": "a", "type": "tests.Say"}
    assert world.ask("POST", "/flows/validate/task", json=task)["index"] == 0


def test_labels_and_states_elsewhere_stay(world: World) -> None:
    label, other = [{"key": "a", "value": "b"}], world.executions[OTHER]
    body = {"executionsId": [other], "executionLabels": label}
    where = f"filters[namespace][EQUALS]={OTHER}"

    world.refused("POST", "/executions/labels/by-ids", json=body)
    assert world.ask("POST", f"/executions/labels/by-query?{where}", json=label) == {"count": 0}
    status = "newStatus=WARNING"
    world.refused("POST", f"/executions/change-status/by-ids?{status}", json=[other])
    done = world.ask("POST", f"/executions/change-status/by-query?{where}&{status}")
    assert done == {"count": 0}


def test_a_bulk_call_reaches_what_is_theirs(world: World) -> None:
    own = world.executions[OWN]
    for value in ("by-ids", "by-query"):
        label = [{"key": "set", "value": value}]
        body: Any = {"executionsId": [own], "executionLabels": label}
        done = world.ask(
            "POST", f"/executions/labels/{value}", json=body if value == "by-ids" else label
        )
        assert done == {"count": 1}
        wanted = {"key": "set", "value": value}
        world.server.until(
            f"/executions/{own}", lambda found, w=wanted: w in found["labels"], auth=HOUSE
        )


@pytest.mark.parametrize(
    ("method", "call"), [("DELETE", "delete"), ("POST", "disable"), ("POST", "enable")]
)
def test_no_flow_elsewhere_is_touched(world: World, method: str, call: str) -> None:
    ids = [{"namespace": OTHER, "id": "of-office"}]
    refused = world.refused(method, f"/flows/{call}/by-ids", json=ids)
    assert refused.status_code == 404
    assert world.ask(method, f"/flows/{call}/by-query?namespace={OTHER}") == {"count": 0}


def test_a_bulk_call_reaches_flows_that_are_theirs(world: World) -> None:
    assert world.ask("POST", "/flows/disable/by-query") == {"count": 1}
    assert world.ask("POST", "/flows/enable/by-query") == {"count": 1}
    archive = world.server.get("/flows/export/by-query", auth=HOUSE).content
    assert b"of-house-kitchen" in archive
    assert b"of-office" not in archive
    refused = world.refused(
        "POST", "/flows/export/by-ids", json=[{"namespace": OTHER, "id": "of-office"}]
    )
    assert refused.status_code == 404
    files = {"fileUpload": ("flows.yaml", flow_source("new", namespace=OTHER).encode())}
    assert world.ask("POST", "/flows/import", files=files) == ["flows.yaml"]
    assert world.server.get(f"/flows/{OTHER}/new", auth=ADMIN).status_code == 404


def test_no_template_elsewhere_is_touched(world: World) -> None:
    ids = [{"namespace": OTHER, "id": "template-of-office"}]
    for method, call in (("DELETE", "delete"), ("POST", "export")):
        refused = world.refused(method, f"/templates/{call}/by-ids", json=ids)
        assert refused.status_code == 404
    by_query = f"/templates/delete/by-query?namespace={OTHER}"
    assert world.ask("DELETE", by_query) == {"count": 0}
    source = flow_source("template-of-office", "description: mine", OTHER).encode()
    files = {"fileUpload": ("templates.yaml", source)}
    assert world.server.post("/templates/import", files=files, auth=HOUSE).status_code == 403
    checked = world.ask("POST", "/templates/validate", data=source, headers=YAML)
    assert checked[0]["template"] == "template-of-office"


def test_texts_elsewhere_are_neither_shown_nor_replaced(world: World) -> None:
    base = "/flows/source/replace"
    asked: Any = {"query": "welcome", "replacement": "goodbye"}

    shown = world.ask("POST", f"{base}/preview", json=asked)
    assert [flow["namespace"] for flow in shown["flows"]] == [OWN]
    flows = [{"namespace": OTHER, "id": "of-office"}]
    done = world.ask("POST", f"{base}/apply", json={**asked, "flows": flows})
    assert done["updated"] == []
    assert done["skipped"][0]["reason"] == "NOT_FOUND"
    line = {**asked, **flows[0], "line": 7}
    assert world.server.post(f"{base}/line", json=line, auth=HOUSE).status_code == 403


def test_a_chart_counts_what_is_theirs(world: World) -> None:
    chart = """id: by-namespace
type: io.kestra.plugin.core.dashboard.chart.Table
data:
  type: io.kestra.plugin.core.dashboard.data.Executions
  columns:
    namespace:
      field: NAMESPACE
"""
    for path in ("preview", "export"):
        answer = world.server.post(f"/dashboards/charts/{path}", json={"chart": chart}, auth=HOUSE)
        assert answer.status_code == 200, answer.text
        assert OWN in answer.text
        assert OTHER not in answer.text
    everything = world.ask("POST", "/dashboards/charts/preview", ADMIN, json={"chart": chart})
    assert OTHER in str(everything)


@pytest.mark.parametrize(("method", "call"), TRIGGER_CALLS)
def test_no_trigger_elsewhere_is_touched(world: World, method: str, call: str) -> None:
    keys = [{"namespace": OTHER, "flowId": "of-office", "triggerId": "tick"}]

    refused = world.refused(method, f"/triggers/{call}/by-triggers", json=keys)

    assert "trigger not found" in refused.text
    done = world.ask(method, f"/triggers/{call}/by-query?namespace={OTHER}")
    assert done == {"count": 0, "totalItems": 0}
    filters = {"filters": [{"field": "namespace", "operation": "EQUALS", "value": OTHER}]}
    done = world.ask(method, f"/triggers/{call}/by-query", json=filters)
    assert done == {"count": 0, "totalItems": 0}


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("PUT", ""),
        ("PUT", "/set-disabled"),
        ("PUT", "/backfill/create"),
        ("POST", "/backfill/create"),
        ("POST", "/backfill/delete"),
        ("PUT", "/backfill/pause"),
        ("PUT", "/backfill/unpause"),
    ],
)
def test_a_trigger_in_the_body_must_be_theirs(world: World, method: str, call: str) -> None:
    body = {
        "namespace": OTHER,
        "flowId": "of-office",
        "triggerId": "tick",
        "backfill": {"start": "2024-01-01T00:00:00Z"} if "create" in call else None,
    }
    assert world.refused(method, f"/triggers{call}", json=body).status_code == 404


def test_lines_and_metrics_elsewhere_are_not_purged(world: World) -> None:
    date = "endDate=2099-01-01T00:00:00Z"
    for kind in ("metrics", "logs"):
        for query in (
            f"namespace={OTHER}",
            f"filters[namespace][EQUALS]={OTHER}",
            f"namespace={OTHER}&flowId=of-office",
        ):
            assert world.ask("DELETE", f"/{kind}/by-query?{date}&{query}") == {"count": 0}
        # What lies above their namespace means what is below it here.
        assert world.ask("DELETE", f"/{kind}/by-query?{date}&namespace=house") == {"count": 1}
        assert world.ask("DELETE", f"/{kind}/by-query?{date}") == {"count": 0}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/executions/by-query"),
        ("DELETE", "/flows/delete/by-query"),
        ("POST", "/triggers/set-disabled/by-query"),
        ("DELETE", "/logs/by-query?endDate=2099-01-01T00:00:00Z"),
        ("POST", "/namespaces"),
    ],
)
def test_who_may_only_look_changes_nothing(world: World, method: str, path: str) -> None:
    answer = world.server.call(method, path, auth=VIEWER, json={"id": OWN})
    assert answer.status_code == 403


def test_namespaces_are_written_by_who_may_write_there(world: World) -> None:
    made = world.ask("POST", "/namespaces", json={"id": f"{OWN}.stove", "description": "hot"})
    assert made["description"] == "hot"
    for method, path in (
        ("POST", "/namespaces"),
        ("PUT", f"/namespaces/{OTHER}"),
        ("DELETE", f"/namespaces/{OTHER}"),
        ("GET", f"/namespaces/{OTHER}"),
    ):
        answer = world.server.call(method, path, auth=HOUSE, json={"id": OTHER})
        assert answer.status_code == 403, (method, path)


def test_every_route_that_narrows_is_tried_here() -> None:
    tried = {
        *(
            f"/executions/{verb}/{kind}".replace("//", "/")
            for verb in EXECUTION_VERBS
            for kind in KINDS
        ),
        *(f"/executions/{verb}/{kind}" for verb in ("labels", "change-status") for kind in KINDS),
        *(f"/flows/{verb}/{kind}" for verb in ("delete", "disable", "enable") for kind in KINDS),
        *(
            f"/triggers/{call}/by-{kind}"
            for _, call in TRIGGER_CALLS
            for kind in ("triggers", "query")
        ),
    }
    # Those have tests beside what else they do.
    elsewhere = ("/stats/", "/taskruns/", "/dashboards")
    narrowing = {path for _, path, handler in ROUTES if is_narrowing(handler)}
    others = {path for path in narrowing - tried if not path.startswith(elsewhere)}
    assert others == {
        "/concurrency-limit/search",
        "/executions",
        "/executions/distinct-field-values",
        "/executions/export/by-query/csv",
        "/executions/latest",
        "/executions/namespaces",
        "/executions/search",
        "/flows/deprecated",
        "/flows/distinct-namespaces",
        "/flows/export/by-ids",
        "/flows/export/by-query",
        "/flows/export/by-query/csv",
        "/flows/expressions",
        "/flows/graph",
        "/flows/hashes/by-ids",
        "/flows/import",
        "/flows/search",
        "/flows/source",
        "/flows/source/replace/apply",
        "/flows/source/replace/line",
        "/flows/source/replace/preview",
        "/flows/validate",
        "/flows/validate/task",
        "/flows/validate/trigger",
        "/kv",
        "/logs/by-query",
        "/logs/search",
        "/metrics/by-query",
        "/namespaces/autocomplete",
        "/namespaces/search",
        "/secrets",
        "/namespaces/{namespace}/secrets",
        "/templates/delete/by-ids",
        "/templates/delete/by-query",
        "/templates/distinct-namespaces",
        "/templates/export/by-ids",
        "/templates/export/by-query",
        "/templates/import",
        "/templates/search",
        "/templates/validate",
        "/triggers",
        "/triggers/",
        "/triggers/backfill/create",
        "/triggers/backfill/delete",
        "/triggers/backfill/pause",
        "/triggers/backfill/unpause",
        "/triggers/export/by-query/csv",
        "/triggers/search",
        "/triggers/set-disabled",
    }
