"""Names of instances."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tiercel_cli.instance import claim_instance, claim_name
from tiercel_engine.errors import Conflict


def test_live_instances_have_different_names(tmp_path: Path) -> None:
    first = claim_instance(tmp_path, "executor")
    second = claim_instance(tmp_path, "executor")
    other_role = claim_instance(tmp_path, "worker")

    assert first.name.startswith("executor-")
    assert first.name.endswith("-0")
    assert second.name.endswith("-1")
    assert other_role.name.startswith("worker-")
    for instance in (first, second, other_role):
        instance.release()


def test_a_name_that_was_released_is_given_again(tmp_path: Path) -> None:
    first = claim_instance(tmp_path, "executor")
    second = claim_instance(tmp_path, "executor")
    first.release()

    third = claim_instance(tmp_path, "executor")

    assert third.name == first.name
    for instance in (second, third):
        instance.release()


def test_a_killed_process_gives_its_name_back(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tiercel_cli.instance import claim_instance\n"
        "held = claim_instance(Path(sys.argv[1]), 'executor'); print(held.name, flush=True)\n"
        "sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    name = holder.stdout.readline().strip()
    with pytest.raises(Conflict, match=f"Process {holder.pid} holds {name}"):
        claim_name(tmp_path, name)

    holder.kill()
    holder.communicate()

    again = claim_name(tmp_path, name)
    assert again.name == name
    again.release()
