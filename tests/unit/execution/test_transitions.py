"""The tables of states are whole, and docs/states.md is drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tiercel_engine.execution.transitions import EXECUTION, TASK_RUN, check
from tiercel_schemas.state import State

DOCUMENT = Path(__file__).parents[3] / "docs" / "states.md"
TEXT = """# States

Which state may follow which: drawn from `engine/tiercel_engine/execution/transitions.py`, which
`apply` holds every event to. Run the tests with `--rewrite` after a change there.

## Executions

{executions}

## Task runs

{task_runs}
"""


def diagram(table: Mapping[str, frozenset[State]]) -> str:
    lines = ["```mermaid", "stateDiagram-v2"]
    for old, following in table.items():
        lines += [f"    {old or '[*]'} --> {new}" for new in sorted(following)]
    return "\n".join([*lines, "```"])


def test_the_document_shows_the_tables(request: pytest.FixtureRequest) -> None:
    text = TEXT.format(executions=diagram(EXECUTION), task_runs=diagram(TASK_RUN))

    if request.config.getoption("--rewrite"):
        DOCUMENT.write_text(text)

    assert DOCUMENT.read_text() == text


@pytest.mark.parametrize("table", [EXECUTION, TASK_RUN], ids=["execution", "task run"])
def test_every_state_that_can_be_reached_has_a_row(table: Mapping[str, frozenset[State]]) -> None:
    reached = {state for following in table.values() for state in following}

    assert reached <= set(table)


def test_a_state_out_of_turn_is_a_broken_invariant() -> None:
    check(EXECUTION, State.RUNNING, State.PAUSED, "execution x")

    with pytest.raises(AssertionError, match=r"Expected execution x to leave KILLING.*RUNNING"):
        check(EXECUTION, State.KILLING, State.RUNNING, "execution x")
