"""The server's own log: structlog over stdlib, one line per event.

Event names are constants in snake_case, facts are keys. Task logs are data and never come here.
On a terminal lines are coloured; otherwise each is one JSON object. Names bound with
`bind_context` (role, instance, execution_id …) stand on every later line of that thread.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

#: Libraries whose INFO lines are noise in ours.
QUIET_LOGGERS = ("aiohttp.access", "alembic", "asyncio", "sqlalchemy.engine", "urllib3")


def configure_logging(
    level: str = "info",
    style: Literal["auto", "console", "json"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Send structlog's and stdlib's lines to `stream` (standard error when None)."""
    stream = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    console = style == "console" or (style == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_console(stream.isatty()) if console else _json()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def _console(colors: bool) -> list[Processor]:
    # Tracebacks without local variables: those may hold inputs and secrets.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def get_logger(**facts: Any) -> FilteringBoundLogger:
    """A logger with these facts on every line."""
    return cast(FilteringBoundLogger, structlog.get_logger(**facts))


def bind_context(**facts: Any) -> None:
    """Put these facts on every later line of this thread (or asyncio task)."""
    structlog.contextvars.bind_contextvars(**facts)
