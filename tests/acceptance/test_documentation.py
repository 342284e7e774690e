"""The examples of the documentation, run as they stand.

A fenced `console` block after `<!-- run: in order -->` is a session: lines after `$ ` are run by a
shell, the lines below are what it must print. `…` stands for any text, alone on a line for any
lines.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.running import RunningServer, clean_environment, running_server

ROOT = Path(__file__).parents[2]
SESSION = re.compile(r"<!-- run: in order -->\n```console\n(.*?)```", re.DOTALL)
COMMAND_TIMEOUT_S = 60


def sessions(page: Path) -> list[tuple[str, str]]:
    """(command, expected output) pairs of a page, in order."""
    steps: list[tuple[str, str]] = []
    for block in SESSION.findall(page.read_text(encoding="utf-8")):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = step.partition("\n")
            steps.append((command, expected))
    return steps


def pattern_of(expected: str) -> re.Pattern[str]:
    """What an expected output matches."""
    parts = []
    for line in expected.splitlines():
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(re.escape(line).replace("…", ".*") + r"\n")
    return re.compile("".join(parts))


def run(command: str, folder: Path, server: RunningServer) -> str:
    """Run one line in a shell that finds `tiercel`; return what it printed."""
    environment = clean_environment()
    environment["TIERCEL_SERVER"] = server.url
    environment["API"] = f"{server.url}/api/v1/main"
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(("page", "steps_min"), [("cli.md", 9), ("dashboards.md", 8)])
def test_the_sessions_of_a_page_hold(
    tmp_path: Path, orders: Path, page: str, steps_min: int
) -> None:
    folder = tmp_path / "folder"
    for kind in ("examples", "dashboards"):
        shutil.copytree(ROOT / "deploy" / kind, folder / "deploy" / kind)
    shutil.copy(orders, folder / "orders.csv")
    steps = sessions(ROOT / "docs" / page)
    assert len(steps) >= steps_min

    with running_server(tmp_path / "data") as server:
        for command, expected in steps:
            printed = run(command, folder, server)

            assert pattern_of(expected).fullmatch(printed), f"$ {command}\n{printed}"


def test_the_sessions_of_the_page_of_types_hold(
    tmp_path: Path, embedded_server: RunningServer
) -> None:
    steps = sessions(ROOT / "docs" / "plugins.md")
    assert len(steps) == 4

    for command, expected in steps:
        printed = run(command, tmp_path, embedded_server)
        assert pattern_of(expected).fullmatch(printed), f"$ {command}\n{printed}"
    assert '"task"' in (tmp_path / ".vscode" / "flow-schema.json").read_text()


@pytest.mark.parametrize(
    "page",
    ["README.md", *(f"docs/{n}" for n in ("README.md", "cli.md", "dashboards.md", "plugins.md"))],
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{page} links to {target}"


def test_the_flow_of_the_readme_holds(embedded_server: RunningServer) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)

    (verdict,) = embedded_server.client.validate_flow(source)

    assert verdict["flow"] == "greeting"
    assert not verdict.get("constraints")
