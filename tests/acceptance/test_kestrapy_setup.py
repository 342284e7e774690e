"""A server behind a login, as `kestrapy` sets one up and uses it; and the package's own tests.

The package comes with the tests that its makers run against their server (`testApis`): they set
the server up, log in, mint a token and call everything with it. Here they run unchanged against
`tiercel server`; only the address is put in their place.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import kestra
import pytest
import requests
from kestrapy import (
    CreateApiTokenRequest,
    KestraClient,
    TriggerControllerApiTriggerId,
    TriggerControllerSetDisabledRequest,
)
from kestrapy.exceptions import (
    ConflictException,
    NotFoundException,
    UnauthorizedException,
    UnprocessableEntityException,
)
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer, eventually, running_server

T = "main"
NS = "kestrapy.setup"
#: Those of the package's own tests: it finds the user made here.
USER, PASSWORD = "root@root.com", "Root!1234"
FLOW = f"""id: waits
namespace: {NS}
tasks:
  - id: hold
    type: io.kestra.plugin.core.flow.Pause
triggers:
  - id: yearly
    type: io.kestra.plugin.core.trigger.Schedule
    cron: "0 0 1 1 *"
"""
SLOW = f"""id: slow
namespace: {NS}
tasks:
  - id: sleep
    type: io.kestra.plugin.core.flow.Sleep
    duration: PT30S
"""

GREETS = f"""id: greets
namespace: {NS}
inputs:
  - {{id: who, type: STRING, defaults: world}}
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: "hello {{{{ inputs.who }}}}"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("setup")) as running:
        yield running


@pytest.fixture(scope="module")
def token(server: RunningServer) -> str:
    """What a client holds after it has set the server up and logged in."""
    first = {"username": USER, "password": PASSWORD, "tenant": {"id": T, "name": T}}
    assert server.post("/setup", json=first).status_code == 200
    assert server.post("/setup", json=first).status_code == 405

    session = requests.Session()
    for password, status in (("wrong", 401), (PASSWORD, 200)):
        login = {"username": USER, "password": password}
        answer = session.post(f"{server.url}/login", json=login, timeout=60)
        assert answer.status_code == status
    page = session.get(f"{server.url}/ui/", timeout=60).text
    csrf = re.search(r'<meta name="csrf-token" content="([^"]+)">', page)
    assert csrf is not None
    tokens, asked = f"{server.url}/api/v1/me/api-tokens", {"name": "ci-token", "maxAge": "P1D"}
    assert session.post(tokens, json=asked, timeout=60).status_code == 403
    made = session.post(tokens, json=asked, headers={"X-CSRF-TOKEN": csrf[1]}, timeout=60)
    assert made.status_code == 200
    return str(made.json()["fullToken"])


@pytest.fixture(scope="module")
def client(server: RunningServer, token: str) -> Any:
    found = KestraClient(host=server.url, token=token, timeout=60)
    for source in (FLOW, SLOW, GREETS):
        found.flows.create_flow(T, source)
    return found


def test_nobody_gets_in_without_the_token(server: RunningServer, client: Any) -> None:
    assert client.flows.flow(NS, "waits", T).id == "waits"
    for stranger in (
        KestraClient(host=server.url, timeout=60),
        KestraClient(host=server.url, timeout=60, token="tiercel_x_y"),
        KestraClient(host=server.url, timeout=60, username=USER, password="wrong"),
    ):
        with pytest.raises(UnauthorizedException):
            stranger.flows.flow(NS, "waits", T)


def test_what_is_not_there_raises(client: Any) -> None:
    for call in (
        lambda: client.flows.flow(NS, "waits", "no-such-tenant"),
        lambda: client.flows.flow(NS, "nobody", T),
        lambda: client.executions.execution("nobody", T),
        lambda: client.namespaces.namespace("nobody.there", T),
        lambda: client.kv.key_value(NS, "nobody", T),
        lambda: client.files.file_content(NS, "/nobody.txt", T),
        lambda: client.triggers.restart_trigger(T, NS, "waits", "nobody"),
    ):
        with pytest.raises(NotFoundException):
            call()


def test_a_flow_is_created_once(client: Any) -> None:
    with pytest.raises(UnprocessableEntityException):
        client.flows.create_flow(T, FLOW)


def test_a_declared_trigger_stays(client: Any) -> None:
    with pytest.raises(ConflictException):
        client.triggers.delete_trigger(T, NS, "waits", "yearly")


