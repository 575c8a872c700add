"""Traces: from a request through its run to every call, and across processes."""

import asyncio
import contextlib
import http.server
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from service.app import create_app
from service.seeing.scrubbing import SCRUBBER
from service.seeing.tracing import Tracing, asked_for, provider_of
from service.settings import Settings
from tests.service.command import PATIENCE
from tests.service.conftest import SECRET, connect
from tests.service.jobs.asking import submitted, until
from tests.service.reading import files

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RUN = {"provider": "reading", "max_votes": "40", "good_enough": "none"}


class Tree:
    """Spans that have ended, and how they hang together."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self.spans = exporter.get_finished_spans()
        self._by_id = {self.id_of(span): span for span in self.spans}

    @staticmethod
    def id_of(span: ReadableSpan) -> int:
        assert span.context is not None
        return span.context.span_id

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def way(self, span: ReadableSpan) -> list[str]:
        """Names from the root to a span."""
        names = [span.name]
        while span.parent is not None and span.parent.span_id in self._by_id:
            span = self._by_id[span.parent.span_id]
            names.insert(0, span.name)
        return names


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(exporter: InMemorySpanExporter, make_app: Any, tmp_path: Any) -> Any:
    """Run an application that is traced; `make_app` has prepared the providers."""

    @contextlib.asynccontextmanager
    async def running(**more: Any) -> Any:
        settings = Settings(
            data_dir=tmp_path / "data", secret=SECRET, provider="half", denoiser="none", **more
        )
        app = create_app(settings, tracing=Tracing(provider_of(exporter, at_once=True)))
        async with app.router.lifespan_context(app), connect(app) as client:
            yield app, client

    return running


async def test_the_tree_of_a_certificate(
    traced: Any, exporter: InMemorySpanExporter, capsys: Any
) -> None:
    async with traced() as (_, client):
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        answer = await client.post("/certify", files=files(), data=RUN, headers=headers)
        assert answer.status_code == 200
        tree = Tree(exporter)
    (request,) = tree.named("POST /certify")
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == PARENT
    for name in ("draw", "denoise", "encode", "call", "append"):
        found = tree.named(name)
        assert found
        for span in found:
            assert tree.way(span) == ["POST /certify", "fastapi.endpoint", "run", name]
            assert span.context is not None
            assert f"{span.context.trace_id:032x}" == TRACE
            assert span.attributes is not None
            assert span.attributes["surety.run"] == answer.headers["surety-run"]
            assert span.start_time is not None
            assert span.end_time is not None
            assert span.start_time <= span.end_time
    (run,) = tree.named("run")
    assert run.attributes is not None
    assert run.attributes["surety.stop_reason"] == "votes_spent"
    assert run.attributes["surety.provider"] == "reading"
    calls = [span.attributes or {} for span in tree.named("call")]
    assert Counter(call["surety.result"] for call in calls) == {"answered": len(calls)}
    assert len(calls) == answer.json()["accounting"]["calls"]
    line = next(
        found
        for text in capsys.readouterr().err.splitlines()
        if (found := json.loads(text)).get("path") == "/certify"
    )
    assert line["trace_id"] == TRACE
    assert line["span_id"] == f"{tree.id_of(request):016x}"


async def test_pictures_of_jobs_carry_the_id_of_the_job(
    traced: Any, exporter: InMemorySpanExporter
) -> None:
    async with traced() as (_, client):
        where = await submitted(client, provider="reading")
        await until(client, where, "finished")
        tree = Tree(exporter)
    job_id = where.removeprefix("/jobs/")
    pictures = tree.named("picture")
    assert {(span.attributes or {})["surety.number"] for span in pictures} == {0, 1, 2}
    below = [span for name in ("run", "draw", "call", "append") for span in tree.named(name)]
    for span in (*pictures, *below):
        assert (span.attributes or {})["surety.job"] == job_id
    assert all(tree.way(span)[:2] == ["picture", "run"] for span in below)
    assert len({span.context.trace_id for span in pictures if span.context}) == 3


async def test_what_fails_is_marked_and_its_text_stays_here(
    traced: Any, exporter: InMemorySpanExporter
) -> None:
    async with traced() as (_, client):
        form = {"provider": "failing", "good_enough": "none"}
        assert (await client.post("/certify", files=files(), data=form)).status_code == 502
        tree = Tree(exporter)
    for name in ("call", "run"):
        last = tree.named(name)[-1]
        assert last.status.status_code is StatusCode.ERROR
        assert (last.attributes or {})["error.type"] == "ProviderFailed"
    assert "a secret of the inside" not in "".join(span.to_json() for span in tree.spans)


async def test_secrets_of_a_query_are_scrubbed(
    traced: Any, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SCRUBBER, "_secrets", ("hunter2hunter2",))
    async with traced() as (_, client):
        await client.get("/version?a=hunter2hunter2&api_key=Abcdefgh12&b=2")
        (span,) = Tree(exporter).named("GET /version")
    assert (span.attributes or {})["url.query"] == "a=***&api_key=***&b=2"


async def test_probes_make_no_traces(traced: Any, exporter: InMemorySpanExporter) -> None:
    async with traced() as (_, client):
        for path in ("/health/live", "/health/ready", "/metrics"):
            await client.get(path)
    assert exporter.get_finished_spans() == ()


async def test_requests_side_by_side_do_not_mix(
    traced: Any, exporter: InMemorySpanExporter
) -> None:
    async with traced() as (_, client):
        answers = await asyncio.gather(
            *(
                client.post("/certify", files=files(), data={**RUN, "sigma": str(sigma)})
                for sigma in (0.2, 0.3, 0.4)
            )
        )
        tree = Tree(exporter)
    for answer in answers:
        run = answer.headers["surety-run"]
        mine = [s for s in tree.spans if (s.attributes or {}).get("surety.run") == run]
        assert len({span.context.trace_id for span in mine if span.context}) == 1
        assert {span.name for span in mine} >= {"run", "draw", "call", "append"}


@pytest.mark.parametrize(
    ("environment", "exporter"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
    ],
)
def test_who_asks_for_traces(environment: dict[str, str], exporter: str | None) -> None:
    assert asked_for(environment) == exporter


@pytest.mark.parametrize(
    ("environment", "missing", "reason"),
    [
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True, 'pip install ".[tracing]"'),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, False, "otlp, console or none"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            False,
            "http/protobuf, not grpc",
        ),
    ],
)
def test_what_is_wrong_is_told_and_the_service_goes_on(
    environment: dict[str, str],
    missing: bool,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if missing:
        monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
        monkeypatch.setitem(
            sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None
        )
    assert not Tracing.configured().makes_traces
    said = capsys.readouterr()
    assert reason in said.out + said.err


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes in what an exporter sends."""

    received: list[tuple[str, bytes]] = []
    answers = threading.Event()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.append((self.path, body))
        self.answers.wait()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Collector, "received", [])
    monkeypatch.setattr(Collector, "answers", threading.Event())
    Collector.answers.set()
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")  # nothing is sent before the end
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    Collector.answers.set()
    server.shutdown()
    server.server_close()
    thread.join()


