"""How hypothesis searches: without shrinking, which can take many minutes for one failure.

A failure prints the seed and the blob that bring it back; `--hypothesis-profile=default` shrinks it
to a small one.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings

settings.register_profile(
    "unshrunk", phases=(Phase.explicit, Phase.reuse, Phase.generate), print_blob=True
)


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("unshrunk")
