"""Idempotency-Key: nothing is paid for twice, whoever asks again and when."""

import asyncio
import json
import secrets
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from service.edges import idempotency_key
from service.errors import BadIdempotencyKey
from service.store.once import RedisOnce
from service.store.seals import Seals
from tests.service import providers
from tests.service.conftest import SECRET, connect, serve
from tests.service.edges.test_prefer import ended
from tests.service.jobs.asking import manifest, pictures, until
from tests.service.reading import EVENTS, events, files, parse, problem, slug, stored

FEW = {"max_votes": "20"}
SLOW = {"provider": "slow", "good_enough": "none", "max_votes": "60"}


def key(name: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": f'"{name or secrets.token_hex(8)}"'}


def asked_with(*values: bytes) -> Request:
    return Request({"type": "http", "headers": [(b"idempotency-key", value) for value in values]})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b'"abc"', "abc"),
        (b"abc", "abc"),
        (b' "a b" ', "a b"),
        (rb'"a\"b\\c"', 'a"b\\c'),
        (b"8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (b'"' + b"a" * 255 + b'"', "a" * 255),
    ],
)
def test_keys(value: bytes, told: str) -> None:
    assert idempotency_key.read(asked_with(value)) == told


@pytest.mark.parametrize(
    "values",
    [
        *((b"",), (b'""',), (b'"a',), (b'a"',), (b"a b",), (b"a,b",), (b'"a";b=1',), (b"a\\b",)),
        *((b'"' + b"a" * 256 + b'"',), (b"\xff",), (b'"a\x01"',), (b'"a"', b'"a"'), (rb'"a\b"',)),
    ],
)
def test_what_is_no_key(values: tuple[bytes, ...]) -> None:
    with pytest.raises(BadIdempotencyKey):
        idempotency_key.read(asked_with(*values))


@pytest.mark.parametrize("path", ["/certify", "/predict", "/jobs", "/estimate"])
async def test_one_that_cannot_be_read_is_refused_before_the_body(
    app: FastAPI, client: httpx.AsyncClient, path: str
) -> None:
    refused = await client.post(path, files=files(), headers={"Idempotency-Key": '"'})
    assert slug(problem(refused, app)) == "malformed-idempotency-key"


@pytest.mark.parametrize("path", ["/certify", "/predict"])
async def test_the_same_again_gets_the_same_answer(
    app: FastAPI, client: httpx.AsyncClient, path: str
) -> None:
    chosen, fields = key(), FEW if path == "/certify" else {"n": "20"}
    first = await client.post(path, files=files(), data=fields, headers=chosen)
    assert "idempotency-replayed" not in first.headers
    again = await client.post(path, files=files(), data=fields, headers=chosen)
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.status_code, again.content) == (200, first.content)
    for name in ("surety-run", "surety-accounting", "content-type"):
        assert again.headers[name] == first.headers[name]
    streamed = await client.post(path, files=files(), data=fields, headers=chosen | EVENTS)
    told = dict(parse(streamed.text))
    assert told["run"] == {"id": first.headers["surety-run"]}
    assert told["accounting"] == json.loads(first.headers["surety-accounting"])
    assert told["certificate" if path == "/certify" else "prediction"] == first.json()
    other = await client.post(path, files=files(), data=fields, headers=key())
    assert other.headers["surety-run"] != first.headers["surety-run"]


async def test_what_counts_is_what_the_body_says(client: httpx.AsyncClient) -> None:
    chosen = key()
    first = await client.post("/certify", files=files(), data=FEW, headers=chosen)
    # Another boundary, another order, another type of the file: the same request.
    turned = [("max_votes", (None, "20")), ("image", (*files()["image"][:2], "image/png"))]
    again = await client.post("/certify", files=turned, headers=chosen)
    assert again.content == first.content
    image = files()["image"]
    for other in (
        {"files": files(), "data": {"max_votes": "21"}},
        {"files": files(), "data": FEW | {"sigma": "0.25"}},
        {"files": {"image": (image[0], image[1] + b"\0")}, "data": FEW},
        {"files": {"image": ("b.png", image[1])}, "data": FEW},
    ):
        refused = await client.post("/certify", headers=chosen, **other)  # type: ignore[arg-type]
        assert slug(problem(refused)) == "idempotency-key-reused"
    refused = await client.post("/predict", files=files(), headers=chosen)
    assert slug(problem(refused)) == "idempotency-key-reused"


async def test_what_was_refused_may_be_mended(app: FastAPI, client: httpx.AsyncClient) -> None:
    chosen = key()
    for fields in ({"sigma": "9"}, {"provider": "nobody"}, {"target_radius": "5"}):
        refused = await client.post("/certify", files=files(), data=fields, headers=chosen)
        assert refused.status_code == 422
        assert slug(problem(refused)) != "idempotency-key-reused"
    assert not any(name.startswith("once") for name in kept(app))
    assert (await client.post("/certify", files=files(), data=FEW, headers=chosen)).is_success


