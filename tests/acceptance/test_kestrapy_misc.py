"""`kestrapy`'s MiscApi, through the unchanged package, from a server without users to its first."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

import pytest
from kestrapy import KestraClient
from kestrapy.exceptions import ApiException
from kestrapy.models.basic_auth_credentials import BasicAuthCredentials
from kestrapy.models.setup_configuration_setup_data import SetupConfigurationSetupData
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer, running_server

T = "main"
PASSWORD = "correct horse battery"
FLOW = """id: counted
namespace: misc
tasks:
  - id: a
    type: io.kestra.plugin.core.log.Log
    message: m
    workerGroup: {key: gpu}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One of its own: its first user closes it for the others."""
    with running_server(tmp_path_factory.mktemp("misc"), "--worker-group", "gpu") as running:
        yield running


@pytest.fixture(scope="module")
def misc(server: RunningServer) -> Any:
    return KestraClient(host=server.url, timeout=60).misc


@drives("configuration", "login_configuration", "auths", "basic_auth_validation_errors")
def test_a_client_learns_what_it_talks_to(misc: Any) -> None:
    found = misc.configuration()

    assert found.version
    assert found.edition == "OSS"
    assert found.preview.initial == 100
    assert found.is_basic_auth_initialized is False
    assert misc.login_configuration().is_basic_auth_initialized is False
    assert misc.auths() == ["BASIC"]
    assert misc.basic_auth_validation_errors() == []


@drives("pebble_filters", "pebble_functions")
def test_the_names_of_the_expression_language(misc: Any) -> None:
    assert {"upper", "jq", "date"} <= set(misc.pebble_filters())
    assert misc.pebble_functions()["read"] == ["path", "revision"]


@drives("license_info", "refresh_license")
def test_there_is_no_license_that_could_expire(misc: Any) -> None:
    assert misc.license_info().expired is False
    misc.refresh_license()


@drives("worker_selector_tags")
def test_groups_of_workers_are_told(misc: Any) -> None:
    assert misc.worker_selector_tags(T).tags == ["gpu"]


@drives("generate_reports")
def test_a_report_counts_executions(misc: Any, server: RunningServer) -> None:
    server.save(FLOW)
    server.post("/executions/misc/counted?wait=true")

    table = list(csv.DictReader(misc.generate_reports(T, "2020-01-01").decode().splitlines()))

    assert sum(int(row["SUCCESS"]) for row in table) == 1
    assert sum(int(row["executions"]) for row in table) == 1


@drives("setup_configuration", "setup_kestra", "create_basic_auth")
def test_the_first_user_closes_the_server(misc: Any, server: RunningServer) -> None:
    assert misc.setup_configuration().done is False
    user = misc.setup_kestra(SetupConfigurationSetupData(username="ada", password=PASSWORD))
    assert user.username == "ada"

    assert misc.setup_configuration().done is True
    assert misc.login_configuration().is_basic_auth_initialized is True
    with pytest.raises(ApiException) as refused:
        misc.configuration()
    assert refused.value.status == 401
    ada = KestraClient(host=server.url, username="ada", password=PASSWORD, timeout=60).misc
    assert ada.configuration().is_basic_auth_initialized is True
    ada.create_basic_auth(T, BasicAuthCredentials(username="ada", password=PASSWORD + "!"))
    with pytest.raises(ApiException):
        ada.configuration()
