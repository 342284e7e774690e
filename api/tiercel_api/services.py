"""What the API needs to serve: the composition root fills it in, handlers take it from the app."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from tiercel_api.bounds import Bounds
from tiercel_api.reads import IndexedHook
from tiercel_engine.catalog import FlowCatalog
from tiercel_engine.clock import Clock
from tiercel_engine.eventlog.base import EventLog
from tiercel_engine.expression.server import ServerVariables
from tiercel_engine.flow.dialect import DEFAULT
from tiercel_engine.flow.inputs import Encrypt
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_engine.repository.base import ReadModels
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.sealing import Sealer
from tiercel_schemas.topics import Topics

MIB = 1_048_576
#: Names by which a server that listens on loopback alone may be called. Any other name in a
#: request's Host header means that a web page reached us under a name of its own (DNS rebinding).
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "host.docker.internal"})


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Bounds and names of the API.

    Attributes:
        url: how users reach the server, for links; none: as the request named it.
        timezone: zone of schedules that name none.
        tenants: tenants that exist.
        hosts: host names (without port) that a request may name; none: any.
        dialect: of flows that neither their author nor their constructs give one.
        templates: whether there are templates.
        flow_bytes_max: a flow's source.
        body_bytes_max: any other body that is read as a whole: webhooks, JSON.
        text_bytes_max: all text inputs of one request together.
        upload_bytes_max: all files of one request together.
        parts_max: parts of one form.
        command_timeout_s: how long a request waits for the executor's decision.
        index_timeout_s: how long a request waits for the read model.
        wait_timeout_s: how long `wait=true` holds an answer; then it answers what is there.
        fresh_s: how old an id may be that the read model need not know yet.
        read_threads: threads that query the read model.
        file_threads: threads that move files; as many uploads and downloads make progress at once.
        lag_commands_max: commands that executors may be behind before nothing new is started.
        lag_max_s: how old the oldest of them may be.
        bounds: what connections may use.
        followers_max: server-sent event streams at a time.
    """

    url: str | None = None
    timezone: str = "UTC"
    tenants: frozenset[str] = frozenset({"main"})
    hosts: frozenset[str] | None = LOOPBACK_HOSTS
    dialect: str = DEFAULT
    templates: bool = False
    flow_bytes_max: int = MIB
    body_bytes_max: int = 4 * MIB
    text_bytes_max: int = 16 * MIB
    upload_bytes_max: int = 1024 * MIB
    parts_max: int = 1_000
    command_timeout_s: float = 10.0
    index_timeout_s: float = 10.0
    wait_timeout_s: float = 3_600.0
    fresh_s: float = 30.0
    read_threads: int = 8
    file_threads: int = 8
    lag_commands_max: int = 100_000
    lag_max_s: float = 60.0
    bounds: Bounds = field(default_factory=Bounds)
    followers_max: int = 2_000


@dataclass(slots=True)
class Services:
    """What the composition root gives.

    Attributes:
        indexed: `Indexer.on_indexed` when the indexer runs in this process; none: the read model
            is looked at again and again.
        sealer: seals SECRET inputs; none: they are refused.
        session_secret: what the key of session cookies derives from; none: sessions end with the
            process, and are not known to others.
        server: what templates see of the server.
        is_ready: whether the process that this API runs in takes work.
    """

    log: EventLog
    topics: Topics
    catalog: FlowCatalog
    models: ReadModels
    storage: Storage
    registry: PluginRegistry
    clock: Clock
    settings: ApiSettings = field(default_factory=ApiSettings)
    indexed: IndexedHook | None = None
    sealer: Sealer | None = None
    session_secret: str | None = None
    server: ServerVariables = field(default_factory=ServerVariables)
    is_ready: Callable[[], bool] = lambda: True


def encryption(services: Services) -> Encrypt | None:
    """Seals the text of a SECRET input; None when the server has no key."""
    return None if services.sealer is None else services.sealer.seal


SERVICES = web.AppKey("services", Services)
