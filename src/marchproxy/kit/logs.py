"""Logs: structured, one line per event, on stderr. JSON for machines, colours on a terminal.

The standard library's logging (grpc, httpx, uvloop, …) goes through the same renderer, so that a process speaks
with one voice.
"""

import logging
import sys
from collections.abc import Sequence

import structlog
from structlog.types import Processor

from marchproxy.kit.telemetry.spans import trace_id

LEVELS = ("debug", "info", "warning", "error")


def configure(*, level: str = "info", json: bool | None = None) -> None:
    """Set up logging for this process. `json=None` means JSON unless stderr is a terminal.

    Call it once, before the first log line: loggers keep the level they first saw. Raises ValueError on a level
    that is not one of `LEVELS`.
    """
    if level.lower() not in LEVELS:
        raise ValueError(f"log level {level!r}: use one of {', '.join(LEVELS)}")
    number = logging.getLevelNamesMapping()[level.upper()]
    as_json = not sys.stderr.isatty() if json is None else json
    shared = _shared_processors()
    rendering = _rendering(as_json=as_json)
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    _adopt_standard_logging(shared, rendering, number)


def bind(**fields: str) -> None:
    """Add fields, such as service and instance_id, to every later log line of this context and its tasks."""
    structlog.contextvars.bind_contextvars(**fields)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a module; usable before `configure`, which it then follows."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(_name=name)
    return logger


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        _name_the_logger,
        _name_the_trace,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _rendering(*, as_json: bool) -> Sequence[Processor]:
    if as_json:
        return (structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str))
    plain = structlog.dev.plain_traceback  # rich tracebacks print local variables, and with them secrets
    return (structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain),)


def _adopt_standard_logging(shared: Sequence[Processor], rendering: Sequence[Processor], level: int) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


def _name_the_logger(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    # our own loggers carry their name as a field, because structlog takes "logger" for itself
    record: logging.LogRecord | None = event.get("_record")
    name = record.name if record is not None else event.pop("_name", None)
    if name is not None:
        event["logger"] = name
    return event


def _name_the_trace(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if (trace := trace_id()) is not None:
        event.setdefault("trace_id", trace)
    return event
