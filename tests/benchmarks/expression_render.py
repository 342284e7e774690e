"""How long a render takes: `python tests/benchmarks/expression_render.py`.

Prints microseconds per render, best of several runs. The rows about outputs must not differ: what
a template costs depends on what it reads, not on how many task runs there are. Rendering alone is
measured, and putting the variables of a job together out of an execution's state.
"""

from __future__ import annotations

import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

from immutables import Map

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.engine_harness import registry

from tiercel_engine.execution.model import Execution, TaskRun
from tiercel_engine.execution.plan import Plan
from tiercel_engine.execution.variables import job_variables
from tiercel_engine.expression.analysis import analyse
from tiercel_engine.expression.render import Renderer
from tiercel_engine.expression.template import Template
from tiercel_engine.flow.parse import load_flow
from tiercel_schemas.common import Payload

ROUNDS = 20_000
REPEATS = 5


def variables(task_runs: int) -> dict[str, Any]:
    """A context with that many tasks' outputs."""
    return {
        "flow": {"id": "sales", "namespace": "acme.shop"},
        "inputs": {"name": "Ada", "count": 3, "tags": ["a", "b", "c"]},
        "outputs": {f"task{n}": {"value": n, "uri": f"kestra:///{n}"} for n in range(task_runs)},
        "taskrun": {"value": "x"},
    }


TEMPLATES = (
    ("no template", "plain text"),
    ("one path", "{{ outputs.task0.value }}"),
    ("path in text", "s3://bucket/{{ flow.id }}/{{ inputs.name }}.csv"),
    ("fallback", "{{ outputs.missing.value ?? 'none' }}"),
    ("condition", "{{ inputs.count > 2 and inputs.name == 'Ada' ? 'yes' : 'no' }}"),
    ("filters", "{{ inputs.name | upper | slice(0, 2) }}"),
    ("loop", "{% for t in inputs.tags %}{{ t }}{% if not loop.last %},{% endif %}{% endfor %}"),
    ("map as JSON", "{{ outputs.task0 }}"),
    ("date", "{{ '2024-05-06T07:08:09Z' | date('yyyy-MM-dd', timeZone='Europe/Paris') }}"),
)


def best_us(action: Any, rounds: int = ROUNDS) -> float:
    """Microseconds of one call, best of `REPEATS`."""
    timer = time.process_time
    return min(timeit.repeat(action, timer=timer, number=rounds, repeat=REPEATS)) / rounds * 1e6


FLOW = """id: sales
namespace: acme.shop
tasks:
  - {id: task0, type: test.Work}
  - {id: reader, type: test.Work, message: "{{ outputs.task0.value }}"}
"""


def job_variables_of(task_runs: int) -> Callable[[], Any]:
    """Puts the variables of `reader` together, in an execution of that many task runs."""
    plan = Plan(load_flow(FLOW, registry()))
    ids = [f"task{n}" for n in range(task_runs)]
    outputs = Payload(json='{"value": 1}')
    runs = {
        name: TaskRun(name, name, "", "tasks", "SUCCESS", 1, outputs=outputs)
        for name in (*ids, "reader")
    }
    names = {name: name for name in runs}
    execution = Execution("x", task_runs=Map(runs), runs_of_task=Map(names))
    task = plan.task("reader")
    assert task is not None
    refers = plan.references(task)
    return lambda: job_variables(execution, plan, task, runs["reader"], refers)


def measured() -> dict[str, float]:
    """Microseconds: of a simple template, and of outputs among few and many task runs."""
    renderer = Renderer()
    path = TEMPLATES[1][1]
    found = {"simple_template": best_us(lambda: renderer.text(path, variables_small))}
    for task_runs in (10, 10_000):
        context = variables(task_runs)
        found[f"outputs/{task_runs}"] = best_us(lambda c=context: renderer.text(path, c))
        action = job_variables_of(task_runs)
        found[f"job_variables/{task_runs}"] = best_us(action, ROUNDS // 10)
    return found


variables_small = variables(1)


def main() -> None:
    renderer = Renderer()
    small, large = variables(1), variables(100_000)
    for name, template in TEMPLATES:
        print(f"{name:>24}: {best_us(lambda t=template: renderer.text(t, small)):8.2f} us")
    path = "{{ outputs.task0.value }}"
    for name, context in (("1 task run", small), ("100,000 task runs", large)):
        print(f"{name:>24}: {best_us(lambda c=context: renderer.text(path, c)):8.2f} us")
    for name, found_us in measured().items():
        print(f"{name:>24}: {found_us:8.2f} us")
    template = TEMPLATES[4][1]
    print(f"{'compile (not cached)':>24}: {best_us(lambda: Template(template), 500):8.2f} us")
    print(f"{'analyse (cached)':>24}: {best_us(lambda: analyse(template)):8.2f} us")


if __name__ == "__main__":
    main()
