"""The command line without a server: help, bad usage, settings."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tiercel_cli.main import main
from tiercel_cli.output import ExitCode
from tiercel_engine.config import Settings

Run = Callable[..., int]

COMMANDS = [
    *("server", "executor", "worker", "scheduler", "indexer", "api", "config"),
    *(f"flow {verb}" for verb in ("validate", "create", "update", "list", "get")),
    *(
        f"trigger {verb}"
        for verb in ("list", "next", "enable", "disable", "unlock", "restart", "backfill start")
    ),
    *(f"execution {verb}" for verb in ("run", "follow", "get", "list", "logs", "kill", "restart")),
    "service list",
    *(f"plugins {verb}" for verb in ("list", "doc", "schema")),
    *(f"expression {verb}" for verb in ("eval", "list")),
    "index rebuild",
    "dev kafka",
]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["tiercel", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(
    command: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command.split(), "--help") == 0

    assert f"$ tiercel {command}" in capsys.readouterr().out


@pytest.mark.parametrize("role", ["server", "executor", "worker", "scheduler", "indexer", "api"])
def test_every_role_has_an_option_for_every_setting(
    role: str, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    run(role, "--help")

    shown = capsys.readouterr().out
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-').replace('data-dir', 'data')} " in shown
        assert str(field.description).split(";")[0] in shown


@pytest.mark.parametrize(("flag", "value"), [("--templates", True), ("--no-templates", False)])
def test_a_setting_that_is_on_or_off_is_a_flag(
    run: Run, monkeypatch: pytest.MonkeyPatch, flag: str, value: bool
) -> None:
    given: list[Settings] = []

    def run_role(role: str, settings: Settings, stops_with_stdin: bool) -> int:
        given.append(settings)
        return 0

    monkeypatch.setattr("tiercel_cli.server.run_role", run_role)
    monkeypatch.setenv("TIERCEL_TEMPLATES", str(not value).lower())

    assert run("worker", flag, "--worker-slots", "3") == 0

    assert (given[0].templates, given[0].worker_slots) == (value, 3)


@pytest.mark.parametrize(
    "arguments",
    [
        ("execution", "run", "a", "b", "--input", "no-separator"),
        ("execution", "run", "a", "b", "--file", "x=/no/such/file"),
        ("flow", "create", "/no/such/file.yaml"),
        ("flow", "list", "--server", "ftp://here"),
        ("server", "--worker-slots", "0"),
        ("server", "--port", "many"),
        ("server", "--config", "/no/such/file.yaml"),
        ("no-such-command",),
    ],
)
def test_bad_usage_ends_with_exit_code_2(
    arguments: tuple[str, ...], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == ExitCode.USAGE

    output, errors = capsys.readouterr()
    assert output == ""
    assert errors != ""


def test_without_a_server_it_says_what_to_do(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("flow", "list", "--server", "http://127.0.0.1:1") == ExitCode.UNREACHABLE

    errors = capsys.readouterr().err
    assert "tiercel server" in errors
    assert "TIERCEL_SERVER" in errors


def test_config_shows_what_holds_here(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIERCEL_WORKER_SLOTS", "7")

    run("config", "--json")

    assert json.loads(capsys.readouterr().out)["worker_slots"] == 7
