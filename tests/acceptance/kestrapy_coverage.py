"""Which method of the `kestrapy` package a test drives: the table in docs/api-coverage.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def drives(*methods: str) -> Callable[[F], F]:
    """Marks a test that calls these methods of the API of its module."""
    return lambda test: test
