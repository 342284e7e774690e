"""The worker: takes jobs while it has free slots, runs them, says how they ended.

Theory of operation. One loop in one thread reads jobs (as a member of the group of workers) and
all revocations; attempts run in threads, one per slot. Jobs are read only while a slot is free.
The loop's `_tick` sends what attempts have to say, watches their deadlines, commits the
offsets of those jobs whose StartAttempt is durable, and beats the heart.

A job may come twice (a rebalance, a restart): this worker leaves out what it ran already, and the
executor refuses the start or the result of a lease that is not the current one. `stop` drains:
no new jobs, the partitions go to others, what runs may end within the grace period, and the rest is
handed back.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tiercel_engine.clock import Clock
from tiercel_engine.errors import LogError, LogUnavailable, PartitionsLost
from tiercel_engine.eventlog.base import EventLog, NewRecord, Record, TopicPartition
from tiercel_engine.eventlog.dead_letters import dead_letter
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.sealing import Sealer
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.codec import UnreadableRecord, decode_as, encode
from tiercel_schemas.commands import ReturnJob
from tiercel_schemas.jobs import Revocation, SessionClose, TaskJob
from tiercel_schemas.state import State
from tiercel_schemas.topics import Topics
from tiercel_worker.attempt import Attempt, Cancel, topics_for
from tiercel_worker.heart import Heart
from tiercel_worker.intake import Intake
from tiercel_worker.local_files import LocalFiles
from tiercel_worker.offsets import Offsets
from tiercel_worker.revocations import Revocations
from tiercel_worker.runner import Runner, timeout_message
from tiercel_worker.sender import Outgoing, Sender
from tiercel_worker.server_api import FindApi
from tiercel_worker.session import Session, SessionKey
from tiercel_worker.slots import Slots
from tiercel_worker.told import Message, Told

GROUP = "workers"
#: A task that ends within this time says so by its EndAttempt alone.
START_DELAY_S = 0.02
#: The longest time between two ticks: the delay of log lines, revocations and timeouts.
TICK_S = 0.1
#: The window in which a rebalance delivers a job again that is running here.
COMMIT_EVERY_S = 0.2
#: How many jobs taken are remembered, to leave out a repeated one.
RECENT_MAX = 10_000
#: A cancelled task that is still there after this time is answered for without waiting for it.
ABANDON_S = 5.0
FLUSH_TIMEOUT_S = 10.0

AttemptKey = tuple[str, int, int]

log = get_logger()


class Worker:
    """Runs task attempts.

    Args:
        log, topics, storage, registry, clock: the parts it stands on.
        worker_id: unique among all workers that ever lived.
        member: name in the group of workers, stable and unique among live ones; `worker_id` when
            None.
        slots: how many attempts run at once.
        group: worker group; empty for the default one.
        heartbeat_s: how often it says that it lives.
        grace_s: how long running attempts may take to end once it is stopped.
        sealer: opens SECRET inputs; without it tasks see them sealed.
        local: the files of this machine that tasks may read; None: none.
        find_api: the address of the server's HTTP API, for tasks that ask it; None: not known.
    """

    def __init__(
        self,
        log: EventLog,
        topics: Topics,
        storage: Storage,
        registry: PluginRegistry,
        clock: Clock,
        worker_id: str,
        slots: int = 16,
        group: str = "",
        heartbeat_s: float = 1.0,
        grace_s: float = 30.0,
        sealer: Sealer | None = None,
        find_api: FindApi = lambda: None,
        member: str | None = None,
        local: LocalFiles | None = None,
    ) -> None:
        #: Set while it takes jobs.
        self.ready = threading.Event()
        self._log = log
        self._topics = topics
        self._clock = clock
        self._worker_id = worker_id
        self._member = member or worker_id
        self._slots_count = slots
        self._group = group
        self._grace_s = grace_s
        self._jobs_topic = topics.jobs_of(group)
        self._runner = Runner(registry, storage, clock, sealer, find_api, local)
        self._slots = Slots(slots)
        self._sender = Sender(log.appender())
        self._heart = Heart(
            topics.workers.name,
            self._sender,
            worker_id,
            self._member,
            group,
            slots,
            clock,
            heartbeat_s,
        )
        self._revoked = Revocations(worker_id)
        self._offsets = Offsets()
        self._running: dict[AttemptKey, Attempt] = {}
        self._fresh: deque[Attempt] = deque()
        self._recent: OrderedDict[AttemptKey, None] = OrderedDict()
        self._sessions: dict[SessionKey, Session] = {}
        self._guests: set[AttemptKey] = set()  # In the threads of sessions, without slots.
        self._stopping = threading.Event()
        self._broken: LogError | None = None
        self._intake: Intake | None = None
        self._commit_due_s = self._tick_due_s = 0.0

    # ---- the face

    def run(self) -> None:
        """Take and run jobs until `stop`, then drain.

        Raises:
            LogError: the log is away, or another worker took this one's name.
        """
        told = Told(self._log, self._topics, self._worker_id)
        try:
            self._hear(told.so_far())
            self._take_jobs(told)
            self._drain(told)
        finally:
            for attempt in list(self._running.values()):
                attempt.drop(Cancel.RETURNED)
            self._slots.close()
            self._sender.close()
            told.close()

    def stop(self) -> None:
        """Start to drain. From any thread, also from a signal handler's."""
        self._stopping.set()
        if (intake := self._intake) is not None:
            intake.wake()

    @property
    def owned(self) -> tuple[int, ...]:
        """Partitions of jobs that are this worker's now. From any thread."""
        return self._heart.owned

    # ---- RebalanceListener

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self._heart.won(partitions)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self._heart.lost(partitions)
        self._offsets.forget(partitions)

    # ---- the loop

    def _take_jobs(self, told: Told) -> None:
        if self._group:
            self._log.create_topics([self._jobs_topic])
        consumer = self._log.consumer(
            ".".join([self._topics.prefix + GROUP, *filter(None, [self._group])]),
            [self._jobs_topic.name],
            self._member,
            self,
        )
        self._intake = intake = Intake(consumer)
        try:
            self._beat()
            self.ready.set()
            while not self._stopping.is_set():
                intake.expect()
                is_awaited = bool(self._fresh or self._sessions)
                records = intake.poll(self._free_slots(), START_DELAY_S if is_awaited else TICK_S)
                self._hear(told.poll())
                for record in records:
                    self._take(record)
                self._tick()
            self._settle(intake)
        finally:
            self.ready.clear()
            self._intake = None
            intake.close()

    def _take(self, record: Record) -> None:
        taken = self._offsets.take(TopicPartition(record.topic, record.partition), record.offset)
        try:
            job = decode_as(TaskJob, record.value)
        except UnreadableRecord as error:
            self._bury(record, str(error), taken.done)
            return
        key = (job.task_run_id, job.attempt, job.epoch)
        if key in self._recent or self._revoked.covers(job):
            taken.done()
            return
        self._recent[key] = None
        if len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)
        attempt = self._begun(job, taken.done)
        if not job.session_id:
            self._slots.submit(lambda: self._run(attempt))
            return
        session = Session(attempt, self._runner, self._clock, self._run)
        self._sessions[session.key] = session
        self._slots.submit(lambda: self._until_over(attempt, session.run))

    def _begun(self, job: TaskJob, answered: Callable[[], None]) -> Attempt:
        attempt = Attempt(
            job,
            topics_for(job, self._topics),
            self._sender,
            self._worker_id,
            self._clock.now_us(),
            answered,
        )
        self._running[attempt.key] = attempt
        self._fresh.append(attempt)
        return attempt

    def _run(self, attempt: Attempt, folder: Path | None = None) -> None:
        self._until_over(attempt, lambda: self._runner.run(attempt, folder))

    def _until_over(self, attempt: Attempt, run: Callable[[], None]) -> None:
        """In a slot's thread."""
        try:
            if not attempt.is_closed:
                run()
        except LogError as error:
            self._broken = error
        finally:
            self._guests.discard(attempt.key)
            self._sessions.pop((attempt.job.task_run_id, attempt.job.epoch), None)
            del self._running[attempt.key]
            if (intake := self._intake) is not None:
                intake.freed()

    def _tick(self) -> None:
        now_s = time.monotonic()
        while self._fresh and self._fresh[0].started_s + START_DELAY_S <= now_s:
            self._fresh.popleft().flush()
        if now_s >= self._tick_due_s:
            self._tick_due_s = now_s + TICK_S
            if self._broken is not None:
                raise self._broken
            self._sender.retry_failed()
            for attempt in list(self._running.values()):
                attempt.flush()
                self._watch(attempt, now_s)
        if self._heart.is_due(now_s):
            self._beat()
        if now_s >= self._commit_due_s and self._intake is not None:
            self._commit_due_s = now_s + COMMIT_EVERY_S
            self._commit(self._intake)

    def _watch(self, attempt: Attempt, now_s: float) -> None:
        """Cancel what is over its time; answer for a task that does not stop."""
        if attempt.cancelled_s is not None:
            if now_s > attempt.cancelled_s + ABANDON_S:
                self._abandon(attempt)
        elif attempt.deadline_s is not None and now_s >= attempt.deadline_s:
            attempt.cancel(Cancel.TIMEOUT)

    def _abandon(self, attempt: Attempt) -> None:
        timed_out = attempt.cancel_reason is Cancel.TIMEOUT
        ended = attempt.end(
            State.FAILED if timed_out else State.KILLED,
            self._clock.now_us(),
            None,
            timeout_message(attempt) if timed_out else "The task was killed.",
        )
        if ended:
            log.warning("attempt_abandoned", task_run_id=attempt.job.task_run_id)

    # ---- what workers are told

    def _hear(self, told: Iterable[Message]) -> None:
        for message in told:
            match message:
                case Revocation():
                    self._obey(message)
                case TaskJob():
                    self._take_guest(message)
                case SessionClose():
                    key = (message.session_id, message.session_epoch)
                    if session := self._sessions.get(key):
                        session.close()

    def _take_guest(self, job: TaskJob) -> None:
        """A task for a folder that is open here; without one, the executor is told so."""
        if (job.task_run_id, job.attempt, job.epoch) in self._running or self._revoked.covers(job):
            return
        session = self._sessions.get((job.session_id, job.session_epoch))
        attempt = self._begun(job, lambda: None)
        self._guests.add(attempt.key)
        if session is None or not session.offer(attempt):
            attempt.drop(Cancel.RETURNED)
            self._run(attempt)
            self._give_back(job, "the folder is not open here")

    def _obey(self, revocation: Revocation) -> None:
        if not self._revoked.add(revocation):
            return
        for attempt in list(self._running.values()):
            job = attempt.job
            if (job.task_run_id, job.attempt) != (revocation.task_run_id, revocation.attempt):
                continue
            if job.epoch > revocation.epoch:
                continue
            if revocation.reason == Cancel.KILLED:
                attempt.cancel(Cancel.KILLED)
            else:
                attempt.drop(Cancel.SUPERSEDED)

    # ---- stopping

    def _settle(self, intake: Intake) -> None:
        """Before the partitions go to others: what was taken is said and committed."""
        for attempt in list(self._running.values()):
            attempt.flush()
        self._sender.flush(FLUSH_TIMEOUT_S)
        self._commit(intake)

    def _commit(self, intake: Intake) -> None:
        if not (offsets := self._offsets.committable()):
            return
        try:
            intake.commit(offsets)
        except (PartitionsLost, LogUnavailable) as error:
            # Their jobs come again, here or elsewhere, and the executor refuses their start.
            log.warning("offsets_not_committed", reason=str(error))

    def _drain(self, told: Told) -> None:
        self._heart.state = "DRAINING"
        self._beat()
        deadline_s = time.monotonic() + self._grace_s
        while self._running and time.monotonic() < deadline_s:
            self._wait(told)
        self._hand_back(told)
        self._heart.state = "STOPPED"
        self._beat()
        self._sender.flush(FLUSH_TIMEOUT_S)

    def _hand_back(self, told: Told) -> None:
        """Stop what still runs; another worker may have it once it has stopped here."""
        leftover = [one for one in list(self._running.values()) if one.drop(Cancel.RETURNED)]
        deadline_s = time.monotonic() + ABANDON_S
        while self._running and time.monotonic() < deadline_s:
            self._wait(told)
        for attempt in leftover:
            self._give_back(attempt.job, "the worker stops")

    def _give_back(self, job: TaskJob, reason: str) -> None:
        """Another worker may have it."""
        returned = ReturnJob(
            job.execution_id, job.task_run_id, job.attempt, job.epoch, self._worker_id, reason
        )
        name = topics_for(job, self._topics).commands.name
        self._sender.send([Outgoing(NewRecord(name, job.execution_id, encode(returned)))])

    def _wait(self, told: Told) -> None:
        self._hear(told.poll(START_DELAY_S * 2))
        self._tick()

    # ---- what it says of itself

    def _free_slots(self) -> int:
        return max(0, self._slots_count - len(self._running) + len(self._guests))

    def _beat(self) -> None:
        free = self._free_slots()
        self._heart.beat(self._slots_count - free, 0 if self._stopping.is_set() else free)

    def _bury(self, record: Record, reason: str, durable: Callable[[], None]) -> None:
        where = f"{record.topic}-{record.partition} at {record.offset}"
        log.error("job_unreadable", where=where, reason=reason)
        letter = dead_letter(record, reason, self._topics.dead_letters.name)
        self._sender.send([Outgoing(letter, durable)])
