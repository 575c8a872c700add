"""Ledgers that were lost or deleted come back from a file, with all that was known of them."""

import pytest

from tests.service.transferring import (
    begin,
    deployment,
    everything,
    exported,
    imported,
    subject,
    trusted,
    votes,
)


@pytest.fixture
async def here(tmp_path):
    async with deployment(tmp_path, "here") as state:
        yield state


async def deleted(state, *subjects):
    """Delete ledgers' keys, as docs/ledgers.md says."""

    async def work(redis):
        for name in subjects:
            keys = [k async for k in redis.scan_iter(state.store.key("ledger", name) + "*")]
            await redis.delete(*keys)

    await state.store.brisk(work)


async def test_a_ledger_whose_keys_were_deleted_is_put_back_by_an_import(here):
    first = await begin(here, subject(), votes(200), alpha=0.01)
    told = await here.ledgers.reroll(first.draft)
    again = await begin(here, subject(rerolls=told), votes(150, seed=1))
    names, draft = [first.subject_sha256, again.subject_sha256], first.draft
    data, trust, before = await exported(here, names), trusted(here), await everything(here)
    del first, again
    await deleted(here, names[1])
    refused, put_back = await imported(here, data, trust)
    assert (refused.outcome, put_back.outcome) == ("refused", "added")
    assert "import that one first" in refused.detail
    after = await everything(here)
    assert after.pop("drafts") != before.pop("drafts")  # it was written once more
    assert after == before
    assert (await here.ledgers.find(draft)).subject_sha256 == names[1]


async def test_a_draft_of_which_all_was_deleted_is_put_back_by_an_import(here):
    first = await begin(here, subject(), votes(200), alpha=0.01)
    told = await here.ledgers.reroll(first.draft)
    again = await begin(here, subject(rerolls=told), votes(150, seed=1))
    names, draft = [first.subject_sha256, again.subject_sha256], first.draft
    data, trust = await exported(here, names), trusted(here)
    del first, again
    entries, index = here.ledgers.drafts.keys
    await deleted(here, *names)
    await here.store.brisk(lambda redis: redis.hdel(entries, draft))
    await here.store.brisk(lambda redis: redis.zrem(index, *(f"{draft}:{n}" for n in names)))
    assert [one.outcome for one in await imported(here, data, trust)] == ["added", "added"]
    assert (await here.ledgers.find(draft)).subject_sha256 == names[1]
    assert await here.ledgers.rerolls(draft) == told
