"""Searching kept certificates page by page, while others are issued and dropped."""

import copy
import os
import random
from datetime import datetime
from itertools import chain

import pytest

from service.errors import BadRequest
from service.openapi_examples import CERTIFICATE
from service.store.certificates import RedisCertificates, Search
from service.store.connection import Store

PROVIDER = CERTIFICATE["proof"]["subject"]["provider"]["name"]
DAY = "2026-11-24T12:00:00"


@pytest.fixture
async def kept(redis_url):
    store = Store(redis_url, os.environ["SURETY_REDIS_PREFIX"])
    await store.open()
    yield RedisCertificates(store)
    await store.close()


async def issue(kept, number, when=f"{DAY}.250Z", label="cat"):
    document = copy.deepcopy(CERTIFICATE)
    document |= {"id": f"{number:032x}", "created": when}
    document["proof"]["label"] = label
    await kept.put(document)
    return document["id"]


async def pages(kept, between=None, **wanted):
    """Return the ids on each page."""
    after, found = None, []
    while True:
        some, after = await kept.search(Search(**wanted, after=after))
        found.append([document["id"] for document in some])
        if after is None:
            return found
        if between is not None:
            await between(found)


async def test_those_of_one_date_stand_on_one_page_each(kept):
    numbers = random.Random(0).sample(range(1000), 23)
    ids = {await issue(kept, number) for number in numbers}
    ids |= {await issue(kept, 2000, f"{DAY}.249Z"), await issue(kept, 1, f"{DAY}.251Z")}
    found = await pages(kept, limit=5)
    assert [len(page) for page in found] == [5] * 5 + [0]
    flat = [*chain(*found)]
    assert sorted(flat) == sorted(ids)
    assert (flat[0], flat[-1]) == (f"{1:032x}", f"{2000:032x}")
    assert flat[1:-1] == sorted(flat[1:-1], reverse=True)


async def test_what_is_issued_or_dropped_meanwhile_moves_nothing(kept):
    ids = {await issue(kept, number) for number in range(100, 120)}
    fresh = iter(range(120, 200))

    async def between(found):
        await kept.drop(found[-1][-1])  # the very one that the next page goes on after
        for _ in range(3):
            await issue(kept, next(fresh))  # of the same date
            await issue(kept, 1000 + next(fresh), f"{DAY}.900Z")  # later

    flat = [*chain(*await pages(kept, between, limit=3))]
    assert len(flat) == len({*flat})
    assert {*flat} >= ids


async def test_what_does_not_fit_is_passed_over(kept):
    for number in range(30):
        await issue(kept, number, label="cat" if number % 3 else "dog")
    wanted = {"label": "cat", "provider": PROVIDER, "limit": 4}
    flat = [*chain(*await pages(kept, **wanted))]
    assert flat == [f"{n:032x}" for n in range(29, -1, -1) if n % 3]


async def test_pages_keep_within_the_dates(kept):
    for number in range(10):
        await issue(kept, number, f"2026-11-{20 + number}T12:00:00.000Z")
    since, until = (datetime.fromisoformat(f"2026-11-{day}T12:00:00Z") for day in (22, 27))
    flat = [*chain(*await pages(kept, limit=2, since=since, until=until))]
    assert flat == [f"{n:032x}" for n in range(7, 1, -1)]


NONE = "0" * 32
WRONG = ["", "x", "1-2", NONE, f"1.5-{NONE[1:]}", f"nan-{NONE}", f"-1.0-{NONE}"]


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_no_page_gave_is_refused(kept, wrong):
    with pytest.raises(BadRequest) as refused:
        await kept.search(Search(after=wrong))
    assert refused.value.field == "after"


async def test_nothing_comes_after_the_last(kept):
    await issue(kept, 1)
    assert await kept.search(Search(after=f"1.5-{NONE}")) == ([], None)
