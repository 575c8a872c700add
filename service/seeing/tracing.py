"""Traces, by OpenTelemetry: from a request through its run to each call of the provider.

They are made where an address to send them to is configured by OpenTelemetry's own variables and
the extra `tracing` is installed; without either, nothing of it costs anything. FastAPI itself opens
the span of a request and reads its `traceparent`; what a run does hangs below it, the work of
threads and tasks too, since those inherit the context. Spans carry how much and how long, the ids
of run and job, and the type of an error: its text may hold anything.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import structlog
from opentelemetry.trace import StatusCode

from certification.certificate import VERSION
from certification.watching import NO_SPAN, Attribute, Event, Note
from service.seeing.scrubbing import SCRUBBER

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig
    from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

ADDRESSES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EXPORTER = "OTEL_TRACES_EXPORTER"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
CLOSE_SECONDS = 2.0  # for the spans that were not yet sent
UNTRACED = ("/metrics", "/health/live", "/health/ready")  # asked for again and again
IDS = ("run", "job", "number")  # of the log's context: every span below carries them

log = structlog.get_logger("surety.tracing")


def asked_for(environment: Mapping[str, str] | None = None) -> str | None:
    """Return the exporter that the environment asks for, None for no traces.

    Args:
        environment: name → value; None for this process's own.
    """
    given = os.environ if environment is None else environment
    if given.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = given.get(EXPORTER, "").strip().lower()
    if exporter == "none":
        return None
    return exporter or ("otlp" if any(given.get(name) for name in ADDRESSES) else None)


def provider_of(exporter: "SpanExporter", *, at_once: bool = False) -> "TracerProvider":
    """Return what makes spans and hands them to an exporter, without secrets.

    Args:
        exporter: sends them.
        at_once: whether each span is handed over as it ends; else they go in batches.
    """
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  of the extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
        BatchSpanProcessor,
        SimpleSpanProcessor,
    )

    named = {"service.version": VERSION}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        named["service.name"] = "surety"
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(_scrubbing())
    handing = SimpleSpanProcessor if at_once else BatchSpanProcessor
    provider.add_span_processor(handing(exporter))
    return provider


class Tracing:
    """Makes traces, or none. A :class:`certification.watching.Watcher`.

    Args:
        provider: makes the spans; None for no traces.
    """

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("surety", VERSION)

    @classmethod
    def configured(cls) -> "Tracing":
        """Return what the environment asks for; what is wrong with it is told to the log."""
        wanted = asked_for()
        if wanted is None:
            return cls()
        try:
            return cls(provider_of(_exporter(wanted)))
        except ImportError:
            why = 'the extra is not installed: pip install ".[tracing]"'
        except Exception as error:  # noqa: BLE001  a service without traces is better than none
            why = str(error) or type(error).__name__
        log.warning("traces are asked for, but none are made", exporter=wanted, reason=why)
        return cls()

    @property
    def makes_traces(self) -> bool:
        """Whether it makes any."""
        return self._tracer is not None

    @property
    def of_fastapi(self) -> "TelemetryConfig":
        """FastAPI's part of it: the spans of requests. Metrics and logs are our own."""
        return {
            "tracer_provider": self._provider,
            "tracing": self._provider is not None,
            "metrics": False,
            "logs": False,
            "auto_configure": False,
            "exclude": lambda scope: scope["path"] in UNTRACED,
        }

    def span(self, name: str, **attributes: Attribute) -> AbstractContextManager[Note]:
        """See :class:`certification.watching.Watcher`."""
        return NO_SPAN if self._tracer is None else self._span(self._tracer, name, attributes)

    def tell(self, event: Event) -> None:
        """See :class:`certification.watching.Watcher`; events are for metrics."""

    async def close(self) -> None:
        """Send what was not yet sent, for a moment."""
        if self._provider is not None:
            # It tries for ten seconds where nobody answers, and the service shall end before that.
            send = self._provider.shutdown
            sending = threading.Thread(target=send, name="last traces", daemon=True)
            sending.start()
            await asyncio.to_thread(sending.join, CLOSE_SECONDS)

    @contextlib.contextmanager
    def _span(
        self,
        tracer: Any,  # noqa: ANN401
        name: str,
        attributes: Mapping[str, Attribute],
    ) -> Iterator[Note]:
        bound = structlog.contextvars.get_contextvars()
        ids = {key: bound[key] for key in IDS if key in bound}
        told = {f"surety.{key}": value for key, value in {**ids, **attributes}.items()}
        with tracer.start_as_current_span(
            name, attributes=told, record_exception=False, set_status_on_exception=False
        ) as span:

            def note(**more: Attribute) -> None:
                span.set_attributes({f"surety.{key}": value for key, value in more.items()})

            try:
                yield note
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                if isinstance(error, Exception):  # not where a task is only cancelled
                    span.set_status(StatusCode.ERROR)
                raise


def _exporter(kind: str) -> "SpanExporter":
    """Make an exporter.

    Raises:
        ImportError: if the extra is not installed.
        ValueError: if there is none of this kind, or not over this protocol.
    """
    if kind == "console":
        return import_module("opentelemetry.sdk.trace.export").ConsoleSpanExporter()  # type: ignore[no-any-return]
    if kind != "otlp":
        raise ValueError(f"{EXPORTER} is otlp, console or none")
    protocol = next((os.environ[name] for name in PROTOCOLS if os.environ.get(name)), None)
    if protocol not in (None, "http/protobuf"):
        raise ValueError(f"they are sent over http/protobuf, not {protocol}")
    module = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    return module.OTLPSpanExporter()  # type: ignore[no-any-return]


def _scrubbing() -> Any:  # noqa: ANN401  a SpanProcessor, whose class is of the extra
    """Return what takes secrets out of a span's first attributes, such as a request's query."""
    base: Any = import_module("opentelemetry.sdk.trace").SpanProcessor

    class Scrubbing(base):  # type: ignore[misc]
        def on_start(self, span: "Span", parent_context: object = None) -> None:
            for name, value in (span.attributes or {}).items():
                if isinstance(value, str) and (clean := SCRUBBER.text(value)) != value:
                    span.set_attribute(name, clean)

        def on_end(self, span: "ReadableSpan") -> None:
            pass

    return Scrubbing()
