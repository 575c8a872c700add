"""SIGTERM in the middle of paid calls: no vote is lost, nobody waits for nothing, and runs go on.

Two processes of the service one after the other, and Google's emulator, which counts what it
answered and so what was paid for.
"""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI

from adapters.emulators.brain import Brain
from adapters.emulators.faults import Faults, Latency
from adapters.emulators.google import GoogleEmulator
from tests.service.command import PATIENCE, Surety
from tests.service.conftest import connect
from tests.service.edges.sockets import connection, form, head, http, limited, read_all
from tests.service.edges.test_prefer import ended
from tests.service.pictures import png
from tests.service.reading import files, problem, slug
from tests.service.test_serve import read_until

SECONDS = 2.5  # that an answer takes: more than a cancelled run waits for the calls in flight
VOTES = 96


class Cat:
    labels = ("Cat", "Dog")
    size = (8, 8)
    version = "cat-1"
    max_batch = 16

    def scores(self, pictures: Any) -> Any:
        return np.tile(np.array([[0.75, 0.25]], np.float32), (len(pictures), 1))


@pytest.fixture
async def google() -> AsyncIterator[GoogleEmulator]:
    async with GoogleEmulator(Brain(Cat())) as running:
        yield running


@pytest.fixture
def surety(tmp_path: Any, google: GoogleEmulator) -> Surety:
    made = Surety.at(tmp_path)
    made.environment |= {
        **google.environment(),
        "SURETY_PROVIDER": "google",
        "SURETY_GRACE_SECONDS": "15",
        "SURETY_DRAIN_SECONDS": "0.5",
    }
    return made


async def started(surety: Surety) -> tuple[Any, int]:
    process = surety.start("serve", "--port", 0)
    text = await asyncio.to_thread(read_until, process, "Ctrl-C ends it")
    return process, int(re.search(r"http://127\.0\.0\.1:(\d+)", text)[1])  # type: ignore[index]


async def test_no_vote_is_lost(google: GoogleEmulator, surety: Surety) -> None:
    fields = {"max_votes": str(VOTES), "good_enough": "none", "size": "8", "max_cost": "10"}
    process, port = await started(surety)
    second: Any = None
    try:
        async with http(port) as live:
            # One client waits, and the other comes back later.
            asynchronous = await live.post(
                "/certify",
                files={"image": png(8, 8)},
                data=fields,
                headers={"Prefer": "respond-async", "Idempotency-Key": "k"},
            )
            assert asynchronous.status_code == 202
            waiting = asyncio.ensure_future(
                live.post("/certify", files={"image": png(16, 16)}, data=fields)
            )
            counts = google.desk.counts
            async with asyncio.timeout(PATIENCE):
                while len(counts.received) < 6:  # noqa: ASYNC110  two clean pictures, the canary
                    await asyncio.sleep(0.01)
            google.desk.faults = Faults(latency=Latency(median=SECONDS))
            calls = len(counts.calls)
            async with asyncio.timeout(PATIENCE):
                while len(counts.calls) < calls + 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert counts.received.total() > counts.answered.total()  # calls are in flight
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                while (ready := await live.get("/health/ready")).is_success:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert slug(ready.json()) == "not-ready"
            assert ready.headers["connection"] == "close"
            refused = await live.post("/certify", files={"image": png(8, 8)}, data=fields)
            assert slug(refused.json()) == "shutting-down"
            assert int(refused.headers["retry-after"]) > 0
            certificate = (await waiting).json()
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
        proof = certificate["proof"]
        assert proof["stop_reason"] == "cancelled"
        assert proof["votes"]["n"] < VOTES
        paid = +counts.answered
        google.desk.faults = Faults()
        second, port = await started(surety)
        async with http(port) as live:
            told = await ended(live, asynchronous.headers["location"])
            other = (await live.get(f"/certificates/{told['outcome']['certificate']}")).json()
            assert other["proof"]["votes"]["n"] == VOTES
            again = await live.post(
                "/certify",
                files={"image": png(8, 8)},
                data=fields,
                headers={"Idempotency-Key": "k"},
            )
            assert again.json() == other
            more = await live.post("/certify", files={"image": png(16, 16)}, data=fields)
            assert more.json()["proof"]["votes"]["n"] == VOTES
    finally:
        for each in (process, second):
            if each is not None:
                each.send_signal(signal.SIGTERM)
                each.communicate(timeout=PATIENCE)
    # The same samples are drawn again where their votes are missing; of all that were paid for
    # none was. Only the two clean pictures are asked about more than once: they are the canaries.
    assert sum(times > 1 for times in counts.answered.values()) == 2
    assert len(paid) < 2 * VOTES + 2 <= len(counts.answered)


