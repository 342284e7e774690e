"""One attempt of one task: build it, render, run, check its outputs, say how it ended.

The bulkhead of the worker stands here: whatever a task raises ends its attempt FAILED, and nothing
else.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from pydantic import BaseModel, ValidationError

from tiercel_engine.clock import Clock, to_datetime
from tiercel_engine.errors import TaskError
from tiercel_engine.expression.context import RenderContext
from tiercel_engine.expression.render import Renderer
from tiercel_engine.expression.text import json_text
from tiercel_engine.flow.dialect import dialect_of
from tiercel_engine.flow.duration import parse_duration_s
from tiercel_engine.plugin.base import NO_EFFECTS, RunnableTask, TaskResult
from tiercel_engine.plugin.dialects import expression_dialect
from tiercel_engine.plugin.evaluation import ATTEMPT as EVALUATION
from tiercel_engine.plugin.evaluation import Evaluation
from tiercel_engine.plugin.registry import PluginRegistry
from tiercel_engine.sandbox.jq import JqSandbox
from tiercel_engine.storage.claims import pack
from tiercel_engine.storage.kv import KvStore
from tiercel_engine.storage.lazy import Vault, variables_of
from tiercel_engine.storage.objects import Storage
from tiercel_engine.storage.sealing import Sealer
from tiercel_engine.storage.uri import execution_value, outputs_name, task_file
from tiercel_engine.telemetry.metrics import WORKER_ATTEMPT_S, WORKER_ATTEMPTS
from tiercel_schemas.common import Payload
from tiercel_schemas.state import State
from tiercel_worker.attempt import Attempt, Cancel, files_of, run_files_of
from tiercel_worker.context import AttemptContext
from tiercel_worker.local_files import LocalFiles
from tiercel_worker.log_file import LogFile
from tiercel_worker.logs import TaskLogger
from tiercel_worker.lookups import AttemptLookups
from tiercel_worker.server_api import FindApi, ServerApi

#: How many task models are kept, by their JSON text.
MODELS_MAX = 1_000
#: How many causes of an error its log line tells.
CAUSES_MAX = 10


class Ending(NamedTuple):
    """How an attempt ended."""

    state: str
    outputs: Payload | None = None
    error: str | None = None
    effects_json: str | None = None


class Runner:
    """Runs attempts, each in the thread that calls. Thread-safe."""

    def __init__(
        self,
        registry: PluginRegistry,
        storage: Storage,
        clock: Clock,
        sealer: Sealer | None = None,
        find_api: FindApi = lambda: None,
        local: LocalFiles | None = None,
    ) -> None:
        self._local = local or LocalFiles()
        self._find_api = find_api
        self._registry = registry
        self.storage = storage
        self._pairs = KvStore(storage, clock)
        self._clock = clock
        self._sealer = sealer
        self._rng = random.SystemRandom()
        self._task = lru_cache(maxsize=MODELS_MAX)(self._build)

    def run(self, attempt: Attempt, folder: Path | None = None) -> None:
        """Run it to its end; does not raise, save that the log is away.

        `folder`: where it runs; without one it gets a folder of its own.
        """
        self.run_with(attempt, lambda logger: self._ending(attempt, logger, folder))

    def run_with(self, attempt: Attempt, work: Callable[[TaskLogger], Ending]) -> None:
        """Let `work` do what there is to do, whatever it raises. Does not raise, as `run`."""
        logger = TaskLogger(attempt, self._clock)
        try:
            ending = work(logger)
        except Exception as error:  # noqa: BLE001 - the bulkhead: one job in the worker
            ending = self._failure(attempt, logger, error)
        ended_us = self._clock.now_us()
        log_file = logger.store(self.storage)
        if attempt.end(
            ending.state, ended_us, ending.outputs, ending.error, ending.effects_json, log_file
        ):
            WORKER_ATTEMPTS.labels(ending.state).inc()
            WORKER_ATTEMPT_S.observe((ended_us - attempt.started_us) / 1_000_000)

    def _ending(self, attempt: Attempt, logger: TaskLogger, folder: Path | None) -> Ending:
        task = self._task(attempt.job.task_json)
        logger.set_level(task.log_level)
        if task.log_to_file:
            logger.write_to(LogFile())
        opens = not isinstance(task, Evaluation) or task.opens_secrets
        with self.context(attempt, logger, folder, opens) as context:
            self._set_deadline(attempt, task, context)
            result = None if attempt.is_cancelled() else task.run(context)
        if attempt.cancel_reason is not None:
            return self._cancelled(attempt, logger)
        if not isinstance(result, TaskResult):
            return Ending(State.SUCCESS, self.packed(attempt, result))
        effects = result.effects
        effects_json = None if effects == NO_EFFECTS else json_text(msgspec.to_builtins(effects))
        return Ending(result.state, self.packed(attempt, result), effects_json=effects_json)

    @contextmanager
    def context(
        self, attempt: Attempt, logger: TaskLogger, folder: Path | None = None, opens: bool = True
    ) -> Iterator[AttemptContext]:
        """What an attempt's code sees; at the end its metrics are said and its files are gone.

        `folder`: as for `run`. `opens`: whether it sees secrets open.
        """
        vault = Vault(self._sealer, logger.mask) if self._sealer is not None and opens else None
        variables = variables_of(attempt.job.variables, self.storage, vault)
        dialect = dialect_of(attempt.job.dialect)
        server = ServerApi(attempt, self._find_api)
        renderer = Renderer(
            RenderContext(
                now=lambda: to_datetime(self._clock.now_us()),
                rng=self._rng,
                lookups=AttemptLookups(self.storage, self._pairs, logger, server),
                dialect=expression_dialect(dialect),
                expired=attempt.is_cancelled,
                run_jq=JqSandbox(attempt.is_cancelled),
            )
        )
        context = AttemptContext(
            attempt,
            variables,
            renderer,
            logger,
            self.storage,
            self._clock,
            dialect,
            self._sealer,
            self._built,
            server,
            self._local,
            folder,
        )
        try:
            yield context
        finally:
            context.close()

    def _build(self, task_json: str) -> RunnableTask:
        """The model of a task. Shared by all attempts with the same text: never changed."""
        return self._built(msgspec.json.decode(task_json))

    def _built(self, properties: Mapping[str, Any]) -> RunnableTask:
        name = str(properties.get("type"))
        task_type = self._registry.task_type(name)
        if name == Evaluation.TYPE:
            task_type = Evaluation
        if task_type is None:
            raise TaskError(
                f"Expected a task type that this worker knows, but it was {name}."
                " Is its plugin installed here?"
            )
        if not issubclass(task_type, RunnableTask):
            raise TaskError(f"Expected a task that a worker runs, but {name} is none.")
        try:
            return task_type.model_validate(dict(properties))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise TaskError(f"Expected the properties of {name}, but {wrong}.") from None

    @staticmethod
    def _set_deadline(attempt: Attempt, task: RunnableTask, context: AttemptContext) -> None:
        if task.timeout is None:
            return
        try:
            timeout_s = parse_duration_s(context.render(task.timeout))
        except ValueError as error:
            raise TaskError(f"The timeout of the task: {error}") from None
        attempt.deadline_s = attempt.started_s + timeout_s

    def packed(self, attempt: Attempt, result: Any) -> Payload | None:
        """What a task returned, as the outputs of its attempt. Raises TaskError."""
        outputs = result.outputs if isinstance(result, TaskResult) else result
        if outputs is None:
            return None
        if isinstance(outputs, BaseModel):
            outputs = outputs.model_dump(mode="json", by_alias=True, exclude_none=True)
        if not isinstance(outputs, dict):
            raise TaskError(
                f"Expected outputs as a map or a model, but they were {type(outputs).__name__}."
            )
        job = attempt.job
        place = (job.namespace, job.flow_id, files_of(job))
        name = outputs_name(job.attempt, job.epoch)
        if job.task_run_id:
            uri = task_file(*place, job.task_id, run_files_of(job), name)
        else:
            uri = execution_value(*place, name)  # A template of the flow itself.
        return pack(outputs, self.storage, uri)

    def _failure(self, attempt: Attempt, logger: TaskLogger, error: Exception) -> Ending:
        if attempt.cancel_reason is not None:
            return self._cancelled(attempt, logger)
        message = logger.masked("\nCaused by: ".join(_messages(error)))
        if attempt.job.attempt != EVALUATION:
            # Of an evaluation the executor says it, which knows what it was for.
            logger.log("ERROR", message)
            logger.log("TRACE", "".join(traceback.format_exception(error)))
        return Ending(State.FAILED, None, message)

    def _cancelled(self, attempt: Attempt, logger: TaskLogger) -> Ending:
        if attempt.cancel_reason is not Cancel.TIMEOUT:
            return Ending(State.KILLED, None, "The task was killed.")
        message = timeout_message(attempt)
        logger.log("ERROR", message)
        logger.log("TRACE", f"The task was told to stop, and has stopped. {message}")
        return Ending(State.FAILED, None, message)


def timeout_message(attempt: Attempt) -> str:
    """The log line of an attempt that ran into its timeout."""
    timeout_s = (attempt.deadline_s or attempt.started_s) - attempt.started_s
    minutes, seconds = divmod(timeout_s, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"Timeout after {hours:02d}:{minutes:02d}:{seconds:06.3f}"


def _messages(error: BaseException) -> Iterator[str]:
    """The error's message, then those of its causes that tell something new."""
    seen: list[str] = []
    cause: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if cause is None:
            return
        text = str(cause) or type(cause).__name__
        if not any(text in other for other in seen):
            seen.append(text)
            yield text
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
