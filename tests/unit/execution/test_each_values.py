"""What task runs inside an each know of its values."""

import pytest
from tests.engine_harness import Engine

SOURCE = """id: nested
namespace: tests
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [a, b]
    tasks:
      - id: block
        type: io.kestra.plugin.core.flow.Sequential
        tasks:
          - id: inner
            type: test.Work
"""


def test_a_task_in_a_block_inside_an_each_has_no_value_of_its_own_but_its_place() -> None:
    engine = Engine(SOURCE)

    engine.create()

    block, inner = engine.run_of("block"), engine.run_of("inner")
    assert (block.value, inner.value) == ("a", None)
    assert (block.path, inner.path) == (("a",), ("a",))


@pytest.mark.parametrize(("dialect", "iteration"), [("0.21", None), ("1.3", 0)])
def test_a_value_has_a_number_where_the_dialect_says_so(
    dialect: str, iteration: int | None
) -> None:
    engine = Engine(f"# dialect: {dialect}\n" + SOURCE)

    engine.create()

    assert engine.run_of("block").iteration == iteration
