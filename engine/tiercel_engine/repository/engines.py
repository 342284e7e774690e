"""Opening a database and bringing its tables up to date.

What differs between SQLite and PostgreSQL stands here and nowhere else.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.pool import ConnectionPoolEntry

from tiercel_engine.errors import InvalidSettings
from tiercel_engine.repository.aggregates import QuestionTooLarge
from tiercel_engine.repository.patterns import SEARCH_S_MAX, Patterns, SearchTooSlow, too_slow

MIGRATIONS = Path(__file__).parent / "migrations"

#: How long a writer waits for another one on SQLite.
BUSY_TIMEOUT_MS = 10_000

#: Changed pages (of 4 KiB) in SQLite's log before they are written back.
CHECKPOINT_PAGES = 8_000

#: Connections kept per process, and how many more may be opened under load.
POOL_SIZE = 8
POOL_OVERFLOW_MAX = 8

#: How many steps SQLite's machine does between two looks at the clock: well below a millisecond.
STEPS_PER_LOOK = 10_000

#: What PostgreSQL says of a statement that took too long, and of a pattern it does not read.
PG_CANCELED = "57014"
PG_NO_PATTERN = "2201B"

#: Key of the advisory lock that lets one process migrate at a time on PostgreSQL.
MIGRATION_LOCK = 0x7469_6572_6365_6C


def open_engine(url: str) -> sa.Engine:
    """An engine for `url`: `sqlite:///path/of/file.db` or `postgresql://user@host/database`.

    Raises:
        InvalidSettings: the address is neither.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise InvalidSettings(
            f"Expected a database address such as sqlite:///tiercel.db, but it is {url!r}."
        ) from error
    kind = parsed.get_backend_name()
    if kind == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return _sqlite(parsed)
    if kind in ("postgresql", "postgres"):
        return _postgresql(parsed.set(drivername="postgresql+psycopg"))
    raise InvalidSettings(
        f"Expected a database address that begins with sqlite:///<file> or postgresql://, "
        f"but it is {parsed.render_as_string()!r}."
    )


def _sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url, pool_size=POOL_SIZE, max_overflow=POOL_OVERFLOW_MAX, paramstyle="named"
    )

    @sa.event.listens_for(engine, "connect")
    def configure(
        connection: sa.engine.interfaces.DBAPIConnection, entry: ConnectionPoolEntry
    ) -> None:
        patterns = entry.info["patterns"] = Patterns()
        # In the place of SQLAlchemy's own, which nothing bounds.
        connection.create_function("regexp", 2, patterns.matches, deterministic=True)
        # The driver begins transactions late and only before writes; `begin` below does it.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        # A lost last transaction is read from the log again, hence no flush per commit.
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA cache_size = -65536")
        # The same pages change again and again: written back seldom, they are written once.
        cursor.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: sa.URL) -> sa.Engine:
    return sa.create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW_MAX,
        pool_pre_ping=True,
        # A lost read model transaction is read from the log again.
        connect_args={"options": "-c synchronous_commit=off", "connect_timeout": 10},
    )


@contextmanager
def bounding_time(connection: sa.Connection, seconds_max: float) -> Iterator[None]:
    """Bound the time of each statement that is read here.

    Raises:
        QuestionTooLarge: one took longer; the database has given it up.
    """
    driver = connection.connection.driver_connection
    assert driver is not None
    if connection.dialect.name == "postgresql":
        timeout_ms = max(1, round(seconds_max * 1_000))
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {timeout_ms}")
    else:
        end_s = time.monotonic() + seconds_max
        driver.set_progress_handler(lambda: time.monotonic() > end_s, STEPS_PER_LOOK)
    try:
        yield
    except sa.exc.OperationalError as error:
        code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorcode", 0)
        if code not in (PG_CANCELED, sqlite3.SQLITE_INTERRUPT):
            raise
        raise QuestionTooLarge(
            f"Expected an answer within {seconds_max:g} s, but it takes longer: ask for a shorter "
            "window or fewer namespaces."
        ) from None
    finally:
        if connection.dialect.name == "sqlite":
            driver.set_progress_handler(None, 0)


@contextmanager
def bounding_patterns(connection: sa.Connection) -> Iterator[None]:
    """Bound the time of what is read here with regular expressions.

    Raises:
        SearchTooSlow: it took too long, or the database does not read the pattern.
    """
    patterns: Patterns | None = connection.info.get("patterns")
    if patterns is not None:
        patterns.restart(SEARCH_S_MAX)
    else:
        timeout_ms = round(SEARCH_S_MAX * 1_000)
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {timeout_ms}")
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.DataError) as error:
        state = getattr(error.orig, "sqlstate", None)
        if state == PG_NO_PATTERN:
            raise SearchTooSlow(f"Expected a regular expression, but {error.orig}.") from None
        if state == PG_CANCELED or (patterns is not None and patterns.is_exhausted):
            raise too_slow(SEARCH_S_MAX) from None
        raise


def migrate(engine: sa.Engine, to: str = "head") -> None:
    """Create the tables or bring them up to date; safe when several processes do it at once.

    `to`: the revision to stop at, for tests of what follows it.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, to)
