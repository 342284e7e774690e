"""Typed settings: defaults, then a YAML file, then the environment, then command-line options.

Owns the names, units, defaults and meaning of every setting; `docs/cli.md` lists them and a test
compares the two. Units come last in a name (`_s`, `_ms`, `_bytes`). It knows nothing about what
is done with a setting: only the composition root reads them.

A setting `worker_slots` is `worker_slots: 32` in the file, `TIERCEL_WORKER_SLOTS=32` in the
environment and `--worker-slots 32` on the command line. The later one wins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from tiercel_engine.errors import InvalidSettings

ENVIRONMENT_PREFIX = "TIERCEL_"
#: Names with our prefix that are not settings of a server: the client's address, the settings
#: file, and whatever test runs use.
OTHER_VARIABLES = frozenset(
    {"TIERCEL_SERVER", "TIERCEL_CONFIG", "TIERCEL_TOKEN", "TIERCEL_USER", "TIERCEL_PASSWORD"}
)
OTHER_PREFIXES = ("TIERCEL_TEST_",)
#: A settings file larger than this is somebody's mistake.
FILE_BYTES_MAX = 1_000_000


class PluginDefault(BaseModel):
    """Properties for all types that are `type` or begin with it followed by a dot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    values: dict[str, Any]
    forced: bool = False


