"""The outputs of many executions on their way to internal storage.

The state keeps what came lately; a worker writes it into a file as soon as it is worth a job. The
job has no lease: writing the same file twice does no harm, so a set that nobody confirms in time
is sent again. A set's job is known by the attempt -(number + 1), which no other job has.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.variables import sibling
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.child_flows import OUTPUTS_TYPE, ForEachItem
from tiercel_engine.storage.uri import task_file
from tiercel_schemas import events as e
from tiercel_schemas.common import Payload
from tiercel_schemas.jobs import TaskJob

#: A set of outputs is sent when it has so many, or so many characters of JSON text.
SET_MAX = 200
SET_CHARS_MAX = 128 * 1024
#: Where the sets of a run lie, below its files.
FOLDER = "outputs"
#: How often a set is sent before the task run is given up.
SENDS_MAX = 8


def send_if_full(step: Step, run_id: str) -> None:
    """Send what came lately, when it is enough for a job."""
    fan = step.execution.fan_outs[run_id]
    if len(fan.outputs) >= SET_MAX or fan.outputs_chars >= SET_CHARS_MAX:
        send(step, run_id)


def send(step: Step, run_id: str) -> None:
    """Send what came lately."""
    chunk = step.execution.fan_outs[run_id].chunks
    step.emit(e.OutputsSent(run_id, chunk, 1))
    _job(step, run_id, chunk)


def send_again(step: Step, run_id: str, chunk: int) -> None:
    """Send a set that nobody has confirmed."""
    epoch = step.execution.fan_outs[run_id].sending[chunk].epoch
    step.emit(e.OutputsSent(run_id, chunk, epoch + 1))
    _job(step, run_id, chunk)


def is_awaited(x: Execution, run_id: str, attempt: int) -> bool:
    """Whether what a worker says of this attempt is about a set of outputs."""
    return attempt < 0 and run_id in x.fan_outs


def chunk_of(attempt: int) -> int:
    """The number of the set that a job stores."""
    return -attempt - 1


def folder_of(x: Execution, run: TaskRun) -> str:
    """Where the sets of a run lie."""
    return task_file(x.namespace, x.flow_id, x.id, run.task_id, run.id, FOLDER)


def variables_of(x: Execution, plan: Plan, run: TaskRun, task: Task) -> dict[str, Any]:
    """What a job is told of the sets, when its task puts them together."""
    if task.type != ForEachItem.MERGE:
        return {}
    whole = plan.task(task.id.removesuffix("_merge"))
    items = sibling(x, run, f"{task.id.removesuffix('_merge')}_items")
    fan = None if items is None else x.fan_outs.get(items.id)
    if items is None or fan is None or not isinstance(whole, ForEachItem) or not whole.wait:
        return {"collected": None}
    return {"collected": {"folder": folder_of(x, items), "sets": fan.chunks, "count": fan.count}}


def _job(step: Step, run_id: str, chunk: int) -> None:
    x = step.execution
    run = x.task_runs[run_id]
    sending = x.fan_outs[run_id].sending[chunk]
    name = FOLDER if x.fan_outs[run_id].keeps else f"{FOLDER}/{chunk}.jsonl"
    outputs = ",".join(f"[{index},{text}]" for index, text in sending.outputs)
    step.jobs.append(
        TaskJob(
            execution_id=x.id,
            task_run_id=run_id,
            attempt=-chunk - 1,
            epoch=sending.epoch,
            tenant=x.tenant,
            namespace=x.namespace,
            flow_id=x.flow_id,
            flow_revision=x.flow_revision,
            task_id=run.task_id,
            task_json=msgspec.json.encode({"id": run.task_id, "type": OUTPUTS_TYPE}).decode(),
            variables=Payload(json=f'{{"name":"{name}","outputs":[{outputs}]}}'),
            submitted_us=step.at_us,
            trace_parent=x.trace_parent,
        )
    )
