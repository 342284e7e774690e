"""`kestrapy`'s OutputsApi, through the unchanged package."""

from __future__ import annotations

from typing import Any

import pytest
from kestrapy import ApiException, KestraClient
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer

T = "main"
NS = "kestrapy.outputs"
#: More characters than travel in the log.
LARGE_CHARS = 100_000
FLOW = f"""id: gives
namespace: {NS}
inputs:
  - id: large
    type: STRING
tasks:
  - id: quiet
    type: io.kestra.plugin.core.log.Log
    message: nothing to give
  - id: small
    type: io.kestra.plugin.core.debug.Return
    format: little
  - id: large
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ inputs.large }}}}"
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: ["a"]
    tasks:
      - id: inner
        type: io.kestra.plugin.core.debug.Return
        format: "{{{{ taskrun.value }}}}"
outputs:
  - id: said
    type: STRING
    value: "{{{{ outputs.small.value }}}}"
"""


@pytest.fixture(scope="module")
def client(embedded_server: RunningServer) -> Any:
    embedded_server.save(FLOW)
    return KestraClient(host=embedded_server.url, timeout=60)


@pytest.fixture(scope="module")
def execution_id(client: Any) -> str:
    inputs = {"large": "x" * LARGE_CHARS}
    return str(client.executions.create_execution(T, NS, "gives", inputs=inputs, wait=True).id)


@drives("execution_outputs")
def test_a_flow_gives_its_outputs(client: Any, execution_id: str) -> None:
    assert client.outputs.execution_outputs(execution_id, T) == {"said": "little"}

    with pytest.raises(ApiException, match="404"):
        client.outputs.execution_outputs("nobody", T)


@drives("task_outputs_information")
def test_the_task_runs_with_outputs_are_listed(client: Any, execution_id: str) -> None:
    found = {one.task_id: one for one in client.outputs.task_outputs_information(execution_id, T)}

    assert set(found) == {"small", "large", "inner"}
    assert (found["small"].inline, found["large"].inline) == (True, False)
    assert found["inner"].value == "a"


@drives("task_run_outputs")
def test_a_task_run_gives_its_outputs_from_the_log_or_from_storage(
    client: Any, execution_id: str
) -> None:
    runs = {
        one.task_id: one.task_run_id
        for one in client.outputs.task_outputs_information(execution_id, T)
    }
    quiet = next(
        run.id
        for run in client.executions.execution(execution_id, T).task_run_list
        if run.task_id == "quiet"
    )

    assert client.outputs.task_run_outputs(execution_id, runs["small"], T) == {"value": "little"}
    large = client.outputs.task_run_outputs(execution_id, runs["large"], T)
    assert len(large["value"]) == LARGE_CHARS
    assert client.outputs.task_run_outputs(execution_id, quiet, T) == {}
    with pytest.raises(ApiException, match="404"):
        client.outputs.task_run_outputs(execution_id, "nobody", T)
