"""`surety worker --metrics-port`: a worker's figures over HTTP."""

import re
import signal
import socket
from typing import Any

import httpx
import pytest

from service.errors import ConfigurationError
from service.seeing import port
from service.seeing.seeing import Seeing
from service.seeing.tracing import Tracing
from tests.service.command import PATIENCE, Surety
from tests.service.jobs.running import grey, opened, submitted, until, working
from tests.service.seeing.scraping import of, read


async def test_it_serves_what_the_worker_did(tmp_path: Any, small_providers: None) -> None:
    seeing = Seeing(Tracing())
    async with opened(tmp_path) as surety, seeing.over(surety, whole=False) as figures:
        job = await submitted(surety, grey(3))
        async with working(surety):
            await until(surety, job.id)
        listener = port.listen("127.0.0.1", 0)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with port.serving(listener, seeing.metrics, figures), httpx.AsyncClient() as client:
            answer = await client.get(f"{address}/metrics")
            missing = await client.get(f"{address}/")
            other = await client.post(f"{address}/metrics")
    told = read(answer.text)
    assert of(told, "surety_calls_total", provider="half") > 0
    assert of(told, "surety_certificates_total") == 3
    assert of(told, "surety_store_up") == 1
    assert "surety_jobs" not in {name for name, _ in told}
    assert (missing.status_code, other.status_code) == (404, 405)


def test_a_port_that_is_taken() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigurationError, match="name another --metrics-port"),
    ):
        port.listen("127.0.0.1", taken.getsockname()[1])


def test_the_command(tmp_path: Any) -> None:
    surety = Surety.at(tmp_path)
    with surety.start("worker", "--metrics-port", 0) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            said = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/metrics", said)
            assert address is not None, said
            told = read(httpx.get(address[0], trust_env=False, timeout=PATIENCE).text)
            assert of(told, "surety_build_info") == of(told, "surety_store_up") == 1
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