def kept(app: FastAPI) -> list[str]:
    return stored(app.state.surety.settings.redis_prefix)


async def test_a_run_that_failed_has_failed_for_its_key(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = key()
    first = await client.post(
        "/certify", files=files(), data={"provider": "failing"}, headers=chosen
    )
    assert first.status_code == 502
    again = await client.post(
        "/certify", files=files(), data={"provider": "failing"}, headers=chosen
    )
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.status_code, slug(again.json())) == (502, slug(first.json()))


async def test_while_it_runs(app: FastAPI) -> None:
    async with serve(app) as live:
        chosen = key()

        async def ask(**headers: str) -> httpx.Response:
            return await live.post("/certify", files=files(), data=SLOW, headers=chosen | headers)

        first = asyncio.ensure_future(ask())
        while not app.state.running.runs.list():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        run = f"/runs/{app.state.running.runs.list()[0].id}"
        busy = await ask()
        assert slug(problem(busy, app)) == "request-in-progress"
        assert busy.headers["link"] == f'<{run}>; rel="status"'
        assert int(busy.headers["retry-after"]) > 0
        accepted = await ask(prefer="respond-async")
        assert (accepted.status_code, accepted.headers["location"]) == (202, run)
        # Whoever asks for events is told of the same run.
        async with live.stream(
            "POST", "/certify", files=files(), data=SLOW, headers=chosen | EVENTS
        ) as response:
            assert response.headers["idempotency-replayed"] == "true"
            told = [event async for event in events(response)]
        assert (await first).json() == told[-1][1]
        assert told[0][1] == {"id": run.removeprefix("/runs/")}
        assert providers.Slow.calls <= 62


async def test_a_client_that_was_cut_off_comes_back(app: FastAPI) -> None:
    """Its run goes on meanwhile: who sends a key will ask again."""
    chosen = key()
    async with serve(app) as live:
        with pytest.raises(httpx.ReadTimeout):
            await live.post("/certify", files=files(), data=SLOW, headers=chosen, timeout=0.3)
        (run,) = app.state.running.runs.list()
        where = f"/runs/{run.id}"
        outcome = (await ended(live, where))["outcome"]
        again = await live.post("/certify", files=files(), data=SLOW, headers=chosen)
        assert again.json()["id"] == outcome["certificate"]
        assert again.json()["proof"]["votes"]["n"] == 60
        assert providers.Slow.calls <= 62
        assert app.state.running.alone.taken == 0


async def test_it_goes_on_only_where_there_is_a_place(make_app: Any) -> None:
    async with make_app(max_async_runs=0) as app, serve(app) as live:
        with pytest.raises(httpx.ReadTimeout):
            await live.post("/certify", files=files(), data=SLOW, headers=key(), timeout=0.3)
        async with asyncio.timeout(10):
            while app.state.running.runs.list():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert providers.Slow.calls < 60


