"""How long a render takes: `python tests/benchmarks/expression_render.py`.

Prints microseconds per render, best of several runs. The two rows about outputs must not differ:
what a template costs depends on what it reads, not on how many task runs there are.
"""

from __future__ import annotations

import time
import timeit
from typing import Any

from tiercel_engine.expression.analysis import analyse
from tiercel_engine.expression.render import Renderer
from tiercel_engine.expression.template import Template

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


def main() -> None:
    renderer = Renderer()
    small, large = variables(1), variables(100_000)
    for name, template in TEMPLATES:
        print(f"{name:>24}: {best_us(lambda t=template: renderer.text(t, small)):8.2f} us")
    path = "{{ outputs.task0.value }}"
    for name, context in (("1 task run", small), ("100,000 task runs", large)):
        print(f"{name:>24}: {best_us(lambda c=context: renderer.text(path, c)):8.2f} us")
    template = TEMPLATES[4][1]
    print(f"{'compile (not cached)':>24}: {best_us(lambda: Template(template), 500):8.2f} us")
    print(f"{'analyse (cached)':>24}: {best_us(lambda: analyse(template)):8.2f} us")


if __name__ == "__main__":
    main()
