"""Random requests drawn from the OpenAPI document: no fault of ours, no status it does not name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance
from tests.api_harness import ApiServer, api_server

from tiercel_api.app import ROUTES
from tiercel_api.openapi.document import document
from tiercel_api.routes import system

#: Requests per operation: the whole of them stays under a minute.
EXAMPLES = 3
#: They answer for as long as the execution runs, or the client stays.
ENDLESS = ("/follow", "/follow-dependencies")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("openapi")) as running:
        yield running


OPERATIONS = {
    operation.label: operation
    for result in schemathesis.openapi.from_dict(
        document((*ROUTES, *system.API_ROUTES), "1.2.3")
    ).get_all_operations()
    for operation in (result.ok(),)
    if not operation.path.endswith(ENDLESS)
}


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_finds_a_fault_or_a_status_without_a_name(server: ApiServer, label: str) -> None:
    operation = OPERATIONS[label]
    requested = operation.as_strategy()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=requested)
    def holds(case: schemathesis.Case) -> None:
        case.call_and_validate(
            base_url=f"{server.url}/api/v1",
            checks=[not_a_server_error, status_code_conformance],
            timeout=20,
        )

    holds()


def test_the_topics_are_described_for_those_outside(server: ApiServer) -> None:
    document = requests.get(f"{server.url}/asyncapi.yaml", timeout=20)
    schema = requests.get(f"{server.url}/asyncapi/ExecutionEvent.avsc", timeout=20)
    private = requests.get(f"{server.url}/asyncapi/TriggerState.avsc", timeout=20)

    assert document.headers["Content-Type"].startswith("application/yaml")
    addresses = [one["address"] for one in yaml.safe_load(document.text)["channels"].values()]
    assert server.topics.execution_events.name in addresses
    assert schema.json()["name"] == "ExecutionEvent"
    assert private.status_code == 404


def test_the_document_has_a_page(server: ApiServer) -> None:
    page = requests.get(f"{server.url}/docs", timeout=20)
    assert page.status_code == 200
    assert "/executions/{executionId}" in page.text
