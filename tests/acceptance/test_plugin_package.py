"""A plugin package of somebody else, installed in a clean environment beside Tiercel."""

from __future__ import annotations

import json
import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from jsonschema import Draft7Validator
from tests.acceptance.running import clean_environment

ROOT = Path(__file__).parents[2]
INSTALL_TIMEOUT_S = 240
START_TIMEOUT_S = 120

PYPROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-tiercel"
version = "1.0"

[project.entry-points."tiercel.plugins"]
acme = "acme_tiercel"

[tool.hatch.build.targets.wheel]
include = ["acme_tiercel.py"]
"""

MODULE = '''"""Greetings."""

from tiercel_engine.plugin.native import task


@task("com.acme.Greet")
def greet(name: str, times: int = 1) -> dict[str, str]:
    """Greet somebody several times."""
    return {"greeting": " ".join([f"Hello {name}!"] * times)}
'''

FLOW = """id: greets
namespace: acme.plugins
tasks:
  - id: greet
    type: com.acme.Greet
    name: "{{ flow.id }}"
    times: 2
"""


def yaml_of(source: str) -> Any:
    return yaml.safe_load(source)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with Tiercel and the plugin.

    Tiercel itself comes from here, by a path file: it is not installed again.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    paths = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
    packages = Path(sysconfig.get_path("purelib", "posix_prefix", paths))
    here = (*site.getsitepackages(), sysconfig.get_path("purelib"))
    rooms = [str(ROOT / room) for room in ("schemas", "engine", "worker", "scheduler", "api")]
    (packages / "tiercel.pth").write_text("\n".join(dict.fromkeys([*here, *rooms])))
    source = folder / "acme-tiercel"
    source.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "acme_tiercel.py").write_text(MODULE)
    # What it is built with is found here, too, so that nothing is fetched.
    options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    pip = ("-m", "pip", "--python", str(python), "install")
    run(Path(sys.executable), *pip, *options, str(source))
    return python


def run(python: Path, *arguments: str) -> str:
    done = subprocess.run(
        [python, *arguments],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_line_lists_and_documents_the_type(python: Path) -> None:
    listed = json.loads(run(python, "-m", "tiercel_cli.main", "plugins", "list", "acme", "--json"))
    assert listed == [
        {
            "type": "com.acme.Greet",
            "kind": "task",
            "package": "acme-tiercel",
            "summary": "Greet somebody several times",
        }
    ]
    shown = run(python, "-m", "tiercel_cli.main", "plugins", "doc", "com.acme.Greet")
    assert "Greet somebody several times." in shown
    assert "times" in shown


def test_a_flow_uses_the_type(python: Path, tmp_path: Path) -> None:
    command = [python, "-m", "tiercel_cli.main", "server", "--port", "0", "--data", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--stop-with-stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=clean_environment(),
    ) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"] + "/api/v1"
        written = {"Content-Type": "application/x-yaml"}
        saved = requests.post(f"{url}/flows", FLOW, headers=written, timeout=START_TIMEOUT_S)
        assert saved.status_code == 200, saved.text
        wrong = FLOW.replace("times: 2", "times: often").replace("greets", "wrong")
        refused = requests.post(f"{url}/flows", wrong, headers=written, timeout=START_TIMEOUT_S)
        path = f"{url}/executions/acme.plugins/greets?wait=true"
        ended = requests.post(path, timeout=START_TIMEOUT_S).json()
        page = requests.get(f"{url}/plugins/com.acme.Greet", timeout=START_TIMEOUT_S).json()
        groups = requests.get(f"{url}/plugins", timeout=START_TIMEOUT_S).json()
        schema = requests.get(f"{url}/plugins/schemas/flow", timeout=START_TIMEOUT_S).json()
    assert refused.status_code == 422
    assert ended["state"]["current"] == "SUCCESS"
    properties = page["schema"]["properties"]
    assert properties["title"] == "Greet somebody several times"
    assert properties["required"] == ["name"]
    (acme,) = [group for group in groups if group["group"] == "com.acme"]
    assert (acme["name"], acme["version"]) == ("acme-tiercel", "1.0")
    assert acme["tasks"] == ["com.acme.Greet"]
    check = Draft7Validator(schema)
    assert check.is_valid(yaml_of(FLOW))
    assert not check.is_valid(yaml_of(FLOW.replace("times: 2", "times: often")))
    assert ended["taskRunList"][0]["outputs"] == {"greeting": "Hello greets! Hello greets!"}
    assert sys.executable != str(python)
