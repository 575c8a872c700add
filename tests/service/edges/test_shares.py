"""No API key takes the last places from the others, whatever the places are of."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from service.edges import uploads
from service.edges.places import Places
from service.edges.shares import Shares, half
from service.edges.slots import Slots
from service.edges.uploads import Uploads
from service.errors import Overloaded
from service.settings import Settings
from tests.service.access.keyed import client_with
from tests.service.edges.sockets import BOUNDARY, form
from tests.service.jobs.asking import submitted
from tests.service.pictures import encode, gradient
from tests.service.reading import files, problem, slug

STUCK = {"provider": "stuck"}
FOUR = {
    "requests": {"max_runs": 1, "max_waiting": 3},
    "uploads": {"max_upload_bytes": 300_000, "max_uploads_bytes": 1_200_000},
    "runs": {"max_async_runs": 4},
    "streams": {"max_followers": 4},
}
"""Four places of each kind."""


def shared(*, several: bool = True) -> Shares:
    shares = Shares()
    shares.several = several
    return shares


@pytest.mark.parametrize(
    ("owner", "several", "held", "wanted", "most", "allowed"),
    [
        ("a", True, 3, 1, 8, True),
        ("a", True, 4, 1, 8, False),
        ("a", True, 3, 1, 7, True),
        ("a", True, 4, 1, 7, False),
        ("a", True, 1, 1, 2, False),
        ("a", True, 30, 21, 100, False),
        ("a", True, 0, 1, 1, True),
        ("a", True, 0, 90, 100, True),  # one that is large fits always
        ("a", False, 7, 1, 8, True),  # the only key
        (None, True, 7, 1, 8, True),  # no key is needed
    ],
)
def test_the_rule(
    owner: str | None, several: bool, held: int, wanted: int, most: int, allowed: bool
) -> None:
    assert shared(several=several).allow(owner, held, wanted, most) is allowed


@pytest.mark.parametrize("most", range(2, 12))
def test_what_one_key_may_not_have_is_there_for_the_others(most: int) -> None:
    places = Places(most, "full", "places", shared())
    taken = [places.take("greedy") for _ in range(half(most))]
    with pytest.raises(Overloaded, match="half of the places") as refused:
        places.take("greedy")
    assert refused.value.retry_after > 0
    others = [places.take("other") for _ in range(most - half(most))]
    with pytest.raises(Overloaded, match="full"):
        places.take("third")
    for place in [*taken, *others]:
        place.release()
    assert places.taken == 0
    with places.take("greedy"):
        pass


async def settle() -> None:
    """Let the tasks go on as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_turns_are_shared_and_go_to_whoever_has_the_fewest() -> None:
    slots, had = Slots(4, shared()), list[str]()

    async def one(owner: str) -> None:
        await slots.acquire(owner)
        had.append(owner)

    tasks = [asyncio.create_task(one(owner)) for owner in "aaaabcd"]
    await settle()
    assert had == ["a", "a", "b", "c"]
    slots.release("a")
    await settle()
    assert had[4:] == ["d"]  # which has none, though two of a's have waited for longer
    for owner in "bcd":
        slots.release(owner)
    await settle()
    assert had[5:] == ["a"]  # and the last one waits, though two turns are free
    slots.release("a")
    await asyncio.gather(*tasks)
    assert had[6:] == ["a"]


async def test_a_turn_that_nobody_waits_for_any_more_goes_to_the_next() -> None:
    slots = Slots(1, shared())
    await slots.acquire("a")
    gone, late, last = (asyncio.create_task(slots.acquire(owner)) for owner in "bcd")
    await settle()
    gone.cancel()
    slots.release("a")  # before the one that goes has been told
    late.cancel()  # in the moment that its turn comes
    await asyncio.gather(gone, late, return_exceptions=True)
    async with asyncio.timeout(10):
        await last


async def test_without_keys_turns_go_round_in_order() -> None:
    slots, had = Slots(3, shared()), list[int]()

    async def one(number: int) -> None:
        await slots.acquire(None)
        had.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(9)]
    for _ in range(9):
        await settle()
        slots.release(None)
    await asyncio.gather(*tasks)
    assert had == [*range(9)]


def test_archives_of_one_key_leave_disk_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    free = uploads.shutil.disk_usage("/")._replace(free=uploads.FREE_BYTES + 1000)
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: free)
    headers = [(b"content-length", b"300")]
    request = Request({"type": "http", "headers": headers})
    taking = Uploads(Settings(), shared())
    with taking.file(request, "a"):
        with pytest.raises(Overloaded, match="disk"), taking.file(request, "a"):
            pass
        with taking.file(request, "b"), taking.file(request, "c"):
            pass
    with taking.file(request, "a"):
        pass


