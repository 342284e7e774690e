"""docs/api-coverage.md says which calls of the `kestrapy` package a test drives, and why not."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "api-coverage.md"
ACCEPTANCE = ROOT / "tests" / "acceptance"
#: API class -> the module of tests that drive it.
APIS = {
    "BlueprintsApi": "test_kestrapy_blueprints.py",
    "DashboardsApi": "test_kestrapy_dashboards.py",
    "ExecutionsApi": "test_kestrapy_executions.py",
    "FilesApi": "test_kestrapy_files.py",
    "FlowsApi": "test_kestrapy_flows.py",
    "InstanceApi": "test_services.py",
    "KVApi": "test_kestrapy_files.py",
    "LogsApi": "test_kestrapy_logs.py",
    "MeApi": "test_kestrapy_setup.py",
    "MetricsApi": "test_kestrapy_logs.py",
    "MiscApi": "test_kestrapy_misc.py",
    "NamespacesApi": "test_kestrapy_namespaces.py",
    "OutputsApi": "test_kestrapy_outputs.py",
    "PluginsApi": "test_kestrapy_plugins.py",
    "TenantsApi": "test_kestrapy_setup.py",
    "TriggersApi": "test_kestrapy_triggers.py",
}
ENTERPRISE = "of the peer's enterprise edition"
SECRETS = "secrets are environment variables of the server, which no call changes"
NOT_SERVED = {
    "list_promotions": ENTERPRISE,
    "preview_policies": ENTERPRISE,
    "promote": ENTERPRISE,
    "promote_by_ids": ENTERPRISE,
    "promote_diff": ENTERPRISE,
    "report_promote": ENTERPRISE,
}
CREDENTIALS = (
    "create_namespace_credential",
    "delete_namespace_credential",
    "get_inherited_credentials",
    "list_namespace_credentials",
    "namespace_credential",
    "test_namespace_connection",
    "update_namespace_credential",
)
TENANTS = ("create_tenant", "delete_tenant", "update_tenant")
CATALOGS = (
    "apps_catalog_config",
    "delete_apps_catalog_logo",
    "set_apps_catalog_config",
    "set_apps_catalog_logo",
    "set_logo",
)
INSTANCE = (
    "enter_maintenance",
    "exit_maintenance",
    "install_versioned_plugins",
    "list_all_mcp_servers",
    "list_available_versioned_plugins",
    "list_available_versioned_plugins_for_secret_manager",
    "list_available_versioned_plugins_for_storage",
    "list_versioned_plugins",
    "list_worker_credentials",
    "resolve_versioned_plugins",
    "revoke_worker_credential",
    "uninstall_versioned_plugins",
    "upload_versioned_plugin",
    "versioned_plugin_details",
    "versioned_plugin_details_for_version",
    "versioned_plugin_icon",
    "versioned_plugin_release_notes",
    "worker_credential",
)
NOT_SERVED |= dict.fromkeys(INSTANCE, ENTERPRISE)
NOT_SERVED |= dict.fromkeys(TENANTS, "tenants are a setting of the server")
NOT_SERVED |= dict.fromkeys(CATALOGS, ENTERPRISE)
NOT_SERVED["update_current_user"] = "a user has a name and a password, and no more"
NOT_SERVED |= dict.fromkeys(CREDENTIALS, ENTERPRISE)
NOT_SERVED |= dict.fromkeys(("delete_secret", "patch_secret", "put_secrets"), SECRETS)
HEAD = """# Calls of the client package that are served

Every call of `kestrapy` 2.0.3 in these classes, and the test that drives it through the unchanged
package against `tiercel server`. A test keeps this table true; run it with `--rewrite`.
"""


def methods_of(api: str) -> list[str]:
    module = importlib.import_module(f"kestrapy.api.{api.removesuffix('Api').lower()}_api")
    public = (name for name in vars(getattr(module, api)) if not name.startswith("_"))
    return sorted(public)


def driven_by(file_name: str) -> dict[str, str]:
    """Method -> the test whose `drives` decorator names it."""
    tree = ast.parse((ACCEPTANCE / file_name).read_text())
    return dict(_pairs(tree))


def _pairs(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for test in tree.body:
        if not isinstance(test, ast.FunctionDef):
            continue
        for mark in test.decorator_list:
            is_call = isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name)
            if is_call and mark.func.id == "drives":
                for argument in mark.args:
                    yield ast.literal_eval(argument), test.name


def table(api: str) -> str:
    driven = driven_by(APIS[api])
    methods = methods_of(api)
    served = sum(name in driven for name in methods)
    rows = [
        f"| `{name}` | {_sentence(driven[name]) if name in driven else NOT_SERVED[name]} |"
        for name in methods
    ]
    head = f"## {api}: {served} of {len(methods)}\n\n| call | test, or why there is none |"
    return "\n".join([head, "| --- | --- |", *rows])


def _sentence(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ")


def test_the_table_names_every_call(request: pytest.FixtureRequest) -> None:
    text = "\n".join([HEAD, *(f"{table(api)}\n" for api in APIS)])

    if request.config.getoption("--rewrite"):
        DOCUMENT.write_text(text)

    assert DOCUMENT.read_text() == text


@pytest.mark.parametrize("api", APIS)
def test_no_test_drives_a_call_that_is_not_there(api: str) -> None:
    known = {name for one in APIS for name in methods_of(one)}

    assert set(driven_by(APIS[api])) <= known