async def test_the_process_dies_in_the_middle(make_app: Any) -> None:
    """Before its run began, the key is free; afterwards it leads to the run, taken up elsewhere."""
    chosen = key()
    async with make_app() as first, serve(first) as live:
        asked = asyncio.ensure_future(
            live.post("/certify", files=files(), data=SLOW, headers=chosen)
        )
        while not any(run.latest for run in first.state.running.runs.list()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        (run,) = first.state.running.runs.list()
        run.task.cancel()  # as a kill would: nothing is noted
        refused = await asked
        assert refused.status_code == 503
        await first.state.surety.state.process.end()
        async with make_app(lease_seconds=1) as second, connect(second) as client:
            told = await ended(client, f"/runs/{run.id}")
            assert told["outcome"]["certificate"]
            again = await client.post("/certify", files=files(), data=SLOW, headers=chosen)
            assert again.headers["surety-run"] == run.id
            assert again.json()["proof"]["votes"]["n"] == 60
            assert providers.Slow.calls <= 66


async def test_a_claim_of_a_dead_process_that_began_nothing(make_app: Any) -> None:
    async with make_app() as app, connect(app) as client:
        first = await client.post("/certify", files=files(), data=FEW, headers=key("one"))
        state = app.state.surety.state
        (entry,) = (name for name in kept(app) if name.startswith("once:"))
        # The same claim, as a process that is dead would have left it for another key.
        sealed = await state.store.brisk(lambda r: r.hget(state.store.key(entry), "claim"))
        claim = json.loads(state.once._seals.unseal(sealed, "once", entry.removeprefix("once:")))
        claim |= {"process": "0" * 16, "id": "1" * 24}
        resealed = state.once._seals.seal(json.dumps(claim), "once", entry.removeprefix("once:"))

        async def leave(redis: Any) -> None:
            await redis.hset(state.store.key(entry), "claim", resealed)
            await redis.hdel(state.store.key(entry), "answer")

        await state.store.brisk(leave)
        again = await client.post("/certify", files=files(), data=FEW, headers=key("one"))
        assert again.is_success
        assert "idempotency-replayed" not in again.headers
        assert again.json() == first.json()  # it costs nothing: the votes are there
        forged = Seals(bytes(32), {}).seal(json.dumps(claim), "once", entry.removeprefix("once:"))
        await state.store.brisk(lambda r: r.hset(state.store.key(entry), "claim", forged))
        tampered = await client.post("/certify", files=files(), data=FEW, headers=key("one"))
        assert slug(problem(tampered, app)) == "ledger-damaged"


async def test_each_caller_has_keys_of_its_own(app: FastAPI) -> None:
    once: RedisOnce = app.state.surety.state.once
    for caller in (None, "a", "b"):
        assert (await once.claim(caller, "k", "about"))[3] is None
    for caller in (None, "a", "b"):
        assert (await once.claim(caller, "k", "about"))[3] is not None


async def test_a_key_is_kept_for_so_long(make_app: Any) -> None:
    async with make_app(idempotency_hours=1 / 36_000) as app, connect(app) as client:
        chosen = key()
        first = await client.post("/certify", files=files(), data=FEW, headers=chosen)
        while any(name.startswith("once") for name in kept(app)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        again = await client.post("/certify", files=files(), data=FEW, headers=chosen)
        assert again.headers["surety-run"] != first.headers["surety-run"]
        assert "idempotency-replayed" not in again.headers
    assert SECRET not in first.text


async def test_a_job_is_submitted_once(app: FastAPI, client: httpx.AsyncClient) -> None:
    chosen, archive = key(), pictures(2)
    first = await client.post("/jobs", files=archive, data=FEW, headers=chosen)
    again = await client.post("/jobs", files=archive, data=FEW, headers=chosen)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await client.get("/jobs")).json()["jobs"]) == 1
    other = await client.post("/jobs", files=pictures(3), data=FEW, headers=chosen)
    assert slug(problem(other, app)) == "idempotency-key-reused"
    refused = key()
    bad = await client.post("/jobs", files=manifest({"image": "sha256:0"}), headers=refused)
    assert bad.status_code == 422
    assert (await client.post("/jobs", files=archive, data=FEW, headers=refused)).is_success


async def test_a_job_whose_answer_was_lost_is_found_by_its_id(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: Any) -> None:
        """The process died before it noted the answer."""

    monkeypatch.setattr(RedisOnce, "keep", lost)
    chosen, archive = key(), pictures(2)
    first = await client.post("/jobs", files=archive, data=FEW, headers=chosen)
    again = await client.post("/jobs", files=archive, data=FEW, headers=chosen)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])


async def test_a_job_that_began_as_its_client_went_is_found(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was slow to say that the job had begun, and the client waited no longer."""
    jobs, chosen, archive = app.state.surety.state.jobs, key(), pictures(2)
    real, begun = jobs.move, asyncio.Event()

    async def slow(*arguments: Any) -> None:
        await real(*arguments)
        begun.set()
        await asyncio.Event().wait()

    async with serve(app) as live:
        with monkeypatch.context() as patched:
            patched.setattr(jobs, "move", slow)
            asking = asyncio.ensure_future(
                live.post("/jobs", files=archive, data=FEW, headers=chosen)
            )
            await begun.wait()
            asking.cancel()
            async with asyncio.timeout(30):
                while app.state.surety.requests.taken:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        again = await live.post("/jobs", files=archive, data=FEW, headers=chosen)
        listed = (await live.get("/jobs")).json()["jobs"]
    assert (again.status_code, [job["id"] for job in listed]) == (201, [again.json()["id"]])


async def test_actions_on_a_job_are_done_once(client: httpx.AsyncClient) -> None:
    where = (await client.post("/jobs", files=pictures(2), data=FEW)).headers["location"]
    await until(client, where, "finished")
    chosen, body = key(), {"max_votes": 30}
    first = await client.post(f"{where}/extend", json=body, headers=chosen)
    assert first.is_success, first.text
    again = await client.post(f"{where}/extend", json=body, headers=chosen)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    other = await client.post(f"{where}/extend", json={"max_votes": 40}, headers=chosen)
    assert slug(problem(other)) == "idempotency-key-reused"
    await until(client, where, "finished")
    for action in ("resume", "retry"):
        refused = await client.post(f"{where}/{action}", headers=chosen)
        assert slug(problem(refused)) == "idempotency-key-reused"
    nothing = key()
    for _ in range(2):  # what is refused is not kept
        refused = await client.post(f"{where}/resume", headers=nothing)
        assert slug(problem(refused)) == "job-conflict"


async def test_a_pilot_is_paid_for_once(client: httpx.AsyncClient) -> None:
    archive, chosen = pictures(2), key()
    fields = FEW | {"pilot": "1", "pilot_max_cost": "1", "provider": "half"}
    first = await client.post("/estimate", files=archive, data=fields, headers=chosen)
    assert first.is_success, first.text
    again = await client.post("/estimate", files=archive, data=fields, headers=chosen)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
