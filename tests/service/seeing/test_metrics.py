"""GET /metrics: what was done is counted once, under labels that no client can choose."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import redis
from fastapi import FastAPI
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from certification.patience import Patience
from service.jobs.states import JOB_STATES, PICTURE_STATES
from tests.service.command import PATIENCE
from tests.service.conftest import connect
from tests.service.jobs.asking import submitted, until
from tests.service.reading import EVENTS, files
from tests.service.seeing.scraping import labels_of, of, scrape

RUN = {"max_votes": "60", "good_enough": "none"}


async def test_a_certificate_is_counted(client: httpx.AsyncClient) -> None:
    made = await client.post("/certify", files=files(), data=RUN)
    document, told = made.json(), await scrape(client)
    bill, proof = document["accounting"], document["proof"]
    half = {"provider": "half"}
    assert of(told, "surety_calls_total", **half, result="answered") == bill["calls"]
    assert of(told, "surety_images_total", **half) == bill["images"]
    assert of(told, "surety_cost_dollars_total", **half) == pytest.approx(bill["cost"])
    assert of(told, "surety_votes_total", **half) >= proof["votes"]["n"] == 60
    assert of(told, "surety_call_seconds_count", **half) == bill["calls"]
    assert of(told, "surety_call_wait_seconds_count", **half) == bill["calls"]
    for name in ("retries", "throttles", "abstentions", "ledger_hits"):
        assert of(told, f"surety_{name}_total") == 0
    cleaned = {"denoiser": "none", "compute": "cpu/int16"}
    assert of(told, "surety_denoised_pictures_total", **cleaned) >= 60
    assert of(told, "surety_denoise_seconds_total", **cleaned) > 0
    assert ("surety_denoiser_queue", frozenset(cleaned.items())) in told
    why = {"stop_reason": proof["stop_reason"], "result": "certified"}
    assert of(told, "surety_certificates_total", **why) == 1
    sigmas = proof["radius"] / proof["sigma"]
    assert of(told, "surety_certificate_radius_sigmas_sum") == pytest.approx(sigmas)
    assert of(told, "surety_runs_working") == of(told, "surety_runs_waiting") == 0
    assert of(told, "surety_build_info") == of(told, "surety_store_up") == 1
    assert of(told, "process_resident_memory_bytes") > 2**20


async def test_the_same_again_costs_nothing_and_is_no_new_certificate(
    client: httpx.AsyncClient,
) -> None:
    for _ in range(2):
        await client.post("/certify", files=files(), data=RUN)
    first = await scrape(client)
    assert labels_of(first, "surety_certificates_total", "stop_reason") >= {"hopeless", "max_cost"}
    assert ("surety_retries_total", frozenset({("provider", "half")})) in first
    assert of(first, "surety_certificates_total") == of(first, "surety_certificates_again_total")
    assert of(first, "surety_certificate_radius_sigmas_count") == 1
    assert of(first, "surety_ledger_hits_total", provider="half") == 60
    await client.post("/predict", files=files(), data={"n": "100"})
    second = await scrape(client)
    assert of(second, "surety_predictions_total", result="predicted") == 1
    assert of(second, "surety_certificates_total") == 1


async def test_retries_are_counted(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: Any
) -> None:
    patience = Patience(attempts=3, first_wait=0.001)
    monkeypatch.setattr(app.state.surety.machine, "patience", patience)
    answer = await client.post("/certify", files=files(), data={"provider": "flaky"})
    assert answer.status_code == 502
    told = await scrape(client)
    assert of(told, "surety_calls_total", provider="flaky", result="failing") == 3
    assert of(told, "surety_retries_total", provider="flaky") == 2
    assert of(told, "surety_votes_total") == 0


async def test_a_job_is_counted_and_shown_by_state(app: FastAPI, client: httpx.AsyncClient) -> None:
    where = await submitted(client)
    job = await until(client, where, "finished")
    app.state.figures._read = 0.0  # as after a while
    told = await scrape(client)
    assert of(told, "surety_calls_total", provider="half") == job["calls"]
    assert of(told, "surety_images_total", provider="half") == job["images"]
    assert of(told, "surety_cost_dollars_total") == pytest.approx(job["cost"])
    assert of(told, "surety_certificates_total") == 3
    assert {(s, of(told, "surety_jobs", state=s)) for s in JOB_STATES} == {
        (state, float(state == "finished")) for state in JOB_STATES
    }
    assert of(told, "surety_job_pictures", state="done") == 3
    assert labels_of(told, "surety_job_pictures", "state") == {*PICTURE_STATES}
    assert labels_of(told, "surety_workers", "kind") == {"own", "inside"}
    assert of(told, "surety_workers", kind="inside") == 1
    assert of(told, "surety_store_bytes", kind="used") > 100_000


async def test_runs_are_shown_while_they_last(make_app: Any) -> None:
    async with make_app(max_runs=1) as app, connect(app) as client:
        activity, asking = app.state.surety.machine.activity, []
        for provider in ("stuck", "half"):  # the first has the only slot before the second comes
            form = {"provider": provider}
            asking.append(asyncio.ensure_future(client.post("/certify", files=files(), data=form)))
            async with asyncio.timeout(PATIENCE):
                while (activity.runs, activity.working) != (len(asking), 1):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        told = await scrape(client)
        assert of(told, "surety_runs_working") == of(told, "surety_runs_waiting") == 1
        assert of(told, "surety_http_requests_in_progress") == 3
        app.state.running.runs.shut_down()
        await asyncio.gather(*asking)


async def test_no_label_is_made_up_by_a_client(client: httpx.AsyncClient) -> None:
    for number in range(5):
        form = {"provider": f"made-up-{number}", "denoiser": f"no-such-{number}", "rule": "top1"}
        await client.post("/certify", files=files(), data=form)
        await client.post("/certify", files=files(), data={**form, "provider": "half"})
        await client.get(f"/nowhere/made-up-{number}")
        await client.get(f"/jobs/made-up-{number}")
        await client.request(f"MADEUP{number}", "/version")
        await client.head(f"/runs/made-up-{number}")
        await client.get("/version", headers={"Host": f"made-up-{number}.example"})
    text = (await client.get("/metrics")).text
    assert "made-up" not in text.lower()
    assert "madeup" not in text.lower()
    assert "no-such" not in text
    told = await scrape(client)
    assert labels_of(told, "surety_http_requests_total", "route") >= {"other", "/runs/{run_id}"}
    assert labels_of(told, "surety_http_requests_total", "method") >= {"other", "HEAD", "POST"}
    assert of(told, "surety_http_requests_total", route="/jobs/{job_id}", status="404") == 5
    assert of(told, "surety_http_requests_total", method="HEAD", route="/runs/{run_id}") == 5
    assert of(told, "surety_http_requests_total", method="other", route="/version") == 5
    assert of(told, "surety_calls_total") == 0


async def test_streams_are_counted_when_they_end(client: httpx.AsyncClient) -> None:
    await client.post("/certify", files=files(), data=RUN, headers=EVENTS)
    told = await scrape(client)
    labels = {"method": "POST", "route": "/certify"}
    assert of(told, "surety_http_requests_total", **labels, status="200") == 1
    assert of(told, "surety_http_request_seconds_count", **labels) == 1


async def test_two_applications_count_apart(make_app: Any) -> None:
    async with make_app() as one, make_app() as other, connect(one) as a, connect(other) as b:
        await a.post("/certify", files=files(), data=RUN)
        assert of(await scrape(a), "surety_certificates_total") == 1
        assert of(await scrape(b), "surety_certificates_total") == 0


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text; version=9.9.9\x7f;q=0.9,text/plain;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ],
)
async def test_forms(client: httpx.AsyncClient, accept: str, media_type: str) -> None:
    await client.post("/certify", files=files(), data=RUN)
    answer = await client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"] == media_type
    assert answer.headers["cache-control"] == "no-store"
    if media_type.startswith("application"):
        named = {family.name for family in text_string_to_metric_families(answer.text)}
        assert {"surety_votes", "surety_http_request_seconds", "surety_build"} <= named
    else:
        assert answer.text.count("# TYPE surety_votes_total counter") == 1


async def test_it_stands_in_no_log(client: httpx.AsyncClient, capsys: Any) -> None:
    await client.get("/health/live")
    await client.get("/metrics")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["path"] for line in lines if line["event"] == "request"] == ["/health/live"]


async def test_the_store_is_read_seldom_and_may_be_away(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: Any
) -> None:
    reads = 0
    figures, jobs = app.state.figures, app.state.surety.state.jobs
    count = jobs.figures

    async def counted(most: int) -> Any:
        nonlocal reads
        reads += 1
        return await count(most)

    monkeypatch.setattr(jobs, "figures", counted)
    figures._read = 0.0
    await asyncio.gather(*(scrape(client) for _ in range(20)))
    assert reads == 1

    async def away(most: int) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(jobs, "figures", away)
    monkeypatch.setattr("service.seeing.figures.PATIENCE_SECONDS", 0.01)
    figures._read = 0.0
    told = await scrape(client)
    assert of(told, "surety_store_up") == 0
    assert ("surety_jobs", frozenset({("state", "running")})) not in told
    assert of(told, "surety_build_info") == 1


async def test_many_jobs_are_looked_at_up_to_a_bound(app: FastAPI, redis_url: str) -> None:
    jobs = app.state.surety.state.jobs
    with redis.Redis.from_url(redis_url) as store:
        for number in range(30):
            fields = {"state": "running", **dict.fromkeys(PICTURE_STATES, 2)}
            store.hset(jobs.key(f"{number:016x}"), mapping=fields)
            store.zadd(app.state.surety.state.store.key("jobs"), {f"{number:016x}": number})
    found, pictures = await jobs.figures(10)
    assert (found["running"], pictures["waiting"]) == (10, 20)
