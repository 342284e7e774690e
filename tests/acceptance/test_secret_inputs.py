"""SECRET inputs on a server with an encryption key."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.acceptance.running import running_server

KEY = base64.b64encode(b"k" * 32).decode()
FLOW = """
id: login
namespace: house.door
inputs:
  - id: pin
    type: SECRET
tasks:
  - id: show
    type: io.kestra.plugin.core.log.Log
    message: "The pin is {{ inputs.pin }}."
  - id: give
    type: io.kestra.plugin.core.debug.Return
    format: "{{ inputs.pin | length }}"
"""


def test_a_secret_reaches_tasks_and_nothing_else(tmp_path: Path) -> None:
    with running_server(tmp_path, "--encryption-key", KEY, "--url", "https://flows.test") as server:
        server.save(FLOW)

        created = server.client.create_execution("house.door", "login", {"pin": "0815-4711"})
        ended = server.ended(created["id"])
        messages = server.messages(created["id"])

        assert ended["state"]["current"] == "SUCCESS"
        assert ended["taskRunList"][1]["outputs"] == {"value": "9"}
        assert messages[0] == "The pin is ********."
        assert "0815-4711" not in str([created, ended])
        assert created["url"].startswith("https://flows.test/ui/")
    data = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"0815-4711" not in data


def test_a_secret_output_is_answered_sealed(tmp_path: Path) -> None:
    source = FLOW + "outputs: [{id: again, type: SECRET, value: '{{ inputs.pin }}'}]\n"
    with running_server(tmp_path, "--encryption-key", KEY) as server:
        server.save(source)

        created = server.client.create_execution("house.door", "login", {"pin": "0815-4711"})
        server.ended(created["id"])
        given = server.get(f"/outputs/executions/{created['id']}").json()

        assert given["again"]["type"] == "io.kestra.datatype:aes_encrypted"
        assert "0815-4711" not in str(given)
    data = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"0815-4711" not in data
