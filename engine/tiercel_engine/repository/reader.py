"""One short reading transaction on SQL, and what every read has in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from tiercel_engine.repository.base import DatabaseUnavailable
from tiercel_engine.repository.engines import bounding_patterns
from tiercel_engine.repository.terms import Condition, leaves


class SqlReader:
    """Reads of an engine. Threads take connections from its pool."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        # On SQLite every transaction reads one snapshot anyway.
        self._is_postgresql = engine.dialect.name == "postgresql"
        level = {"isolation_level": "REPEATABLE READ"} if self._is_postgresql else {}
        self._readers = engine.execution_options(**level)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """One short transaction, so that all its queries see the same state."""
        with available(), self._readers.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _searching(self, terms: Sequence[Condition]) -> Iterator[sa.Connection]:
        """As `_reading`; what regular expressions may take is bounded."""
        with self._reading() as connection, self._matching(connection, terms):
            yield connection

    @staticmethod
    @contextmanager
    def _matching(connection: sa.Connection, terms: Sequence[Condition]) -> Iterator[None]:
        """Bound what regular expressions take, if there are any."""
        if any(term.operator == "REGEX" for term in leaves(terms)):
            with bounding_patterns(connection):
                yield
        else:
            yield


@contextmanager
def available() -> Iterator[None]:
    """Say `DatabaseUnavailable` where the driver says that it lost the connection or a lock."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        raise DatabaseUnavailable(
            f"Expected the read model's database to answer, but it said: {error}"
        ) from error


def paged(found: sa.Select[Any], page: int, size: int) -> sa.Select[Any]:
    """One page of what is found; `page` from 1."""
    return found.limit(size).offset((page - 1) * size)
