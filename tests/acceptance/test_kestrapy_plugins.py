"""`kestrapy`'s PluginsApi, through the unchanged package."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft7Validator
from kestrapy import KestraClient
from kestrapy.exceptions import ForbiddenException, NotFoundException
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer

LOG = "io.kestra.plugin.core.log.Log"
OLD_LOG = "io.kestra.core.tasks.log.Log"


@pytest.fixture(scope="module")
def plugins(embedded_server: RunningServer) -> Any:
    return KestraClient(host=embedded_server.url, timeout=60).plugins


@drives("list_plugins", "list_plugins_by_subgroups")
def test_groups_of_types_are_listed(plugins: Any) -> None:
    page = plugins.list_plugins(page=1, size=100, sort=["group:asc"])
    subgroups = plugins.list_plugins_by_subgroups()

    core = next(row for row in page["results"] if row["group"] == "io.kestra.plugin.core")
    assert page["total"] == len(page["results"])
    assert {"cls": LOG, "deprecated": False}.items() <= next(
        row for row in core["tasks"] if row["cls"] == LOG
    ).items()
    assert "io.kestra.plugin.core.log" in [row.get("subGroup") for row in subgroups]


@drives("plugin_icons", "plugin_group_icons", "plugin_icon", "plugin_icon_svg")
def test_types_have_pictures(plugins: Any) -> None:
    icon = plugins.plugin_icons()[LOG]

    assert icon["flowable"] is False
    assert plugins.plugin_icon(LOG)["icon"] == icon
    assert plugins.plugin_icon_svg(LOG).startswith("<svg")
    assert "io.kestra.plugin.core.log" in plugins.plugin_group_icons()


@drives("plugin_input_types", "plugin_input_schema")
def test_types_of_inputs_are_told(plugins: Any) -> None:
    assert "INT" in [row["type"] for row in plugins.plugin_input_types()]
    assert "max" in plugins.plugin_input_schema("INT")["schema"]["properties"]["properties"]


@drives("plugin_schema", "plugin_properties")
def test_a_schema_checks_flows(plugins: Any) -> None:
    schema = Draft7Validator(plugins.plugin_schema("flow", include_catalog=True))
    flow = {"id": "f", "namespace": "n", "tasks": [{"id": "t", "type": LOG, "message": "m"}]}

    assert schema.is_valid(flow)
    assert not schema.is_valid({**flow, "tasks": [{"id": "t", "type": LOG}]})
    assert plugins.plugin_schema("task", array_of=True)["type"] == "array"
    assert "namespace" in plugins.plugin_properties("flow")["properties"]


@drives("plugin_documentation", "plugin_versions", "plugin_documentation_for_version")
def test_a_type_has_a_page(plugins: Any) -> None:
    page = plugins.plugin_documentation(OLD_LOG, all_properties=True)
    versions = plugins.plugin_versions(LOG)

    assert "message" in page["schema"]["properties"]["required"]
    assert page["schema"]["properties"]["$examples"]
    assert versions["type"] == LOG
    of_version = plugins.plugin_documentation_for_version(LOG, versions["versions"][0])
    assert of_version == plugins.plugin_documentation(LOG)


@drives("plugin_triggers")
def test_triggers_are_listed(plugins: Any) -> None:
    rows = {row["type"]: row["group"] for row in plugins.plugin_triggers()["results"]}

    assert rows["io.kestra.plugin.core.trigger.Schedule"] == "core"
    assert rows["io.kestra.plugin.kafka.RealtimeTrigger"] == "realtime"


@drives("detect_missing_plugins", "install_plugins", "plugin_install_job")
def test_packages_are_not_installed_by_the_server(plugins: Any) -> None:
    flow = f"id: f\nnamespace: n\ntasks: [{{id: a, type: {LOG}}}, {{id: b, type: acme.Fly}}]"

    assert plugins.detect_missing_plugins(flow)["missing"] == ["acme.Fly"]
    with pytest.raises(ForbiddenException, match="pip"):
        plugins.install_plugins([{"groupId": "acme", "artifactId": "fly"}])
    with pytest.raises(NotFoundException):
        plugins.plugin_install_job("1")


@drives("plugin_ui_manifest", "plugin_ui")
def test_no_type_brings_parts_of_a_user_interface(plugins: Any) -> None:
    assert plugins.plugin_ui_manifest({LOG: "1.0"}) == {"manifest": {}}
    with pytest.raises(NotFoundException):
        plugins.plugin_ui("io.kestra.plugin.core", "index.js")
