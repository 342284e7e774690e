"""A plugin for pytest that gives the tests inside the `kestrapy` package another address."""

from __future__ import annotations

import os
import sys

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """Their `conftest` names a fixed one; it is read when the first test asks for its client."""
    found = [m for m in list(sys.modules.values()) if hasattr(m, "_setup_super_admin")]
    assert found, "Expected the package's conftest, but it is not there."
    for module in found:
        module.HOST = os.environ["PACKAGED_HOST"]  # type: ignore[attr-defined]
