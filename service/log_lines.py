"""How the log is written: JSON lines to standard error, without secrets and pictures."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

from service.log_writer import LOG
from service.seeing.known_secrets import of_environment
from service.seeing.scrubbing import SCRUBBER


def configure(level: str) -> None:
    """Write JSON lines to standard error.

    Args:
        level: debug, info, warning or error; anything else is info.
    """
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    SCRUBBER.remember(of_environment())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _trace,
        structlog.processors.format_exc_info,
    ]
    last: list[structlog.typing.Processor] = [SCRUBBER, structlog.processors.JSONRenderer()]
    # What libraries log goes the same way, so that every line is JSON.
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                *shared,
                structlog.processors.StackInfoRenderer(),
                structlog.stdlib.add_logger_name,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: structlog.WriteLogger(cast("TextIO", LOG)),
    )


def _trace(logger: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the trace that a line belongs to, so that one leads to the other."""
    api: Any = sys.modules.get("opentelemetry.trace")  # what nobody has imported traces nothing
    if api is not None:
        context = api.get_current_span().get_span_context()
        if context.is_valid:
            line["trace_id"] = f"{context.trace_id:032x}"
            line["span_id"] = f"{context.span_id:016x}"
    return line


class _StandardError(logging.Handler):
    """Hands lines of libraries on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001  Python's own report would repeat the arguments
            line = (
                '{"event": "a line of the log cannot be written", "level": "error", '
                f'"logger": "{record.name}", "error": "{type(error).__name__}"}}'
            )
        LOG.write(f"{line}\n")
