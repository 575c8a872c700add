"""Ledgers go from one deployment to another, and only from one that is trusted; retention."""

import contextlib
import io
import json
import os
import time

import pytest

from certification.errors import InvalidParameter, LedgerConflict, LedgerSealed
from service.core import Surety
from service.errors import NotFound
from service.housekeeping import clean
from service.lasting import reveal
from service.settings import Settings
from service.transfer import export_ledgers, import_ledgers
from tests.service.pictures import png

OURS, THEIRS = "5a" * 32, "6b" * 32


@pytest.fixture
def deployment(tmp_path, small_providers, monkeypatch):
    """Open deployments that differ in secret, keys and part of the store."""
    monkeypatch.chdir(tmp_path)
    mine = os.environ["SURETY_REDIS_PREFIX"]

    def made(name, **settings):
        chosen = {"provider": "half", "denoiser": "none", "redis_prefix": f"{mine}{name}:"}
        chosen |= {"data_dir": tmp_path / name, "secret": OURS} | settings
        return Surety.opened(Settings(**chosen))

    return made


async def certify(surety, votes, **more):
    options = {"sigma": 0.25, "good_enough": None, "max_votes": votes} | more
    return (await surety.certify(await surety.prepare(png(), **options))).document


async def exported(surety):
    file = io.BytesIO()
    await export_ledgers(surety.state, file)
    return file.getvalue()


def trusted(surety):
    return {surety.state.keyring.signer.key_id: surety.state.keyring.signer.public}


async def carried(surety, data, keys):
    return [one async for one in import_ledgers(surety.state, io.BytesIO(data), keys)]


async def test_a_ledger_is_carried_and_goes_on_under_its_own_secret(deployment):
    async with deployment("a") as a, deployment("b", secret=THEIRS) as b:
        first = await certify(a, 40)
        data, keys = await exported(a), trusted(a)
        assert [one.outcome for one in await carried(b, data, keys)] == ["added"]
        assert [one.outcome for one in await carried(b, data, keys)] == ["left"]
        again = await certify(b, 40)
        assert again["proof"] == first["proof"]
        with pytest.raises(LedgerConflict, match="SURETY_OLD_SECRETS"):
            await certify(b, 60)
        more = await certify(a, 60)
    async with deployment("b", secret=THEIRS, old_secrets=OURS) as b:
        assert (await certify(b, 60))["proof"] == more["proof"]


async def test_a_sealed_ledger_is_counted_and_nothing_is_asked_for_more(deployment):
    async with deployment("a") as surety:
        first = await certify(surety, 20)
        await reveal(surety.state, surety.machine, first["id"])
        assert (await certify(surety, 20))["id"] == first["id"]
        asked = []
        adapter = await surety.adapter("half")
        plain = adapter.classify

        async def counted(images):
            asked.append(len(images))
            return await plain(images)

        adapter.classify = counted
        with pytest.raises(LedgerSealed, match="reroll"):
            await certify(surety, 40)
        assert asked == []
        ledger = await surety.state.ledgers.of_subject(first["proof"]["subject_sha256"])
        await surety.state.ledgers.reroll(ledger.draft)
        again = await certify(surety, 20)
        spent = again["proof"]["subject"]["rerolls"]
        assert spent == {"count": 1, "alpha_spent": first["proof"]["alpha"]}
        assert again["proof"]["noise"] != first["proof"]["noise"]


async def test_nothing_comes_from_a_deployment_that_is_not_trusted(deployment):
    async with deployment("a") as a, deployment("b", secret=THEIRS) as b:
        await certify(a, 20)
        data = await exported(a)
        for keys in ({}, trusted(b)):
            with pytest.raises(InvalidParameter):
                await carried(b, data, keys)
        lines = data.splitlines(keepends=True)
        broken = [b"".join(lines[:-1]), b"".join([lines[0], *lines[2:]]), data[:-3]]
        places = range(0, len(data), max(1, len(data) // 60))
        broken += [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in places]
        for bad in broken:
            with pytest.raises(InvalidParameter):
                await carried(b, bad, trusted(a))
        assert await b.state.ledgers.subjects() == []


async def test_retention_takes_pictures_runs_and_certificates_but_no_ledger(deployment):
    async with deployment("a", keep_images_most=1, keep_certificates_days=2) as surety:
        state, settings = surety.state, surety.settings
        found = [await certify(surety, n, keep_image=True, size=s) for n, s in ((5, "4"), (6, "6"))]
        assert await clean(state, settings, dry_run=True) == {
            "images": 1,
            "runs": 0,
            "certificates": 0,
            "jobs": 0,
            "uploads": 0,
            "usage": 0,
        }
        assert (await clean(state, settings))["images"] == 1
        assert (await clean(state, settings))["images"] == 0
        kept = []
        for document in found:
            with contextlib.suppress(NotFound):
                kept.append(await state.images.get(document["image"]["sha256"]))
        assert len(kept) == 1
        later = time.time() + 3 * 86_400
        assert (await clean(state, settings, later))["certificates"] == 2
        assert len(await state.ledgers.subjects()) == 2
        again = await surety.certify(
            await surety.prepare(png(), sigma=0.25, good_enough=None, max_votes=5, size="4")
        )
        assert again.document["id"] == found[0]["id"]
        assert again.accounting["calls"] == 0
        assert json.dumps(again.document["proof"]) == json.dumps(found[0]["proof"])