def test_what_runs_is_paused_and_resumed_without_inputs(client: Any) -> None:
    def until(execution_id: str, *states: str) -> Any:
        return eventually(
            lambda: client.executions.execution(execution_id, T),
            lambda found: found.state.current in states,
        )

    waiting = until(client.executions.create_execution(T, NS, "waits").id, "PAUSED")
    with pytest.raises(UnprocessableEntityException):
        client.executions.pause_execution(waiting.id, T)
    assert client.executions.resume_execution(waiting.id, T).id == waiting.id
    until(waiting.id, "SUCCESS")
    slow = until(client.executions.create_execution(T, NS, "slow").id, "RUNNING")
    client.executions.pause_execution(slow.id, T)
    client.executions.kill_execution(slow.id, T)
    until(slow.id, "KILLED")


@drives("current_user", "list_api_tokens", "create_api_token", "delete_api_token")
def test_a_token_is_made_used_and_revoked(server: RunningServer, client: Any) -> None:
    me = client.me.current_user()
    assert (me["id"], me["instanceOwner"]) == (USER, True)

    made = client.me.create_api_token(CreateApiTokenRequest(name="second", max_age="PT1H"))
    other = KestraClient(host=server.url, token=made.full_token, timeout=60)
    assert other.me.current_user()["id"] == USER
    assert "second" in [one.name for one in client.me.list_api_tokens().results]
    client.me.delete_api_token(made.id)

    with pytest.raises(UnauthorizedException):
        other.me.current_user()
    with pytest.raises(NotFoundException):
        client.me.delete_api_token(made.id)


def test_who_edits_one_namespace_switches_its_triggers_alone(
    server: RunningServer, token: str, client: Any
) -> None:
    # given: the same flow in two namespaces, and somebody who edits one of them
    own, other = f"{NS}.own", f"{NS}.other"
    roles = [{"role": "editor", "namespace": own}]
    user = {"username": "ed", "password": "edits one of them", "roles": roles}
    headers = {"Authorization": f"Bearer {token}"}
    assert server.post("/users", json=user, headers=headers).status_code == 200
    for namespace in (own, other):
        client.flows.create_flow(T, FLOW.replace(f"namespace: {NS}", f"namespace: {namespace}"))
    editor = KestraClient(host=server.url, timeout=60, username="ed", password="edits one of them")
    both = [
        TriggerControllerApiTriggerId(namespace=n, flow_id="waits", trigger_id="yearly")
        for n in (own, other)
    ]

    # when, then
    def found(someone: Any) -> list[tuple[str, bool]]:
        below = [{"field": "namespace", "operation": "IN", "value": [own, other]}]
        page = someone.triggers.search_triggers(T, filters=below, sort=["namespace:asc"])
        rows = [row["state"] for row in page["results"]]
        return [(row["namespace"], row["disabled"]) for row in rows]

    eventually(lambda: found(client), lambda rows: len(rows) == 2)
    assert found(editor) == [(own, False)]
    asked = TriggerControllerSetDisabledRequest(triggers=both, disabled=True)
    with pytest.raises(UnprocessableEntityException) as refused:
        editor.triggers.disabled_triggers_by_ids(T, asked)
    assert own not in refused.value.body
    assert editor.triggers.disabled_triggers_by_query(T, disabled=True)["count"] == 1
    eventually(lambda: found(client), lambda rows: rows == [(other, False), (own, True)])
    with pytest.raises(NotFoundException):
        editor.triggers.disable_trigger_by_id(
            T, {"namespace": other, "flowId": "waits", "triggerId": "yearly", "disabled": True}
        )


@drives("tenant", "search_tenants")
def test_the_tenants_are_those_of_the_settings(client: Any) -> None:
    assert client.tenants.tenant(T).id == T
    found = client.tenants.search_tenants(page=1, size=10, sort=["id:asc"])
    assert [one.id for one in found.results] == [T]
    nobody = [{"field": "QUERY", "operation": "EQUALS", "value": "nobody"}]
    assert client.tenants.search_tenants(filters=nobody).total == 0
    with pytest.raises(NotFoundException):
        client.tenants.tenant("nobody")


