"""How the log is written: JSON lines to standard error."""

import logging
import sys

import structlog


def configure(level: str) -> None:
    """Write JSON lines to standard error.

    Args:
        level: debug, info, warning or error; anything else is info.
    """
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    # What libraries log goes the same way, so that every line is JSON.
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # Looked up each time: whoever redirects standard error gets the log too.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


class _StandardError(logging.Handler):
    """Writes to standard error, looked up each time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        print(self.format(record), file=sys.stderr)  # noqa: T201
