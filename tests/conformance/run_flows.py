"""Runs a file of conformance cases against a real server: one line a case, then the causes.

    python -m tests.conformance.run_flows CASES FLOWS [--only TEXT] [--at-once N] [--url URL]

Without a URL it starts `tiercel server` on the embedded log, in a folder that it removes, with
those of the wanted settings that the server has. A server that stops is replaced, and the case
that stopped it found. Exit code 1 when a case failed.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import yaml
from tests.acceptance.running import start_server, stop_server
from tests.conformance.cases import Case, JsonObject, read_cases
from tests.conformance.causes import groups
from tests.conformance.door import Door
from tests.conformance.judging import FAIL, NOT_RUN, PASS, Outcome, judge
from tests.conformance.peer_tasks import plugin_folder

from tiercel_engine.config import Settings

CASES_AT_ONCE = 4
REPOSITORY = Path(__file__).parents[2]
#: Servers that may stop while the cases of the first that stopped are run again.
SERVERS_MAX = 8
#: How much of a server's own log is shown when it stopped.
LOG_CHARS = 3_000
#: Settings that the cases assume, by the name that ours have or would have.
WANTED_SETTINGS: JsonObject = {
    "dialect": "0.21",
    "templates": True,
    "encryption_key": base64.b64encode(b"conformance-encryption-key-32-by").decode(),
    "url": "https://mysuperhost.com/subpath",
    "variables_globals": {"string": "string", "int": 1, "bool": True, "nested": {"int": 2}},
}
WANTED_ENVIRONMENT = {
    "SECRET_MY_SECRET": base64.b64encode(b'{"secretKey":"secretValue"}').decode(),
    "SECRET_WEBHOOK_KEY": base64.b64encode(b"secretKey").decode(),
    "SECRET_PASSWORD": "cGFzc3dvcmQ=",
    "SECRET_NON_B64_SECRET": "some secret value",
    "KESTRA_TEST1": "true",
    "KESTRA_TEST2": "Pass by env",
}


def known_settings() -> frozenset[str]:
    """Those of the wanted settings that a server of ours has."""
    return frozenset(WANTED_SETTINGS) & Settings.model_fields.keys()


@contextmanager
def server_under_test() -> Iterator[Door]:
    """A server with everything the cases assume, as far as it can have it.

    When it stopped by itself, the end of its own log is printed.
    """
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        folder = Path(name)
        config = folder / "settings.yaml"
        wanted = {name: WANTED_SETTINGS[name] for name in known_settings()}
        config.write_text(yaml.safe_dump(wanted), "utf-8")
        with _environment(WANTED_ENVIRONMENT | {"PYTHONPATH": _python_path(folder)}):
            server = start_server(
                folder / "data", "--config", str(config), "--logging-level", "warning"
            )
        try:
            yield Door(server.url)
        finally:
            if server.process.poll() is not None:
                print(f"the server stopped: {server.log()[-LOG_CHARS:]}", flush=True)
            stop_server(server)


def _python_path(folder: Path) -> str:
    """Where a server finds the task types of the peer's tests."""
    return os.pathsep.join([str(plugin_folder(folder / "plugins")), str(REPOSITORY)])


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_all(door: Door, cases: Sequence[Case], at_once: int = CASES_AT_ONCE) -> Iterator[Outcome]:
    """Outcomes as they come. Cases that share a flow never run side by side."""
    settings = known_settings()
    pending, running = list(cases), dict[Future[Outcome], Case]()
    with ThreadPoolExecutor(at_once) as pool:
        while pending or running:
            busy = {key for case in running.values() for key in case.flow_keys}
            while len(running) < at_once:
                case = next((one for one in pending if not one.flow_keys & busy), None)
                if case is None:
                    break
                pending.remove(case)
                busy |= case.flow_keys
                running[pool.submit(judge, door, case, settings)] = case
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                del running[future]
                yield future.result()


def run_on_own_servers(cases: Sequence[Case], at_once: int) -> Iterator[Outcome]:
    """Run them on a server of their own; those that lost it again, each alone on another one.

    So one case that stops a server is told from those that only ran beside it.
    """
    lost = []
    with server_under_test() as door:
        for outcome in run_all(door, cases, at_once):
            if outcome.is_answered:
                yield outcome
            else:
                lost.append(outcome.case)
    for _ in range(SERVERS_MAX):
        if not lost:
            return
        with server_under_test() as door:
            while lost:
                outcome = judge(door, lost.pop(0), known_settings())
                yield outcome
                if not outcome.is_answered:
                    break
    yield from (Outcome(case, NOT_RUN, ("too many servers stopped",)) for case in lost)


def report(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The lines after the last case."""
    failed = [outcome for outcome in outcomes if outcome.verdict == FAIL]
    for cause, members in groups(failed):
        yield f"\n{len(members):3} x {cause}"
        yield from (f"      {outcome.case.name}" for outcome in members)
    counts = Counter(outcome.verdict for outcome in outcomes)
    missing = sorted(WANTED_SETTINGS.keys() - known_settings())
    if missing:
        yield f"\nThe server has no setting for: {', '.join(missing)}"
    yield f"\n{counts[PASS]} passed, {counts[FAIL]} failed, {counts[NOT_RUN]} not run"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run conformance cases against a server.")
    parser.add_argument("cases", type=Path, help="file of cases, one JSON object a line")
    parser.add_argument("flows", type=Path, help="folder of the flows that they name")
    parser.add_argument("--only", default="", help="cases whose line holds this text")
    parser.add_argument("--at-once", type=int, default=CASES_AT_ONCE, help="cases side by side")
    parser.add_argument("--url", help="a server that runs already")
    options = parser.parse_args(arguments)
    cases = [
        case
        for case in read_cases(options.cases, options.flows)
        if options.only in f"{case.name} {case.row}"
    ]
    if options.url:
        return summarised(run_all(Door(options.url), cases, options.at_once))
    return summarised(run_on_own_servers(cases, options.at_once))


def summarised(outcomes: Iterable[Outcome]) -> int:
    """Print them as they come, then the report; the exit code."""
    kept = []
    for outcome in outcomes:
        kept.append(outcome)
        print(outcome.line(), flush=True)
    print("\n".join(report(kept)))
    return int(any(outcome.verdict == FAIL for outcome in kept))


if __name__ == "__main__":
    sys.exit(main())