def taken(app: FastAPI, kind: str) -> Callable[[], int]:
    """How much of a kind is taken."""
    places = {
        "requests": app.state.surety.requests,
        "uploads": app.state.surety.uploads.memory,
        "runs": app.state.running.alone,
        "streams": app.state.inside.followers,
    }[kind]
    return lambda: places.taken


async def endless(body: bytes) -> AsyncIterator[bytes]:
    yield body[:200]
    await asyncio.Event().wait()


async def asked(client: httpx.AsyncClient, kind: str, job: str) -> httpx.Response:
    """Ask for something that holds a place of a kind, for as long as it is not answered."""
    if kind == "streams":
        return await client.get(f"{job}/events")
    if kind == "uploads":
        headers = {
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Content-Length": "300000",
        }
        return await client.post("/certify", content=endless(form()), headers=headers)
    headers = {"Prefer": "respond-async"} if kind == "runs" else {}
    return await client.post("/certify", files=files(), data=STUCK, headers=headers)


async def at_once(asking: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
    """Wait for an answer that is a refusal: any other would be long in coming."""
    async with asyncio.timeout(20):
        return await asking


@asynccontextmanager
async def holding(app: FastAPI, client: httpx.AsyncClient, kind: str, job: str) -> Any:
    """Hold a place of a kind."""
    count = taken(app, kind)
    before = count()
    task = asyncio.create_task(asked(client, kind, job))
    try:
        async with asyncio.timeout(20):
            while count() == before:
                assert not task.done() or task.result().status_code == 202, task.result().text
                await asyncio.sleep(0.01)
            if kind == "runs":
                await task
        yield
    finally:
        if kind == "runs":
            await client.delete(task.result().headers["location"])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("kind", FOUR)
async def test_half_of_the_places_is_for_the_others(make_app: Any, kind: str) -> None:
    scopes = ("certify", "jobs")
    async with (
        make_app(grace_seconds=1, **FOUR[kind]) as app,
        client_with(app, *scopes) as greedy,
        client_with(app, *scopes) as other,
    ):
        jobs = []
        for client in (greedy, other):
            job = await submitted(client, provider="stuck")
            await client.post(f"{job}/pause")
            jobs.append(job)
        ours, theirs = jobs
        async with holding(app, greedy, kind, ours), holding(app, greedy, kind, ours):
            refused = await at_once(asked(greedy, kind, ours))
            assert slug(problem(refused, app)) == "overloaded"
            assert refused.status_code == 429
            assert "half" in refused.json()["detail"]
            assert int(refused.headers["retry-after"]) > 0
            async with holding(app, other, kind, theirs), holding(app, other, kind, theirs):
                full = await at_once(asked(other, kind, theirs))
                assert full.status_code == 429
                assert "half" not in full.json()["detail"]
        count = taken(app, kind)
        async with asyncio.timeout(20):
            while count():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        async with holding(app, greedy, kind, ours):
            pass


async def test_a_single_key_may_take_all_of_them(make_app: Any) -> None:
    async with make_app(grace_seconds=1, **FOUR["runs"]) as app:
        state = app.state.surety.state
        gone, _ = await state.api_keys.create("gone", frozenset({"admin"}))
        await state.api_keys.revoke(gone.id)
        async with client_with(app, "certify") as client:
            for _ in range(4):
                assert (await asked(client, "runs", "")).status_code == 202
            refused = await asked(client, "runs", "")
            assert refused.status_code == 429
            assert "half" not in refused.json()["detail"]


async def test_runs_of_one_key_do_not_keep_the_others_waiting(make_app: Any) -> None:
    """Those that wait for a turn behind it are not behind all that it has asked for."""
    async with (
        make_app(grace_seconds=1, max_runs=2) as app,
        client_with(app, "certify") as greedy,
        client_with(app, "certify") as other,
    ):
        for width in range(20, 25):  # each a subject of its own
            sent = files(encode(gradient(width, 20)))
            headers = {"Prefer": "respond-async"}
            begun = await greedy.post("/certify", files=sent, data=STUCK, headers=headers)
            assert begun.status_code == 202
        async with asyncio.timeout(30):
            answer = await other.post("/certify", files=files(), data={"max_votes": "5"})
        assert answer.status_code == 200
        assert app.state.surety.machine.activity.working == 1