async def test_they_are_sent_at_the_end_at_the_latest(
    make_app: Any, collector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "surety-of-mine")
    monkeypatch.setattr("service.seeing.tracing.CLOSE_SECONDS", PATIENCE)
    async with make_app() as app, connect(app) as client:
        await client.post("/certify", files=files(), data={**RUN, "provider": "half"})
    ((path, body),) = Collector.received
    assert path == "/v1/traces"
    sent = ExportTraceServiceRequest.FromString(body)
    resource = {a.key: a.value.string_value for a in sent.resource_spans[0].resource.attributes}
    assert resource["service.name"] == "surety-of-mine"
    names = {s.name for scope in sent.resource_spans[0].scope_spans for s in scope.spans}
    assert names >= {"POST /certify", "run", "draw", "denoise", "call", "append"}


async def test_a_collector_that_does_not_answer_holds_nobody_up(
    make_app: Any, collector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
    monkeypatch.setattr("service.seeing.tracing.CLOSE_SECONDS", 0.05)
    Collector.answers.clear()
    async with asyncio.timeout(PATIENCE):
        async with make_app() as app, connect(app) as client:
            answer = await client.post("/certify", files=files(), data={**RUN, "provider": "half"})
            assert answer.status_code == 200
        (late,) = (thread for thread in threading.enumerate() if thread.name == "last traces")
        Collector.answers.set()  # it is still waited for, and the service has ended
        await asyncio.to_thread(late.join)
    assert [path for path, _ in Collector.received] == ["/v1/traces"]
