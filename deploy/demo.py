"""The demo: a server, the example flows, real HTTP, and every final state checked.

`make demo` runs it on the embedded log, `make demo-kafka` on a real broker with each role as its
own process. Exit code 0 only when every execution ended as expected.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo_states import NAMESPACE, STORIES, JsonObject, console, tell
from rich.table import Table

from tiercel_cli.client import Client
from tiercel_cli.follow import follow_execution
from tiercel_cli.kafka_broker import LocalBroker

EXAMPLES = Path(__file__).parent / "examples"
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 60


@dataclass(frozen=True)
class Scene:
    """One execution of the demo.

    Attributes:
        start: starts it over HTTP; gives its id.
        task_runs: task id and final state of each task run, in order.
        attempts: how many attempts the first task run has.
        outputs: outputs of the execution.
        said: text that its log must hold.
    """

    title: str
    start: Callable[[Client], str]
    state: str
    task_runs: tuple[tuple[str, str], ...]
    attempts: int = 1
    outputs: JsonObject | None = None
    said: str | None = None


def run_flow(flow_id: str, **options: Any) -> Callable[[Client], str]:
    """Starts a flow through the API."""
    return lambda client: str(client.create_execution(NAMESPACE, flow_id, **options)["id"])


def ring_doorbell(client: Client) -> str:
    """What any other system does: POST some JSON to the webhook's address."""
    url = f"{client.server}/api/v1/executions/webhook/{NAMESPACE}/greeting/ring-the-bell"
    body = json.dumps({"name": "first customer"}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["id"])


def all_successful(*task_ids: str) -> tuple[tuple[str, str], ...]:
    return tuple((task_id, "SUCCESS") for task_id in task_ids)


def scenes_that_succeed(orders: Path) -> list[Scene]:
    """Inputs, webhooks, files, outputs; `orders` is the file that is uploaded."""
    steps = ("weigh", "mix", "rest", "fold", "proof", "shape", "heat", "bake", "cool", "sell")
    return [
        Scene(
            "A greeting, started by the API with an input",
            run_flow("greeting", inputs={"name": "Ada"}),
            "SUCCESS",
            all_successful("say"),
            outputs={"greeted": "Ada"},
            said="Good morning, Ada",
        ),
        Scene(
            "The same flow, started by its webhook with a JSON body",
            ring_doorbell,
            "SUCCESS",
            all_successful("say"),
            outputs={"greeted": "first customer"},
            said="Good morning, first customer",
        ),
        Scene(
            "A file as input, read back, counted by a Python script",
            run_flow("orders", files={"list": orders}),
            "SUCCESS",
            all_successful("show", "count"),
            outputs={"loaves": 12},
            said="miller,5",
        ),
        Scene(
            "Ten task runs",
            run_flow("baking"),
            "SUCCESS",
            all_successful(*steps),
            outputs={"loaf": "dough of 500 g flour, baked at 240 °C"},
        ),
    ]


def scenes_that_fan_out(client: Client, orders: Path) -> list[Scene]:
    """A file of 1,000 orders as an execution per batch: by rows, by bytes, by partitions."""
    source = (EXAMPLES / "all-orders.yaml").read_text(encoding="utf-8")
    parts = ("each", "each_split", "each_items", "each_merge", "report")
    scenes = []
    for batch, count in (("rows: 10", 100), ("bytes: 1024", 18), ("partitions: 4", 4)):
        name = batch.partition(":")[0]
        flow_id = f"all-orders-by-{name}"
        changed = source.replace("rows: 10", batch).replace("id: all-orders", f"id: {flow_id}", 1)
        client.create_flow(changed)
        scenes.append(
            Scene(
                f"1,000 orders, an execution per batch by {name}",
                run_flow(flow_id, files={"orders": orders}),
                "SUCCESS",
                all_successful(*parts),
                attempts=0,
                said=f"{count} batches",
            )
        )
    return scenes


def scenes_with_failures() -> list[Scene]:
    """Retries, and the errors branch."""
    return [
        Scene(
            "A task that fails twice and succeeds at the third attempt",
            run_flow("oven"),
            "SUCCESS",
            all_successful("light", "warm"),
            attempts=3,
            said="try 3",
        ),
        Scene(
            "A task that fails: the errors branch runs, the execution is FAILED",
            run_flow("delivery"),
            "FAILED",
            (("ring", "SUCCESS"), ("hand_over", "FAILED"), ("leave_note", "SUCCESS")),
            said="Left a note",
        ),
    ]