@pytest.mark.parametrize("tenant", [None, T])
@pytest.mark.parametrize("way", ["password", "token"])
def test_the_smaller_client_logs_in_by_its_environment(
    server: RunningServer,
    client: Any,
    token: str,
    way: str,
    tenant: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KESTRA_HOSTNAME", server.url)
    monkeypatch.setenv("KESTRA_USER", USER)
    if way == "token":
        monkeypatch.setenv("KESTRA_API_TOKEN", token)
    flow = kestra.Flow(tenant=tenant)
    # Release 2.0.0 does not read KESTRA_PASSWORD, though it says so. A token wins over it.
    flow.password = PASSWORD if way == "password" else "wrong"

    ran = flow.execute(NS, "greets", {"who": "you"})

    assert ran.status == "SUCCESS"
    assert "INFO hello you" in ran.log
    flow.password, flow.api_token = "wrong", "tiercel_x_y" if way == "token" else None
    with pytest.raises(Exception, match="Authentication required"):
        flow.execute(NS, "greets")


#: Modules of the package's tests, in groups that run beside each other.
GROUPS = (
    ("triggers_api", "kv_api", "me_api", "basic_sdk_usage_example"),
    ("executions_api", "executions_coverage_421", "queryfilters"),
    (
        "logs_api",
        "metrics_api",
        "outputs_api",
        "files_api",
        "namespaces_api",
        "phase4_filters_pagination_tenant",
        "dashboards_api",
    ),
    ("flows_api", "flows_coverage_421", "plugins_api", "blueprints_api", "tenants_api"),
)
SECRETS = "secrets are environment variables of the server, which no call changes"
#: Tests of the package that fail here, and why.
TENANTS = "tenants are a setting of the server"
BLUEPRINTS = "blueprints of users are of the peer's enterprise edition"
FAILING = {
    "test_create_flow_blueprint_basic": BLUEPRINTS,
    "test_flow_blueprint_by_id_basic": BLUEPRINTS,
    "test_update_flow_blueprint_basic": BLUEPRINTS,
    "test_delete_flow_blueprints_basic": BLUEPRINTS,
    "test_search_internal_blueprints_with_sort": BLUEPRINTS,
    "test_search_internal_blueprints_with_source": BLUEPRINTS,
    "test_search_internal_blueprints_basic": BLUEPRINTS,
    "test_use_blueprint_template_not_template": BLUEPRINTS,
    "test_flow_blueprint_basic": BLUEPRINTS,
    "TestCreateFlow.test_simple": "it reads a file that is not in the package",
    "test_tenant_crud_roundtrip_with_concurrency_and_quotas": TENANTS,
    "test_search_tenants_finds_created_tenant": TENANTS,
    "test_put_secrets_basic": SECRETS,
    "test_delete_secret_basic": SECRETS,
    "test_patch_secret_basic": SECRETS,
    "test_list_secrets_basic": SECRETS,
    "test_list_secrets_with_namespace_filter": SECRETS,
}


def test_the_package_s_own_tests_pass(server: RunningServer, client: Any, tmp_path: Path) -> None:
    runs = [_started(server.url, modules, tmp_path) for modules in GROUPS]

    passed, failed = set[str](), dict[str, str]()
    for run, report in runs:
        run.wait(300)
        for case in ElementTree.parse(report).iter("testcase"):
            # `test_flows_api.TestCreateFlow`: the name of a class makes the test's own one.
            kind = case.attrib["classname"].rpartition(".")[2]
            name = f"{kind}.{case.attrib['name']}" if kind[0].isupper() else case.attrib["name"]
            problems = [*case.iter("failure"), *case.iter("error")]
            if problems:
                failed[name] = problems[0].attrib.get("message", "")
            elif not list(case.iter("skipped")):
                passed.add(name)

    assert {name: why for name, why in failed.items() if name not in FAILING} == {}
    assert failed.keys() == FAILING.keys()
    assert len(passed) > 150


def _started(
    url: str, modules: tuple[str, ...], folder: Path
) -> tuple[subprocess.Popen[bytes], Path]:
    spec = find_spec("testApis")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    tests = Path(spec.submodule_search_locations[0])
    files = [tests / f"test_{one}.py" for one in modules]
    report = folder / f"{modules[0]}.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tests)]
    command += ["-p", "no:cacheprovider", "-p", "tests.acceptance.packaged_host"]
    command += [f"--junitxml={report}", *map(str, files)]
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PACKAGED_HOST": url,
    }
    with (folder / f"{modules[0]}.log").open("wb") as output:
        run = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
    return run, report
