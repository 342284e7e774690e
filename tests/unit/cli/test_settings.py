"""Settings: where they come from, which wins, what a wrong one says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from tiercel_engine.config import FILE_BYTES_MAX, Settings, load_settings
from tiercel_engine.errors import InvalidSettings
from tiercel_engine.execution.skips import skips_of
from tiercel_engine.executor.settings import ExecutorSettings

ROOT = Path(__file__).parents[3]


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tiercel.yaml"
    file.write_text("port: 1\nworker_slots: 2\ntopic_prefix: from-file.\n")
    environment = {"TIERCEL_PORT": "3", "TIERCEL_WORKER_SLOTS": "4", "OTHER": "x"}

    settings = load_settings({"port": 5, "host": None}, environment, file)

    assert (settings.port, settings.worker_slots) == (5, 4)
    assert settings.topic_prefix == "from-file."
    assert settings.host == "127.0.0.1"


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tiercel.yaml"
    file.write_text("executors: 3\n")

    assert load_settings(environment={"TIERCEL_CONFIG": str(file)}).executors == 3


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "tiercel.yaml"
    file.write_text("# nothing yet\n")

    assert load_settings(environment={}, file=file) == Settings()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"TIERCEL_WORKER_SLOT": "3"}, ("TIERCEL_WORKER_SLOT", "environment", "no such setting")),
        ({"TIERCEL_PORT": "many"}, ("TIERCEL_PORT", "environment", "'many'")),
        ({"TIERCEL_WORKER_SLOTS": "0"}, ("TIERCEL_WORKER_SLOTS", "greater than or equal to 1")),
        ({"TIERCEL_LOGGING_LEVEL": "loud"}, ("TIERCEL_LOGGING_LEVEL", "'loud'")),
    ],
)
def test_a_wrong_variable_is_named(environment: dict[str, str], words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        load_settings(environment=environment)

    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize("content", ["- a list\n", "port: [\n", "no_such_thing: 1\n", "port: x\n"])
def test_a_wrong_file_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "tiercel.yaml"
    file.write_text(content)

    with pytest.raises(InvalidSettings, match=r"tiercel\.yaml"):
        load_settings(environment={}, file=file)


def test_a_missing_or_huge_file_is_refused(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    huge.write_text("#" * (FILE_BYTES_MAX + 1))

    for file in (tmp_path / "missing.yaml", huge):
        with pytest.raises(InvalidSettings, match=file.name):
            load_settings(environment={}, file=file)


def test_variables_of_the_client_and_of_test_runs_are_no_settings() -> None:
    environment = {"TIERCEL_SERVER": "http://x", "TIERCEL_TEST_KAFKA": "localhost:9092"}

    assert load_settings(environment=environment) == Settings()


def test_settings_travel_to_another_process_as_variables(tmp_path: Path) -> None:
    settings = load_settings({"data_dir": tmp_path, "port": 0, "kafka": "a:1,b:2"}, {})

    assert load_settings(environment=settings.to_environment()) == settings


def test_defaults_of_database_and_storage_are_in_the_data_folder(tmp_path: Path) -> None:
    settings = load_settings({"data_dir": tmp_path}, {})

    assert settings.database_url == f"sqlite:///{tmp_path}/index.db"
    assert settings.storage_url == f"{tmp_path}/storage"


def test_the_documentation_lists_every_setting() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")

    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        assert f"| `TIERCEL_{name.upper()}` | {default} | {field.description} |" in page


def test_the_executor_has_the_same_defaults_with_and_without_settings() -> None:
    defaults = asdict(ExecutorSettings())
    # Whether that topic is written follows from where the log is.
    del defaults["execution_events"]
    # What is skipped has three settings of its own.
    assert defaults.pop("skips") == skips_of(None, None, None)
    # The API has the same setting.
    assert defaults.pop("templates") is Settings().templates

    settings = Settings()

    assert {name: getattr(settings, f"executor_{name}") for name in defaults} == defaults


def test_plugin_defaults_are_a_list_in_the_file_and_json_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "tiercel.yaml"
    file.write_text("plugin_defaults:\n  - type: io.kestra.plugin.scripts\n    values: {a: 1}\n")
    (from_file,) = load_settings({}, {}, file).plugin_defaults
    assert (from_file.type, from_file.values, from_file.forced) == (
        "io.kestra.plugin.scripts",
        {"a": 1},
        False,
    )
    text = '[{"type": "x", "values": {}, "forced": true}]'
    settings = load_settings({"plugin_defaults": text}, {})
    assert load_settings({}, settings.to_environment()) == settings
    with pytest.raises(InvalidSettings, match="plugin_defaults"):
        load_settings({"plugin_defaults": '[{"kind": "x"}]'}, {})
