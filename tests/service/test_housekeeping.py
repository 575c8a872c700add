"""What is past its time goes, by age and by count; ledgers never do."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from service.errors import ConfigurationError, NotFound, StoreUnavailable
from service.housekeeping import DAY, Housekeeping, clean
from service.store.ages import Ages
from service.store.images import RedisImages
from tests.service.transferring import begin, deployment, everything, settings, subject, votes

NONE = {"images": 0, "runs": 0, "certificates": 0, "jobs": 0, "usage": 0, "uploads": 0}


@pytest.fixture
async def state(tmp_path):
    async with deployment(tmp_path, "here") as opened:
        yield opened


@pytest.fixture
def wanting(tmp_path):
    return lambda **fields: settings(tmp_path, "here", **fields)


def certificate(place, created="2026-01-01T00:00:00+00:00"):
    """Return what the index of certificates goes by."""
    return {
        "id": f"{place:032x}",
        "created": created,
        "image": {"sha256": f"{place:064x}", "source": {"sha256": "f" * 64}},
        "proof": {"label": "cat", "subject": {"provider": {"name": "half"}}},
    }


async def run(state, name):
    await state.store.brisk(lambda r: r.hset(state.store.key("run", name), "what", "sealed"))
    await state.runs.end(name, {"problem": {}})


async def test_nothing_goes_before_its_time(state, wanting):
    await state.images.put("a" * 64, b"png")
    await run(state, "r1")
    await state.certificates.put(certificate(1))
    before = await everything(state)
    assert await clean(state, wanting()) == NONE
    assert await everything(state) == before


async def test_age_drops_each_kind_after_its_own_time(state, wanting):
    await state.images.put("a" * 64, b"png")
    await run(state, "r1")
    await state.certificates.put(certificate(1))
    await begin(state, subject(), votes(10))
    ledgers = {k: v for k, v in (await everything(state)).items() if k.startswith("ledger")}
    chosen = wanting(keep_images_days=2, keep_runs_days=1, keep_certificates_days=40_000)
    now = time.time()
    assert await clean(state, chosen, now + 1.5 * DAY) == {**NONE, "runs": 1}
    assert await clean(state, chosen, now + 1.5 * DAY) == NONE
    assert await clean(state, chosen, now + 2.5 * DAY) == {**NONE, "images": 1}
    assert await clean(state, chosen, now + 50_000 * DAY) == {**NONE, "certificates": 1}
    left = await everything(state)
    assert {k: v for k, v in left.items() if k.startswith("ledger")} == ledgers
    assert not [k for k in left if k.startswith(("image", "run", "certificate"))]
    with pytest.raises(NotFound):
        await state.images.get("a" * 64)


async def test_count_drops_the_oldest(state, wanting):
    for place in range(5):
        await state.images.put(f"{place:064x}", b"png")
        await run(state, f"r{place}")
        await state.certificates.put(certificate(place, f"2026-01-0{place + 1}T00:00:00+00:00"))
    chosen = wanting(keep_images_most=2, keep_runs_most=0, keep_certificates_most=4)
    expected = {**NONE, "images": 3, "runs": 5, "certificates": 1}
    before = await everything(state)
    assert await clean(state, chosen, dry_run=True) == expected
    assert await everything(state) == before
    assert await clean(state, chosen) == expected
    assert await clean(state, chosen) == NONE
    assert await state.images.get(f"{3:064x}") == b"png"
    with pytest.raises(NotFound):
        await state.images.get(f"{2:064x}")
    assert await state.certificates.count() == 4
    with pytest.raises(NotFound):
        await state.certificates.get(f"{0:032x}")


async def test_a_picture_that_is_kept_again_meanwhile_stays(state, wanting, monkeypatch):
    """Its date is looked at in the same step in which it goes."""
    await state.images.put("a" * 64, b"png")
    now = time.time() + 60 * DAY
    page = Ages.page

    async def meanwhile(self, start):
        found = await page(self, start)
        await RedisImages(state.store).put("a" * 64, b"png")
        return found

    monkeypatch.setattr(Ages, "page", meanwhile)
    assert await clean(state, wanting(), now) == NONE
    assert await state.images.get("a" * 64) == b"png"


async def test_two_at_once_drop_each_thing_once(state, wanting, tmp_path):
    for place in range(40):
        await run(state, f"r{place}")
        await state.certificates.put(certificate(place))
    chosen = wanting(keep_runs_most=0, keep_certificates_most=1)
    async with deployment(tmp_path, "here") as other:
        both = await asyncio.gather(clean(state, chosen), clean(other, chosen))
    assert sum(one["runs"] for one in both) == 40
    assert await state.certificates.count() == 1
    assert not [k for k in await everything(state) if k.startswith("run")]


async def test_a_damaged_certificate_is_not_in_the_way_of_the_others(state, wanting):
    for place in range(4):
        await state.certificates.put(certificate(place, f"2026-01-0{place + 1}T00:00:00+00:00"))
    key = state.store.key("certificate", f"{0:032x}")
    await state.store.brisk(lambda r: r.set(key, b"{}"))
    gone = state.store.key("certificate", f"{1:032x}")
    await state.store.brisk(lambda r: r.delete(gone))
    with capture_logs() as told:
        dropped = await clean(state, wanting(keep_certificates_most=1))
    assert dropped["certificates"] == 2
    assert [line["entry"] for line in told] == [f"{0:032x}"]
    ids = [name for name, _ in await state.certificates.oldest(0, 9)]
    assert ids == [f"{0:032x}", f"{3:032x}"]


async def test_it_works_at_the_start_and_again_and_ends(state, wanting):
    await run(state, "r1")
    async with Housekeeping(state, wanting(keep_runs_most=0), every=0.02):
        await until(lambda: nothing_of(state, "run:r1"))
        await run(state, "r2")
        await until(lambda: nothing_of(state, "run:r2"))
    await run(state, "r3")
    await asyncio.sleep(0.06)
    assert not await nothing_of(state, "run:r3")


async def test_it_survives_a_store_that_is_away(state, wanting, monkeypatch):
    brisk, away = state.store.brisk, True

    async def sometimes(work):
        if away:
            raise StoreUnavailable("away")
        return await brisk(work)

    await run(state, "r1")
    monkeypatch.setattr(state.store, "brisk", sometimes)
    with capture_logs() as told:
        async with Housekeeping(state, wanting(keep_runs_most=0), every=0.01):
            await until(lambda: _(len(told) > 1))
            away = False
            await until(lambda: nothing_of(state, "run:r1"))
    assert told[0]["log_level"] == "warning"


async def _(value):
    return value


async def nothing_of(state, name):
    return not await state.store._client.exists(state.store.key(name))


async def until(condition):
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110  the store has no event
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("wrong", [31 * DAY, -31 * DAY])
async def test_by_a_wrong_clock_nothing_goes(state, wanting, monkeypatch, wrong):
    await state.images.put("a" * 64, b"png")
    await run(state, "r1")
    before, clock = await everything(state), time.time
    monkeypatch.setattr("service.housekeeping.time.time", lambda: clock() + wrong)
    with pytest.raises(ConfigurationError, match="clock and the store's differ by 2,678,"):
        await clean(state, wanting())
    with capture_logs() as logs:
        async with Housekeeping(state, wanting()):
            while not logs:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert logs[0]["event"] == "nothing is dropped"
    assert await everything(state) == before