class Settings(BaseModel):
    """Everything that can be set on a server or on one role of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address that the API listens on.")
    port: int = Field(
        default=8080,
        ge=0,
        le=65_535,
        description="Port of the API; 0 takes a free one and logs it.",
    )
    data_dir: Path = Field(
        default=Path(".tiercel"),
        description="Folder of the embedded log, the SQLite read model and local storage.",
    )
    kafka: str | None = Field(
        default=None,
        description="Bootstrap servers, host:port[,host:port]; none: the embedded log.",
    )
    database: str | None = Field(
        default=None,
        description="SQLAlchemy URL of the read model; none: index.db in the data folder.",
    )
    storage: str | None = Field(
        default=None,
        description="URL or folder of the internal storage; none: storage/ in the data folder.",
    )
    storage_revisions_max: int = Field(
        default=20,
        ge=1,
        le=1_000,
        description="Earlier contents that are kept of each key-value pair and namespace file.",
    )
    instance: str | None = Field(
        default=None,
        description="Name of this instance, unique among live ones; none: role-host-number, "
        "the lowest number that is free in the data folder.",
    )
    topic_prefix: str = Field(default="tiercel.", description="Put in front of every topic's name.")
    topic_partitions: int = Field(
        default=8,
        ge=1,
        le=1024,
        description="Partitions of each topic; fixed when they are created.",
    )
    log_durability: Literal["full", "normal"] = Field(
        default="normal",
        description="Embedded log: `full` survives a power cut, `normal` a killed process.",
    )
    server_cores: Literal["one", "all"] = Field(
        default="one",
        description="Cores of the embedded server itself; `one` is faster, its tasks' processes "
        "get all.",
    )
    executors: int = Field(
        default=1, ge=1, le=64, description="Executor processes that `server --kafka` starts."
    )
    workers: int = Field(
        default=1, ge=1, le=64, description="Worker processes that `server --kafka` starts."
    )
    timezone: str = Field(
        default="UTC", description="Time zone of schedules that name none, such as Europe/Paris."
    )
    schema_registry: str | None = Field(
        default=None,
        description="URL of the schema registry for trigger messages in the Confluent wire format.",
    )
    execution_events: Literal["auto", "on", "json", "avro", "off"] = Field(
        default="auto",
        description="How the public topic execution-events is written: `json`, `avro` "
        "(single-object encoding) or `off`; `auto`: `json` over Kafka.",
    )
    executor_batch_records_max: int = Field(
        default=500, ge=1, le=10_000, description="Commands that one transaction takes at most."
    )
    executor_idle_poll_s: float = Field(
        default=0.5,
        gt=0,
        le=60,
        description="Seconds that an idle executor waits before it looks around again.",
    )
    executor_start_timeout_s: float = Field(
        default=60.0,
        gt=0,
        description="Seconds after which a job that no worker has started is sent again.",
    )
    executor_worker_lost_s: float = Field(
        default=10.0,
        ge=2,
        description="Seconds of silence after which a worker is taken for dead and its attempts "
        "go out again.",
    )
    executor_checkpoint_every_s: float = Field(
        default=60.0,
        gt=0,
        description="Seconds between two checkpoints of the live executions.",
    )
    executor_checkpoint_after_records: int = Field(
        default=5_000,
        ge=1,
        description="Commands that a partition takes before its next checkpoint.",
    )
    executor_remembered_ids_max: int = Field(
        default=1_000_000,
        ge=0,
        description="Ended executions per partition whose id, given from outside, stays known.",
    )
    executor_remembered_s: float = Field(
        default=3_600.0,
        ge=0,
        description="Seconds that such an id stays known after its execution ended.",
    )
    executor_recent_ids_max: int = Field(
        default=10_000,
        ge=0,
        description="Other ended executions per partition whose id stays known.",
    )
    api_drain_s: float = Field(
        default=10.0, ge=0, description="Seconds that requests get to end when the API stops."
    )
    connections_max: int = Field(4_096, ge=1, description="Connections to the API at a time.")
    connections_per_client_max: int = Field(
        2_048, ge=1, description="Of them from one address; a proxy has one, too."
    )
    streams_max: int = Field(2_000, ge=1, description="Executions and logs followed at a time.")
    lag_commands_max: int = Field(
        default=100_000,
        ge=1,
        description="Commands that executors may be behind before the API starts nothing new "
        "(503).",
    )
    lag_max_s: float = Field(
        60.0, gt=0, description="Seconds that the oldest of them may be old before that."
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="Port on 127.0.0.1 where a role without an API serves /prometheus, /health "
        "and /ready; 0 takes a free one and logs it, none: nowhere. The API serves its own.",
    )
    schedulers: int = Field(
        default=1, ge=1, le=64, description="Scheduler processes that `server --kafka` starts."
    )
    worker_slots: int = Field(
        default=16, ge=1, le=4096, description="Task attempts that one worker runs at a time."
    )
    worker_group: str | None = Field(
        default=None,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$",
        description="Group whose tasks a worker runs, by workerGroup or workerSelector; none: "
        "those of no group.",
    )
    local_paths: str | None = Field(
        None,
        description="Folders, separated by commas, whose files flows may read at `file:///` "
        "addresses on workers; none: no file of the machine.",
    )
    worker_drain_s: float = Field(
        default=20.0,
        ge=0,
        description="Seconds that running attempts get to end when a worker stops.",
    )
    stop_timeout_s: float = Field(
        default=30.0, gt=0, description="Seconds that a role gets to stop before it is given up."
    )
    skip_executions: str | None = Field(
        None, description="Ids of executions that executors leave alone, separated by commas."
    )
    skip_flows: str | None = Field(
        None,
        description="The same for all executions of flows, each as namespace.flowId.",
    )
    skip_namespaces: str | None = Field(
        None, description="The same for all executions of flows in these namespaces."
    )
    dialect: str = Field(
        "1.3",
        pattern=r"^(0\.(1[3-9]|2\d)|1\.\d{1,2}|2\.\d{1,2})$",
        description="Version of the flow language, 0.13 to 2.x, that decides where versions differ "
        "and neither a flow's author nor its constructs say.",
    )
    templates: bool = Field(
        default=False,
        description="Whether there are templates, tasks that the Template task runs (deprecated).",
    )
    url: str | None = Field(
        None, description="Address at which users reach the server, for links; none: as called."
    )
    environment_name: str | None = Field(
        None, description="Name of this installation, which expressions see: kestra.environment."
    )
    variables_globals: dict[str, Any] = Field(
        default={},
        description="What every expression sees as globals: a map, as JSON outside of the file.",
    )
    plugin_defaults: list[PluginDefault] = Field(
        default=[],
        description="Properties for all tasks and triggers of a type, below those of flows: a list "
        "of type, values and forced, as JSON outside of the file.",
    )
    api_url: str | None = Field(
        None,
        description="Address of the API as workers reach it, for tasks that ask the server; none: "
        "the API of the same data folder.",
    )
    encryption_key: SecretStr | None = Field(
        None,
        description="Key of 128, 192 or 256 bits in base 64 that seals SECRET inputs; none: flows "
        "with such inputs are not started.",
    )
    api_token: SecretStr | None = Field(
        None,
        description="Token by which tasks that ask the API sign in; none: the first user's name "
        "and password, where the worker has them.",
    )
    admin_user: str | None = Field(
        None, description="Name of the first user, made at the first start; none: nobody."
    )
    admin_password: SecretStr | None = Field(
        None, description="Password of the first user, 8 characters or more."
    )
    tls_certificate: Path | None = Field(
        None, description="Certificate chain (PEM) of the API; none: it speaks plain HTTP."
    )
    tls_key: Path | None = Field(None, description="Private key (PEM) of the certificate.")
    logging_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe line that the server's own log shows."
    )
    logging_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="`auto`: console on a terminal, else JSON lines."
    )

    @field_validator("variables_globals", "plugin_defaults", mode="before")
    @classmethod
    def _read_json(cls, value: Any) -> Any:
        """Maps and lists from the environment or the command line come as JSON text."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"Expected JSON: {error}") from None

    @property
    def database_url(self) -> str:
        """URL of the read model, the default filled in."""
        return self.database or f"sqlite:///{self.data_dir.absolute() / 'index.db'}"

    @property
    def local_folders(self) -> tuple[Path, ...]:
        """The folders of `local_paths`."""
        names = (self.local_paths or "").split(",")
        return tuple(Path(name.strip()) for name in names if name.strip())

    @property
    def storage_url(self) -> str:
        """URL, or folder, of the internal storage, the default filled in."""
        return self.storage or str(self.data_dir.absolute() / "storage")

    def to_environment(self) -> dict[str, str]:
        """Every setting that differs from its default, as environment variables."""
        changed = self.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        for name in ("encryption_key", "admin_password", "api_token"):
            secret: SecretStr | None = getattr(self, name)
            if secret is not None:
                changed[name] = secret.get_secret_value()
        return {
            ENVIRONMENT_PREFIX + name.upper(): (
                json.dumps(value) if isinstance(value, dict | list) else str(value)
            )
            for name, value in changed.items()
        }


