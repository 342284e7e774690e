"""A WorkingDirectory on its worker: one folder, and the tasks that come to run in it.

Theory of operation. The session has a slot, and so a thread, for as long as its folder is open.
The main loop puts what the inbox brings into its queue: attempts to run, one at a time, in the
session's own thread, or the word to close. What is cancelled wakes the queue, too. The folder is
removed when the session ends, whatever way. The executor decides all the rest.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from tiercel_engine.clock import Clock
from tiercel_schemas.state import State
from tiercel_worker.attempt import Attempt, Cancel
from tiercel_worker.cache import FolderCache
from tiercel_worker.logs import TaskLogger
from tiercel_worker.runner import Ending, Runner
from tiercel_worker.task_runner import files
from tiercel_worker.task_runner.namespace_copies import copy_namespace_files
from tiercel_worker.tasks.properties import text_list

#: Task run and epoch of the lease.
SessionKey = tuple[str, int]


class Word(Enum):
    """What a session hears besides attempts."""

    CLOSE = auto()
    CANCELLED = auto()


class Session:
    """One open folder. `key`, `offer` and `close` are for the main loop, `run` for its thread.

    Args:
        attempt: of the WorkingDirectory.
        run: runs an attempt in a folder, and forgets it.
    """

    def __init__(
        self,
        attempt: Attempt,
        runner: Runner,
        clock: Clock,
        run: Callable[[Attempt, Path], None],
    ) -> None:
        self.key: SessionKey = (attempt.job.task_run_id, attempt.job.epoch)
        self._attempt = attempt
        self._runner = runner
        self._clock = clock
        self._run = run
        self._lock = threading.Lock()
        self._is_over = False
        self._heard: SimpleQueue[Attempt | Word] = SimpleQueue()

    def offer(self, attempt: Attempt) -> bool:
        """An attempt to run in the folder; False when the folder is closed."""
        with self._lock:
            if not self._is_over:
                self._heard.put(attempt)
            return not self._is_over

    def close(self) -> None:
        """No task is left."""
        self._heard.put(Word.CLOSE)

    def run(self) -> None:
        """Open the folder, run what comes, close it. Does not raise, save that the log is away."""
        self._attempt.on_cancel(lambda: self._heard.put(Word.CANCELLED))
        self._runner.run_with(self._attempt, self._ending)
        with self._lock:
            self._is_over = True
        while not self._heard.empty():
            left = self._heard.get()
            if isinstance(left, Attempt):
                # The folder is gone: whoever closed it knows, or finds out.
                left.drop(Cancel.SUPERSEDED)
                self._run(left, Path())

    def _ending(self, logger: TaskLogger) -> Ending:
        properties: dict[str, Any] = msgspec.json.decode(self._attempt.job.task_json)
        logger.set_level(properties.get("logLevel"))
        with _folder() as folder, self._runner.context(self._attempt, logger, folder) as context:
            cache = FolderCache.of(properties, self._attempt.job, self._runner.storage)
            if cache is not None and cache.restore(folder, self._clock.now_us()):
                logger.log("DEBUG", "The cached files were put into the folder.")
            copy_namespace_files(context, properties.get("namespaceFiles"), folder)
            files.write_inputs(context, properties.get("inputFiles"), folder)
            # From here on the executor knows who holds the folder, and sends the first task.
            self._attempt.flush()
            if not self._until_closed(folder):
                return Ending(State.KILLED, None, "The task was killed.")
            files.remove_own(folder)
            globs = text_list(context, properties.get("outputFiles"), "outputFiles")
            uris = files.collect_outputs(context, globs, folder)
            if cache is not None and cache.save(folder):
                logger.log("DEBUG", "Files of the folder were put into the cache.")
            outputs = {"outputFiles": uris} if uris else {}
            return Ending(State.SUCCESS, self._runner.packed(self._attempt, outputs))

    def _until_closed(self, folder: Path) -> bool:
        """Run what comes, until no task is left; False when the session was cancelled."""
        while not self._attempt.is_cancelled():
            heard = self._heard.get()
            if heard is Word.CLOSE:
                return True
            if isinstance(heard, Attempt):
                files.remove_own(folder)
                self._run(heard, folder)
        return False


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tiercel-folder-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
