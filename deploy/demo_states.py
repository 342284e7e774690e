"""Scenes of the demo in which somebody acts on an execution while it runs, or after its end."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from tiercel_cli.client import Client
from tiercel_schemas.state import is_terminated

NAMESPACE = "bakery"
#: How long an execution may take to come to a state.
WAIT_S = 60.0
LOOK_EVERY_S = 0.1

JsonObject = dict[str, Any]
console = Console(highlight=False)


@dataclass(frozen=True)
class Story:
    """An execution and what is done to it.

    Attributes:
        flow_id: the flow that is run.
        until: the state in which `act` comes; none: nothing is done.
        act: what somebody does.
        states: every state that the execution must have passed through, in order.
    """

    title: str
    flow_id: str
    states: tuple[str, ...]
    until: str = ""
    act: Callable[[Client, str], None] | None = None


def resume(client: Client, execution_id: str) -> None:
    _call(client, "POST", f"/executions/{execution_id}/resume")


def kill(client: Client, execution_id: str) -> None:
    client.kill(execution_id)


def restart(client: Client, execution_id: str) -> None:
    client.restart(execution_id)


def _call(client: Client, method: str, path: str) -> None:
    request = urllib.request.Request(f"{client.server}/api/v1{path}", method=method)
    urllib.request.urlopen(request, timeout=30).close()


STORIES = (
    Story("A failure that is allowed", "burnt", ("CREATED", "RUNNING", "WARNING")),
    Story(
        "A pause, and somebody who resumes it",
        "tasting",
        ("CREATED", "RUNNING", "PAUSED", "RESTARTED", "RUNNING", "SUCCESS"),
        "PAUSED",
        resume,
    ),
    Story(
        "A long task that is killed",
        "slow-oven",
        ("CREATED", "RUNNING", "KILLING", "KILLED"),
        "RUNNING",
        kill,
    ),
    Story(
        "A failure, and a restart that makes it good",
        "mishap",
        ("CREATED", "RUNNING", "FAILED", "RESTARTED", "RUNNING", "SUCCESS"),
        "FAILED",
        restart,
    ),
)


def tell(client: Client, story: Story) -> list[str]:
    """Run one story; return what was not as expected."""
    console.rule(f"[bold]{story.title}", align="left")
    execution_id = str(client.create_execution(NAMESPACE, story.flow_id)["id"])
    if story.act is not None:
        _wait(client, execution_id, story.until)
        console.print(f"{story.flow_id} is {story.until}: {story.act.__name__}")
        story.act(client, execution_id)
    execution = _wait(client, execution_id, story.states[-1])
    passed = tuple(entry["state"] for entry in execution["state"]["histories"])
    console.print(" → ".join(passed))
    return list(_faults(story, passed))


def _faults(story: Story, passed: tuple[str, ...]) -> Iterator[str]:
    if passed != story.states:
        yield f"expected the states {story.states}, but they were {passed}"


def _wait(client: Client, execution_id: str, state: str) -> JsonObject:
    """The execution once it is in a state, or has ended in another."""
    deadline_s = time.monotonic() + WAIT_S
    while True:
        execution = client.execution(execution_id)
        current = execution["state"]["current"]
        if current == state or (is_terminated(current) and is_terminated(state)):
            return execution
        if time.monotonic() > deadline_s:
            raise SystemExit(f"Expected {execution_id} to become {state}, but it is {current}.")
        time.sleep(LOOK_EVERY_S)
