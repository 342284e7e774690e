"""Runs flows and compares whole executions with what the peer's server recorded of them.

    python -m tests.conformance.run_results RESULTS FLOWS [--only TEXT]

Where the cases say what must hold, these rows say everything: the states that the execution and
each task run went through, values, iterations, attempts, parents, outputs. Task runs are compared
as a set, since what runs side by side has no order; instants and ids are left out of outputs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.conformance.cases import FILE_TEXT, Case, JsonObject, Upload, identity_of
from tests.conformance.door import Door, Hung, Refused, state_of, states_of, task_runs
from tests.conformance.matching import shown
from tests.conformance.run_flows import server_under_test

from tiercel_schemas.state import is_terminated

#: A file that was sent, and how many lines it had.
_FILE = re.compile(r"FILE(?: (\d+) lines)?.*")
#: What differs between two runs of one flow, in the text of an output.
_VARIES = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\b[0-9A-Za-z]{20,22}\b")


def case_of(number: int, row: JsonObject, flows: Path) -> Case:
    """The row as a case that expects nothing; inputs that say FILE are uploaded."""
    texts: dict[str, str] = {}
    uploads: dict[str, Upload] = {}
    for name, value in (row.get("inputs") or {}).items():
        if isinstance(value, str) and (file := _FILE.fullmatch(value)):
            uploads[name] = Upload(f"{name}.txt", f"{FILE_TEXT}\n" * int(file[1] or 1))
        else:
            texts[name] = value if isinstance(value, str) else json.dumps(value)
    source = (flows / row["flow"]).read_text("utf-8")
    namespace, flow_id = identity_of(source)
    return Case(number, {"flow_file": row["flow"]}, source, {}, texts, uploads, flow_id, namespace)


def differences(row: JsonObject, execution: JsonObject) -> Iterator[str]:
    """Lines that say what the peer recorded otherwise."""
    if state_of(execution) != row["state"]:
        yield f"state: expected {row['state']}, got {state_of(execution)}"
    if states_of(execution) != row["states"]:
        yield f"history: expected {row['states']}, got {states_of(execution)}"
    if (execution.get("outputs") or None) != (row["outputs"] or None):
        yield f"outputs: expected {shown(row['outputs'])}, got {shown(execution.get('outputs'))}"
    expected = Counter(_outline(run, run.get("parent")) for run in row["taskruns"])
    names = {run["id"]: run["taskId"] for run in task_runs(execution)}
    actual = Counter(
        _outline(_recorded(run), names.get(run.get("parentTaskRunId")))
        for run in task_runs(execution)
    )
    yield from (f"task run: expected {one}" for one in (expected - actual))
    yield from (f"task run: got      {one}" for one in (actual - expected))


def _recorded(run: JsonObject) -> JsonObject:
    """A task run of ours in the form of the rows."""
    return {
        "id": run["taskId"],
        "value": run.get("value"),
        "iteration": run.get("iteration"),
        "states": states_of(run),
        "attempts": len(run.get("attempts") or []),
        "outputs": run.get("outputs"),
    }


def _outline(run: JsonObject, parent: str | None) -> str:
    """One line that says everything that is compared."""
    parts: dict[str, Any] = {
        "value": run.get("value"),
        "iteration": run.get("iteration"),
        "parent": parent,
        "outputs": run.get("outputs") or None,
    }
    said = {name: value for name, value in parts.items() if value is not None}
    states, attempts = ",".join(run["states"]), run.get("attempts", 0)
    text = f"{run['id']} {states} attempts={attempts} {json.dumps(said, sort_keys=True)}"
    return _VARIES.sub("<varies>", text)


def judge_row(door: Door, case: Case, row: JsonObject) -> list[str]:
    """Run the flow; what differs."""
    try:
        answer = door.save(case.namespace, case.flow_id, case.source)
        if answer.status != 200:
            raise Refused(f"flow {case.flow_id}", answer)
        resting = () if is_terminated(row["state"]) else (row["state"],)
        execution = door.reached(door.started(case)["id"], resting)
        return list(differences(row, execution))
    except (Hung, Refused) as error:
        return [str(error)]


def load(door: Door, folder: Path) -> None:
    """Store every flow that can be: they start one another."""
    for path in sorted(folder.iterdir()):
        source = path.read_text("utf-8")
        door.save(*identity_of(source), source)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare executions with recorded ones.")
    parser.add_argument("results", type=Path, help="file of recorded executions, one a line")
    parser.add_argument("flows", type=Path, help="folder of the flows that they name")
    parser.add_argument("--only", default="", help="rows whose line holds this text")
    options = parser.parse_args(arguments)
    lines = options.results.read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip() and options.only in line]
    rows = [row for row in rows if row.get("taskruns") and not row.get("error")]
    same = 0
    with server_under_test() as door:
        load(door, options.flows)
        for number, row in enumerate(rows, 1):
            found = judge_row(door, case_of(number, row, options.flows), row)
            same += not found
            inputs = f" {shown(row['inputs'])}" if row.get("inputs") else ""
            print(f"{'differs' if found else 'same   '} {row['flow']}{inputs}", flush=True)
            print("".join(f"        {line}\n" for line in found), end="", flush=True)
    print(f"\n{same} same, {len(rows) - same} different")
    return int(same < len(rows))


if __name__ == "__main__":
    sys.exit(main())
