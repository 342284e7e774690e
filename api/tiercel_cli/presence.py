"""What a process says of its services: that they live, how they stand, which partitions they own.

Workers say more of themselves, and more often, to the executors; this is for people who look.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence

from tiercel_api.routes.health import version_text
from tiercel_engine.clock import Clock
from tiercel_engine.errors import LogError
from tiercel_engine.eventlog.base import EventLog, NewRecord
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.codec import encode
from tiercel_schemas.services import ServiceHeartbeat

#: Role of a process -> kind of service, in the words of the peer.
KINDS = {
    "executor": "EXECUTOR",
    "worker": "WORKER",
    "scheduler": "SCHEDULER",
    "indexer": "INDEXER",
    "api": "WEBSERVER",
}
#: Between two times that it says so.
BEAT_S = 5.0
#: How long the last words may take.
FLUSH_TIMEOUT_S = 5.0

Owned = Callable[[], Sequence[int]]

log = get_logger(component="presence")


class Presence:
    """Speaks for the services of one process. From one thread."""

    def __init__(
        self,
        event_log: EventLog,
        topic: str,
        clock: Clock,
        instance: str,
        services: Mapping[str, Owned],
    ) -> None:
        """`services`: role -> the partitions that it owns now, asked from the speaking thread."""
        self._appender = event_log.appender()
        self._topic = topic
        self._clock = clock
        self._instance = instance
        self._services = services
        self._started_us = clock.now_us()

    def beat(self, state: str) -> None:
        """Say how all of them stand. One that cannot be said is left out: the next one follows."""
        for role, owned in self._services.items():
            try:
                self._appender.append(self._record(role, state, tuple(owned())))
            except LogError as error:
                log.warning("presence_unsaid", role=role, reason=str(error))

    def end(self, state: str) -> None:
        """Say the last words, and wait until they are written. Blocks."""
        self.beat(state)
        try:
            self._appender.flush(FLUSH_TIMEOUT_S)
        except LogError as error:
            log.warning("presence_unsaid", reason=str(error))

    def close(self) -> None:
        self._appender.close()

    def _record(self, role: str, state: str, partitions: tuple[int, ...]) -> NewRecord:
        is_alone = len(self._services) == 1
        service_id = self._instance if is_alone else f"{self._instance}-{role}"
        heartbeat = ServiceHeartbeat(
            service_id=service_id,
            kind=KINDS[role],
            state=state,
            instance=self._instance,
            is_alone=is_alone,
            version=version_text(),
            host=socket.gethostname(),
            started_us=self._started_us,
            sent_us=self._clock.now_us(),
            partitions=partitions,
        )
        return NewRecord(self._topic, service_id, encode(heartbeat))
