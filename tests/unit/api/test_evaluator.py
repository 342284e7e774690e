"""Evaluations beside the event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tiercel_api.evaluator import EVALUATIONS_MAX, THREADS, Evaluator, Expired
from tiercel_engine.errors import TransientError

DEADLINE_S = 10.0


def test_the_event_loop_runs_on_while_an_expression_is_evaluated() -> None:
    async def scene() -> str:
        evaluator = Evaluator()
        go_on = threading.Event()
        slow = asyncio.create_task(evaluator.run(lambda expired: go_on.wait(DEADLINE_S)))
        quick = await evaluator.run(lambda expired: "quick")
        assert not slow.done()
        go_on.set()
        assert await slow
        evaluator.close()
        return quick

    assert asyncio.run(scene()) == "quick"


def test_an_evaluation_is_told_whether_its_time_is_over() -> None:
    async def scene() -> bool:
        evaluator = Evaluator()
        expired = await evaluator.run(lambda expired: expired())
        evaluator.close()
        return expired

    assert asyncio.run(scene()) is False


def test_too_many_evaluations_are_refused_and_others_taken_once_they_end() -> None:
    async def scene() -> None:
        # given
        evaluator = Evaluator()
        go_on = threading.Event()
        started = threading.Semaphore(0)

        def wait(expired: Expired) -> bool:
            started.release()
            return go_on.wait(DEADLINE_S)

        waiting = [asyncio.create_task(evaluator.run(wait)) for _ in range(EVALUATIONS_MAX)]
        for _ in range(THREADS):
            assert await asyncio.to_thread(started.acquire, timeout=DEADLINE_S)

        # when
        with pytest.raises(TransientError):
            await evaluator.run(lambda expired: None)
        go_on.set()

        # then
        assert all(await asyncio.gather(*waiting))
        await asyncio.to_thread(evaluator.close)

    asyncio.run(scene())


def test_an_error_of_an_evaluation_reaches_the_caller_and_frees_its_place() -> None:
    async def scene() -> None:
        evaluator = Evaluator()
        for _ in range(EVALUATIONS_MAX + 1):
            with pytest.raises(ZeroDivisionError):
                await evaluator.run(lambda expired: 1 // 0)
        evaluator.close()

    asyncio.run(scene())