def load_settings(
    options: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Read the settings from all three places.

    Args:
        options: from the command line, by setting; None values mean "not given".
        environment: variables; the process's own when None.
        file: YAML mapping of settings; `TIERCEL_CONFIG` names one when None.

    Raises:
        InvalidSettings: an unknown name or a value that does not hold; says where it stands.
    """
    environment = os.environ if environment is None else environment
    if file is None and environment.get("TIERCEL_CONFIG"):
        file = Path(environment["TIERCEL_CONFIG"])
    layers: list[tuple[str, Mapping[str, Any]]] = [
        (f"file {file}", _from_file(file) if file else {}),
        ("environment", _from_environment(environment)),
        ("command line", {k: v for k, v in (options or {}).items() if v is not None}),
    ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        values.update(layer)
        origins.update(dict.fromkeys(layer, origin))
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InvalidSettings(_explain(error, origins)) from None


def is_setting_variable(name: str) -> bool:
    """Whether an environment variable is meant as a setting."""
    return (
        name.startswith(ENVIRONMENT_PREFIX)
        and name not in OTHER_VARIABLES
        and not name.startswith(OTHER_PREFIXES)
    )


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name[len(ENVIRONMENT_PREFIX) :].lower(): value
        for name, value in environment.items()
        if is_setting_variable(name)
    }


def _from_file(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise InvalidSettings(f"Expected at most {FILE_BYTES_MAX} bytes of settings in {file}.")
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidSettings(f"Cannot read the settings file {file}: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InvalidSettings(f"Expected a mapping of settings in {file}, but it was not one.")
    return {str(name): value for name, value in content.items()}


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for fault in error.errors():
        name = str(fault["loc"][0]) if fault["loc"] else ""
        origin = origins.get(name, "defaults")
        if origin == "environment":
            name = ENVIRONMENT_PREFIX + name.upper()
        if fault["type"] == "extra_forbidden":
            lines.append(f"{name} ({origin}): there is no such setting.")
        else:
            lines.append(f"{name} ({origin}): {fault['msg']}, but it was {fault['input']!r}.")
    return "\n".join(lines)