def play(client: Client, scene: Scene) -> list[str]:
    """Run one scene, shown live; return what was not as expected."""
    console.rule(f"[bold]{scene.title}", align="left")
    execution_id = scene.start(client)
    follow_execution(client, execution_id)
    execution = client.execution(execution_id)
    said = "\n".join(str(entry["message"]) for entry in client.logs(execution_id))
    for metric in client.metrics(execution_id):
        console.print(f"[dim]metric[/] {metric['taskId']} {metric['name']} = {metric['value']:g}")
    return list(faults(scene, execution, said))


def faults(scene: Scene, execution: JsonObject, said: str) -> Iterator[str]:
    """What differs from what the scene expects, as sentences."""
    runs = execution.get("taskRunList") or []
    ended = tuple((run["taskId"], run["state"]["current"]) for run in runs)
    if execution["state"]["current"] != scene.state:
        yield f"expected {scene.state}, but it ended {execution['state']['current']}"
    if ended != scene.task_runs:
        yield f"expected the task runs {scene.task_runs}, but they were {ended}"
    elif len(runs[0].get("attempts") or []) != scene.attempts:
        yield f"expected {scene.attempts} attempts, but there were {runs[0].get('attempts')}"
    if scene.outputs is not None and execution.get("outputs") != scene.outputs:
        yield f"expected the outputs {scene.outputs}, but they were {execution.get('outputs')}"
    if scene.said is not None and scene.said not in said:
        yield f"expected {scene.said!r} in the log, but it was {said!r}"


@contextmanager
def running_server(data: Path, *options: str) -> Iterator[Client]:
    """`tiercel server` on a free port, until the block ends. Its own log goes to server.log."""
    command = [sys.executable, "-m", "tiercel_cli.main", "server", "--port", "0", *options]
    with (data / "server.log").open("wb") as output:
        server = subprocess.Popen(
            [*command, "--data", str(data)], stdout=subprocess.PIPE, stderr=output
        )
        try:
            assert server.stdout is not None
            ready = server.stdout.readline()
            if not ready:
                raise SystemExit((data / "server.log").read_text(errors="replace"))
            yield Client(json.loads(ready)["url"])
        finally:
            server.terminate()
            server.communicate(timeout=STOP_TIMEOUT_S)
    if server.returncode != 0:
        raise SystemExit((data / "server.log").read_text(errors="replace"))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kafka", action="store_true", help="on a real broker")
    with_kafka = arguments.parse_args().kafka
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiercel-demo-")))
        options: list[str] = []
        if with_kafka:
            console.print("Starting a Kafka broker …")
            options = ["--kafka", stack.enter_context(LocalBroker()).bootstrap]
        console.print(f"Starting tiercel server {' '.join(options)} …")
        client = stack.enter_context(running_server(data, *options))
        console.print(f"It is ready at {client.server}")
        orders = data / "orders.csv"
        orders.write_text("baron,3\nmiller,5\nsmith,4\n")
        for path in sorted(EXAMPLES.glob("*.yaml")):
            flow = client.create_flow(path.read_text(encoding="utf-8"))
            console.print(f"Stored {flow['namespace']}.{flow['id']} revision {flow['revision']}")
        many = data / "many-orders.csv"
        many.write_text("".join(f"{1000 + number},smith,{number:06}\n" for number in range(1_000)))
        scenes = [
            *scenes_that_succeed(orders),
            *scenes_with_failures(),
            *scenes_that_fan_out(client, many),
        ]
        results = [(scene.title, play(client, scene)) for scene in scenes]
        results += [(story.title, tell(client, story)) for story in STORIES]
    return report(results)


def report(results: list[tuple[str, list[str]]]) -> int:
    """Print the table of results; return the exit code."""
    table = Table(title="Demo", title_justify="left")
    table.add_column("Scene")
    table.add_column("As expected")
    for title, wrong in results:
        table.add_row(title, "[red]" + "\n".join(wrong) if wrong else "[green]yes")
    console.print(table)
    return 1 if any(wrong for _, wrong in results) else 0


if __name__ == "__main__":
    sys.exit(main())
