"""Containers for tests, where a Docker engine answers and has the image or gets it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

#: A Docker engine that does not answer within this many seconds is taken to be none.
DOCKER_TIMEOUT_S = 3.0
#: Less than a test may take: what stands in for a missing image starts within the same one.
PULL_TIMEOUT_S = 180.0


def new_container(variable: str, default: str) -> DockerContainer | None:
    """A container, not yet started, of the image that an environment variable names.

    Returns None when the variable is not set and there is no engine, or none that gets the image
    `default`. An image that was asked for by name fails the test when it cannot be had.
    """
    image = os.environ.get(variable)
    if not _has_image(image or default):
        if image:
            pytest.fail(f"Expected a Docker engine with the image {image} ({variable})", False)
        return None
    # Imported where it is needed: most runs start no container.
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import DockerContainer

    # Its reaper is one more image to fetch; the fixtures stop what they started.
    testcontainers_config.ryuk_disabled = True
    return DockerContainer(image or default)


def _has_image(image: str) -> bool:
    return _docker("info", DOCKER_TIMEOUT_S) and (
        _docker(f"image inspect {image}", DOCKER_TIMEOUT_S)
        or _docker(f"pull --quiet {image}", PULL_TIMEOUT_S)
    )


def _docker(command: str, timeout_s: float) -> bool:
    """Whether the command succeeds in time."""
    try:
        asked = subprocess.run(
            ["docker", *command.split()], capture_output=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0
