"""Whether and when a failed task run is tried again. As in Kestra."""

from __future__ import annotations

from collections.abc import Callable

from tiercel_engine.flow.task import RetryPolicy

US = 1_000_000


def next_attempt_us(
    policy: RetryPolicy,
    attempts: int,
    first_started_us: int,
    ended_us: int,
    random: Callable[[], float],
) -> int | None:
    """When the next attempt is due (microseconds since the epoch); None: no more attempts.

    Args:
        policy: the retry policy in force.
        attempts: attempts made so far, from 1.
        first_started_us: start of the first attempt.
        ended_us: end of the last attempt.
        random: a number in [0, 1), for the type `random`.
    """
    if policy.max_attempts is not None and attempts >= policy.max_attempts:
        return None
    due_us = ended_us + round(_interval_s(policy, attempts, random) * US)
    limit_s = policy.max_duration
    if limit_s is not None and due_us > first_started_us + round(limit_s * US):
        return None
    return due_us


def _interval_s(policy: RetryPolicy, attempts: int, random: Callable[[], float]) -> float:
    """Seconds between the last attempt's end and the next one's start."""
    if policy.type == "constant":
        return policy.interval or 0.0
    if policy.type == "exponential":
        interval_s = (policy.interval or 0.0) * policy.delay_factor * (attempts - 1)
        return interval_s if policy.max_interval is None else min(interval_s, policy.max_interval)
    low = policy.min_interval or 0.0
    high = low if policy.max_interval is None else policy.max_interval
    return low + (high - low) * random()
