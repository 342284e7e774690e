"""Pairs and files of a namespace on the command line, used by a flow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.acceptance.running import RunningServer
from typer.testing import CliRunner

from tiercel_cli.client import ServerRefused
from tiercel_cli.main import app

FLOW = """
id: reads
namespace: {namespace}
tasks:
  - id: both
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ kv('limits').orders }}}} {{{{ kv('code') }}}} {{{{ read('notes/a b.txt') }}}}"
"""


class Shell:
    """Runs `tiercel` in this process."""

    def __init__(self, server: RunningServer) -> None:
        self._environment = {"TIERCEL_SERVER": server.url}

    def __call__(self, *arguments: str) -> str:
        """What it prints. Raises what it ends with."""
        result: Result = CliRunner().invoke(
            app, arguments, env=self._environment, catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return str(result.stdout)


@pytest.fixture
def shell(embedded_server: RunningServer) -> Shell:
    return Shell(embedded_server)


def test_pairs_are_set_listed_read_and_deleted(shell: Shell, namespace: str) -> None:
    assert shell("kv", "set", namespace, "limits", '{"orders": 10}', "--ttl", "P1D") == (
        f"{namespace} limits is set\n"
    )
    shell("kv", "set", namespace, "code", "007", "--text", "--description", "of the door")
    shell("kv", "set", namespace, "nothing", "null")

    listed: list[dict[str, Any]] = json.loads(shell("kv", "list", namespace, "--json"))
    assert [pair["key"] for pair in listed] == ["code", "limits", "nothing"]
    assert "of the door" in shell("kv", "list", namespace)
    assert json.loads(shell("kv", "get", namespace, "limits")) == {"orders": 10}
    assert shell("kv", "get", namespace, "code") == "007\n"
    assert json.loads(shell("kv", "get", namespace, "code", "--json"))["type"] == "STRING"
    assert shell("kv", "delete", namespace, "code") == f"{namespace} code is deleted\n"
    assert shell("kv", "delete", namespace, "code") == f"{namespace} code was not there\n"
    with pytest.raises(ServerRefused, match="No value found"):
        shell("kv", "get", namespace, "code")


def test_files_are_put_listed_fetched_and_deleted(
    shell: Shell, namespace: str, tmp_path: Path
) -> None:
    scripts = tmp_path / "scripts"
    (scripts / "sub").mkdir(parents=True)
    (scripts / "a.py").write_text("print(1)\n")
    (scripts / "sub" / "a b.txt").write_bytes(b"\x00\xff" * 300_000)
    archive = tmp_path / "x.zip"
    archive.write_bytes(b"PK no archive")

    assert shell("files", "put", namespace, str(scripts)) == "/scripts/a.py\n/scripts/sub/a b.txt\n"
    assert shell("files", "put", namespace, str(archive), "--to", "kept/x.zip") == "/kept/x.zip\n"
    assert shell("files", "list", namespace, "--query", ".py") == "/scripts/a.py\n"
    assert json.loads(shell("files", "list", namespace, "--json")) == [
        "/kept/x.zip",
        "/scripts/a.py",
        "/scripts/sub/a b.txt",
    ]
    assert shell("files", "get", namespace, "scripts/a.py") == "print(1)\n"
    fetched = tmp_path / "fetched"
    shell("files", "get", namespace, "scripts/sub/a b.txt", "--output", str(fetched))
    assert fetched.read_bytes() == (scripts / "sub" / "a b.txt").read_bytes()
    shell("files", "delete", namespace, "scripts")
    assert shell("files", "list", namespace) == "/kept/x.zip\n"
    with pytest.raises(ServerRefused, match="but there is none"):
        shell("files", "get", namespace, "scripts/a.py", "--output", str(tmp_path / "none"))
    assert not list(tmp_path.glob("none*"))


def test_a_flow_reads_what_the_command_line_has_put(
    shell: Shell, embedded_server: RunningServer, namespace: str, tmp_path: Path
) -> None:
    shell("kv", "set", namespace, "limits", '{"orders": 10}')
    shell("kv", "set", namespace, "code", "007", "--text")
    (tmp_path / "note").write_text("a note")
    shell("files", "put", namespace, str(tmp_path / "note"), "--to", "/notes/a b.txt")
    embedded_server.save(FLOW.format(namespace=namespace))

    started = embedded_server.post(f"/executions/{namespace}/reads").json()["id"]

    ended = embedded_server.ended(started)
    assert ended["taskRunList"][0]["outputs"] == {"value": "10 007 a note"}
