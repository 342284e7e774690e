"""Options and fixtures that every kind of test shares."""

from __future__ import annotations

import pytest
from hypothesis import settings
from tests.kafka_broker import kafka_bootstrap, own_broker
from tests.postgres import database_url, postgres

# On a machine that does other things, too, no example has a time that tells anything.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

#: Session fixtures live in this one conftest: imported twice they would start two servers.
__all__ = ["database_url", "kafka_bootstrap", "own_broker", "postgres"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite",
        action="store_true",
        help="write the transcripts' expectations anew instead of comparing them",
    )
