"""The accounts topic as one API sees it: read to its end, followed, and written to."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from tiercel_api.gateway import Gateway
from tiercel_api.security.accounts import Accounts, change_of
from tiercel_engine.errors import Conflict, LogError, LogUnavailable
from tiercel_engine.eventlog.base import Consumer, EventLog, Record, TopicPartition
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.accounts import TokenSaved, UserSaved
from tiercel_schemas.codec import UnreadableRecord

log = get_logger(component="api")

POLL_RECORDS = 1_000
POLL_S = 1.0
#: How long a wish may take to come back from the log.
OUTCOME_TIMEOUT_S = 10.0
#: After the log failed: a breath before the next try.
RETRY_S = 1.0


class AccountsTopic:
    """Keeps `accounts` as the topic says, and waits for the outcome of wishes."""

    def __init__(self, event_log: EventLog, topic: str) -> None:
        self.accounts = Accounts()
        self._log = event_log
        self._topic = topic
        self._next = 0
        self._consumer: Consumer | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="accounts")
        self._changed = asyncio.Condition()

    def catch_up(self) -> None:
        """Read what the topic holds now. Raises LogUnavailable when the log does not give it."""
        for record in self._log.read(self._topic, 0, self._next):
            self._take(record)

    async def follow_forever(self) -> None:
        """Take in what comes, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                count = await loop.run_in_executor(self._thread, self._poll)
            except LogError as error:
                log.warning("accounts_not_read", error=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            if count:
                async with self._changed:
                    self._changed.notify_all()

    def _poll(self) -> int:
        if self._consumer is None:
            self._consumer = self._log.tail_from({TopicPartition(self._topic, 0): self._next})
        records = self._consumer.poll(POLL_RECORDS, POLL_S)
        for record in records:
            self._take(record)
        return len(records)

    def _take(self, record: Record) -> None:
        if record.offset < self._next:
            return
        self._next = record.offset + 1
        try:
            change = change_of(record.value)
        except UnreadableRecord as error:
            log.error("account_unreadable", offset=record.offset, error=str(error))
            return
        if change is not None:
            self.accounts.apply(change)

    async def wish(self, gateway: Gateway, change: UserSaved | TokenSaved) -> None:
        """Ask for a change, and wait until the topic says what became of it.

        Raises:
            Conflict: it was refused.
            LogUnavailable: nobody knows yet.
        """
        await gateway.append(self._topic, change.username, change)
        outcomes = self.accounts.outcomes
        try:
            async with asyncio.timeout(OUTCOME_TIMEOUT_S), self._changed:
                await self._changed.wait_for(lambda: change.change_id in outcomes)
        except TimeoutError:
            raise LogUnavailable("Expected the change to be read back, but it was not.") from None
        refusal = outcomes[change.change_id]
        if refusal is not None:
            raise Conflict(refusal)

    def close(self) -> None:
        """Stop reading. Blocks until the reading thread has let go."""
        if self._consumer is not None:
            self._consumer.wake()
        self._thread.shutdown(wait=True)
        if self._consumer is not None:
            self._consumer.close()


ACCOUNTS = web.AppKey("accounts", AccountsTopic)
