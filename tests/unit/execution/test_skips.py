"""Executions that an operator wants to be left alone."""

import pytest
from tests.engine_harness import Engine

from tiercel_engine.execution.skips import NO_SKIPS, Skips, skips_of
from tiercel_schemas.ids import FlowKey
from tiercel_schemas.state import State

KEY = FlowKey("main", "team.one", "load")
SOURCE = "{id: load, namespace: team.one, tasks: [{id: a, type: test.Work}]}"


@pytest.mark.parametrize(
    ("skips", "is_covered"),
    [
        (NO_SKIPS, False),
        (skips_of("e1, e2", "", ""), True),
        (skips_of("e2", "team.one.other", "team"), False),
        (skips_of("", "team.one.load,", ""), True),
        (skips_of("", "", "other, team.one"), True),
    ],
)
def test_an_execution_is_covered_by_its_id_its_flow_or_its_namespace(
    skips: Skips, is_covered: bool
) -> None:
    assert skips.cover("e1", KEY) == is_covered


def test_a_new_one_that_is_skipped_stays_created() -> None:
    engine = Engine(SOURCE)
    engine.world.skips = skips_of("", "", "team.one")

    engine.create()

    assert engine.execution.state == State.CREATED
    assert not engine.jobs
