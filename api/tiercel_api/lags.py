"""How far executors and the read model are behind the log, and what follows for requests.

Nobody asks for it while a request waits: once in `LOOK_EVERY_S` this process compares where the
log ends with the offsets that the executors' group and the read model have stored. Both stores are
written in the transactions of the work itself, so they hold whoever is alive.
"""

from __future__ import annotations

import functools
import threading

from aiohttp import web

from tiercel_api.backlog import Backlog, Gap, Lag
from tiercel_api.errors import Handler, HttpError
from tiercel_api.services import Services
from tiercel_engine.errors import TiercelError
from tiercel_engine.eventlog.base import TopicPartition
from tiercel_engine.telemetry import metrics
from tiercel_engine.telemetry.logging import get_logger

log = get_logger(component="api")

#: Between two looks. A search is at most this much more behind than it says.
LOOK_EVERY_S = 0.5
#: A look that is older tells nothing any more: the log or the database does not answer.
LOOK_VALID_S = 15.0
#: How long a look that runs may hold the end of the process up.
CLOSE_TIMEOUT_S = 2.0
#: When whoever was refused may try again.
RETRY_AFTER_S = 5
#: What an answer of a search says about the read model.
SECONDS_HEADER = "X-Tiercel-Index-Lag-Seconds"
RECORDS_HEADER = "X-Tiercel-Index-Lag-Records"

#: Ends of paths that start work when they are posted to. What ends work stays allowed.
_WORK = (
    "/executions/{namespace}/{id}",
    "/executions/trigger/{namespace}/{id}",
    *(
        f"/executions/{{executionId}}{actions}/{verb}"
        for actions in ("", "/actions")
        for verb in ("restart", "replay", "replay-with-inputs", "force-run")
    ),
)
_BULK = ("/by-ids", "/by-query")
_WEBHOOK = "/executions/webhook/"
_SEARCHES = ("/search", "/executions")


class Lags:
    """How far both are behind. `commands` and `index` are read in any thread."""

    def __init__(self, services: Services) -> None:
        self.commands = Lag()
        self.index = Lag()
        self._services = services
        self._executors = Backlog()
        self._indexers = Backlog()
        self._looked_us = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="api-lag", daemon=True)
        topics = services.topics
        self._indexed = [topic.name for topic in topics.indexed()]

    def start(self) -> None:
        """Look again and again, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Look no more. A look that the broker does not answer is given up, not waited for."""
        self._stopping.set()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except TiercelError as error:
                log.warning("lag_unknown", error=str(error))
            except Exception:
                # Whatever it is: a thread that ended would leave the lag unknown for ever.
                log.exception("lag_unknown")
            self._stopping.wait(LOOK_EVERY_S)

    @property
    def is_known(self) -> bool:
        """Whether the last look was not long ago."""
        age_us = self._services.clock.now_us() - self._looked_us
        return age_us < LOOK_VALID_S * 1_000_000

    @property
    def refusal(self) -> str | None:
        """Why nothing is started now; None: it is."""
        settings = self._services.settings
        behind, allowed_s = self.commands, settings.lag_max_s
        if not self.is_known:
            return None
        if behind.seconds <= allowed_s and behind.records <= settings.lag_commands_max:
            return None
        return (
            f"Executors are {behind.seconds:.0f} s and {behind.records} commands behind; at most "
            f"{allowed_s:g} s and {settings.lag_commands_max} commands are allowed. Nothing new "
            "is started until they have caught up. Is one running?"
        )

    def _look(self) -> None:
        """One look. Blocks."""
        services = self._services
        event_log, topics = services.log, services.topics
        # Positions first: an end seen before would let a quick reader seem to be ahead.
        consumed = event_log.group_offsets(topics.executors, topics.commands.name)
        indexed = {
            TopicPartition(*lane): offset
            for lane, offset in services.models.indexed_offsets().items()
        }
        ends = event_log.ends([topics.commands.name, *self._indexed])
        now_us = services.clock.now_us()
        to_decide = {at: end for at, end in ends.items() if at.topic == topics.commands.name}
        to_index = {at: end for at, end in ends.items() if at.topic != topics.commands.name}
        for readers, positions, lanes in (
            (self._executors, consumed, to_decide),
            (self._indexers, indexed, to_index),
        ):
            for gap in readers.look(positions, lanes, now_us):
                readers.found(gap, self._first_us(gap))
        self._looked_us = now_us
        self.commands, self.index = self._executors.lag(now_us), self._indexers.lag(now_us)
        for (records, seconds), lag in (
            ((metrics.API_COMMAND_LAG, metrics.API_COMMAND_LAG_S), self.commands),
            ((metrics.API_INDEX_LAG, metrics.API_INDEX_LAG_S), self.index),
        ):
            records.set(lag.records)
            seconds.set(lag.seconds)

    def _first_us(self, gap: Gap) -> int | None:
        """When the first record of a gap was written; None: it holds none."""
        for record in self._services.log.read(*gap.at, gap.position, gap.end):
            return record.timestamp_ms * 1_000
        return None


LAGS = web.AppKey("lags", Lags)


@functools.cache
def starts_work(method: str, pattern: str) -> bool:
    """Whether requests to a route start executions, or many things at once."""
    if _WEBHOOK in pattern:
        return True
    if method != "POST" or "/executions/" not in pattern:
        return False
    return pattern.endswith((*_WORK, *_BULK))


@web.middleware
async def mind_lag(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Start nothing while executors are too far behind; say how far searches are.

    Raises:
        HttpError: 503, with the time after which to try again.
    """
    resource = request.match_info.route.resource
    pattern = "" if resource is None else resource.canonical
    lags = request.app[LAGS]
    if starts_work(request.method, pattern) and (reason := lags.refusal) is not None:
        metrics.API_REFUSED.labels("lag").inc()
        raise HttpError(503, "Service Unavailable", reason, RETRY_AFTER_S)
    response = await handler(request)
    if request.method == "GET" and pattern.endswith(_SEARCHES) and not response.prepared:
        response.headers[SECONDS_HEADER] = f"{lags.index.seconds:.3f}" if lags.is_known else "-1"
        response.headers[RECORDS_HEADER] = str(lags.index.records) if lags.is_known else "-1"
    return response
