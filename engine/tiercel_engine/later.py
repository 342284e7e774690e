"""Modules that cost megabytes and that few processes use: imported when they are first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType


def later(name: str) -> Callable[[], ModuleType]:
    """What gives the module of this name. Thread-safe."""
    return cache(lambda: import_module(name))
