"""The flows of deploy/examples/control, run as they stand: how they end, and which tasks ran."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.acceptance.running import RunningServer

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples" / "control"

#: Flow -> (final state, task ids in the order in which their runs were made).
EXPECTED = {
    "one-by-one": (
        "WARNING",
        "morning by-flour sour when-sour feed may-burn burn air sell",
    ),
    "side-by-side": ("SUCCESS", "ovens bread rolls pretzels cake dough cream assemble"),
    "stop-the-line": ("FAILED", "line mixer power call"),
    "each-guest": ("SUCCESS", "guests table table greet table greet greet"),
    "until-risen": ("SUCCESS", "until look"),
    "rest": ("SUCCESS", "cover note bake"),
    "helpers": ("SUCCESS", "rest told"),
    "one-bench": ("SUCCESS", "bench sort show"),
    "notes": ("SUCCESS", "note forget label check home"),
}


@pytest.fixture(scope="module")
def loaded(embedded_server: RunningServer) -> RunningServer:
    for path in sorted(EXAMPLES.glob("*.yaml")):
        embedded_server.save(path.read_text())
    return embedded_server


def test_every_example_is_among_those_that_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == EXPECTED.keys()


@pytest.mark.parametrize("flow", EXPECTED)
def test_an_example_ends_as_its_page_says(loaded: RunningServer, flow: str) -> None:
    started = loaded.post(f"/executions/bakery.control/{flow}")
    assert started.status_code == 200, started.text

    ended = loaded.ended(started.json()["id"])

    state, tasks = EXPECTED[flow]
    assert ended["state"]["current"] == state, loaded.messages(ended["id"])
    # Values side by side may take turns: only what ran is told for certain.
    assert sorted(run["taskId"] for run in ended["taskRunList"]) == sorted(tasks.split())
