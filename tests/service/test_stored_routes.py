"""One key cannot fill the store with pictures, and is told how to make room."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.service.access.keyed import client_with
from tests.service.conftest import connect
from tests.service.jobs.asking import FORM, manifest, picture, pictures, submitted
from tests.service.reading import problem, slug

MOST = 60_000  # bytes: half of it are twenty small pictures


def images(first: int, count: int) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", (f"{n}.png", picture(n))) for n in range(first, first + count)]


@asynccontextmanager
async def two_keys(make_app: Any) -> AsyncIterator[tuple[Any, Any, Any]]:
    """A deployment with little room, and clients of two keys."""
    async with (
        make_app(max_stored_pictures_bytes=MOST) as app,
        client_with(app, "jobs") as greedy,
        client_with(app, "jobs") as other,
    ):
        yield app, greedy, other


async def test_uploads_of_one_key_leave_room_for_the_others(make_app: Any) -> None:
    async with two_keys(make_app) as (app, greedy, other):
        stored = app.state.surety.state.stored
        assert (await greedy.post("/pictures", files=images(0, 15))).status_code == 201
        before = await stored.figures()
        refused = await greedy.post("/pictures", files=images(10, 30))
        assert refused.status_code == 507
        assert slug(problem(refused, app)) == "too-many-pictures-kept"
        assert "delete jobs" in refused.json()["detail"]
        assert int(refused.headers["retry-after"]) > 0
        assert await stored.figures() == before  # nothing of it was kept
        assert (await other.post("/pictures", files=images(0, 15))).status_code == 201
        told = (await greedy.get("/problems/too-many-pictures-kept")).text
        assert "SURETY_MAX_STORED_PICTURES_BYTES" in told


async def test_a_job_that_does_not_fit_leaves_nothing(make_app: Any) -> None:
    async with two_keys(make_app) as (app, greedy, other):
        stored = app.state.surety.state.stored
        again = {"Idempotency-Key": "one"}
        where = await submitted(greedy, pictures(6), provider="stuck")
        before = await stored.figures()
        more = {"files": pictures(10), "data": FORM, "headers": again}
        refused = await greedy.post("/jobs", **more)
        assert refused.status_code == 507
        assert slug(problem(refused, app)) == "too-many-pictures-kept"
        assert await stored.figures() == before
        assert len((await greedy.get("/jobs")).json()["jobs"]) == 1
        assert (await other.post("/jobs", files=pictures(6), data=FORM)).status_code == 201
        await greedy.post(f"{where}/cancel")
        assert (await greedy.delete(where)).status_code == 204
        assert greedy.key.id not in await stored.figures()
        begun = await greedy.post("/jobs", **more)  # the same request, now that there is room
        assert begun.status_code == 201
        # Its pictures are there, so that they take no more as uploads, or in the job they are for.
        assert (await greedy.post("/pictures", files=images(0, 10))).status_code == 201
        for number in range(2):
            (kept,) = (await greedy.post("/pictures", files=images(number, 1))).json()["pictures"]
            named = manifest({"image": f"sha256:{kept['sha256']}"})
            assert (await greedy.post("/jobs", files=named, data=FORM)).status_code == 201


async def test_without_keys_there_is_one_bound_for_all(make_app: Any) -> None:
    async with make_app(max_stored_pictures_bytes=MOST) as app, connect(app) as client:
        assert (await client.post("/pictures", files=images(0, 25))).status_code == 201
        refused = await client.post("/pictures", files=images(25, 30))
        assert slug(problem(refused, app)) == "too-many-pictures-kept"
        assert "API key" not in refused.json()["detail"]