async def test_new_work_is_sent_away_and_uploads_are_given_up(make_app: Any) -> None:
    body = form()
    async with make_app() as app, limited(app) as port, http(port) as live:
        async with connection(port) as (read, write):
            write.write(head("/certify", len(body)) + body[:100])
            while not app.state.surety.uploads.memory.taken:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            app.state.ending.begin()
            told = await read_all(read)
            assert (told.status, told.slug) == (503, "shutting-down")
            assert told.headers["connection"] == "close"
            assert int(told.headers["retry-after"]) > 0
        for path in ("/certify", "/predict", "/jobs", "/estimate", "/pictures", "/verify"):
            refused = await live.post(path, files=files())
            assert slug(problem(refused, app)) == "shutting-down"
            assert refused.headers["connection"] == "close"
        assert slug(problem(await live.get("/health/ready"), app)) == "not-ready"
        assert (await live.get("/health/live")).is_success  # it is not dead
        assert (await live.get("/runs")).headers["connection"] == "close"


async def test_a_run_with_a_client_ends_and_one_without_is_left(make_app: Any) -> None:
    slow = {"provider": "slow", "good_enough": "none", "max_votes": "120"}
    async with make_app(lease_seconds=1) as app, connect(app) as client:
        asked = asyncio.ensure_future(client.post("/certify", files=files(), data=slow))
        left = await client.post(
            "/certify", files=files(png(9, 9)), data=slow, headers={"Prefer": "respond-async"}
        )
        keyed = asyncio.ensure_future(
            client.post(
                "/certify", files=files(png(7, 9)), data=slow, headers={"Idempotency-Key": "k"}
            )
        )
        runs = app.state.running.runs
        async with asyncio.timeout(20):
            while [bool(run.latest and run.latest.n) for run in runs.list()] != [True] * 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        runs.shut_down()
        assert (await asked).json()["proof"]["stop_reason"] == "cancelled"
        told = await keyed
        assert slug(problem(told, app)) == "shutting-down"
        assert "another process goes on" in told.json()["detail"]
    async with make_app(lease_seconds=1) as app, connect(app) as client:
        outcome = (await ended(client, left.headers["location"]))["outcome"]
        certificate = (await client.get(f"/certificates/{outcome['certificate']}")).json()
        assert certificate["proof"]["votes"]["n"] == 120
        while True:
            again = await client.post(
                "/certify", files=files(png(7, 9)), data=slow, headers={"Idempotency-Key": "k"}
            )
            if again.status_code != 409:
                break
            await asyncio.sleep(0.05)
        assert again.json()["proof"]["votes"]["n"] == 120
        assert json.loads(again.headers["surety-accounting"])["votes_reused"] >= 0


async def test_one_that_was_cancelled_before_is_not_begun_again(make_app: Any) -> None:
    slow = {"provider": "slow", "good_enough": "none", "max_votes": "120"}
    async with make_app() as app, connect(app) as client:
        begun = await client.post(
            "/certify", files=files(), data=slow, headers={"Prefer": "respond-async"}
        )
        (run,) = app.state.running.runs.list()
        await client.delete(begun.headers["location"])
        app.state.running.runs.shut_down()
        assert not run.left
        assert (await ended(client, begun.headers["location"]))["outcome"]


def test_the_grace_fits_into_what_compose_gives(app: FastAPI) -> None:
    import yaml

    from tests.service.stranger import ROOT

    settings = app.state.settings
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    seconds = int(compose["services"]["api"]["stop_grace_period"].removesuffix("s"))
    assert seconds >= settings.drain_seconds + settings.grace_seconds + 10
