"""Whose what is: two keys that know nothing of each other, one that looks, one that may do all."""

import asyncio
import copy
import io
import json
import math
from contextlib import AsyncExitStack

import pytest

from certification.certificate import votes_sha256
from certification.signing import Signer
from service.jobs.submit import spec_of
from tests.service.access.keyed import client_with, kind
from tests.service.conftest import connect
from tests.service.jobs.packing import zipped
from tests.service.jobs.running import given, grey, until
from tests.service.pictures import png
from tests.service.reading import files

FEW = {"max_votes": "20", "good_enough": "none"}
JOB = {"sigma": "0.5", "max_votes": "5"}


@pytest.fixture
async def people(app):
    """Anna and Ben certify and submit, a reader looks, an admin may do everything."""
    async with AsyncExitStack() as stack:
        made = {
            name: await stack.enter_async_context(client_with(app, *scopes))
            for name, scopes in {
                "anna": ("certify", "jobs"),
                "ben": ("certify", "jobs"),
                "reader": ("read",),
                "looker": ("certify", "jobs", "read"),
                "admin": ("admin",),
            }.items()
        }
        yield made


def same(one, other):
    """Answers that differ in ids alone."""
    hidden = [name for name in ("detail", "instance", "request_id") if name in one.json()]
    told = [{**answer.json(), **dict.fromkeys(hidden)} for answer in (one, other)]
    assert (one.status_code, told[0]) == (other.status_code, told[1])


async def test_certificates_are_seen_by_those_who_asked(people):
    certificate = (await people["anna"].post("/certify", files=files(), data=FEW)).json()
    path = f"/certificates/{certificate['id']}"
    for part in ("", "/votes", "/picture"):
        assert (await people["anna"].get(path + part)).status_code == 200, part
        for name in ("reader", "looker", "admin"):
            assert (await people[name].get(path + part)).status_code == 200
        hidden = await people["ben"].get(path + part)
        never_was = await people["ben"].get(f"/certificates/{'0' * 32}{part}")
        assert hidden.status_code == 404
        same(hidden, never_was)
    listed = {
        name: [line["id"] for line in (await client.get("/certificates")).json()["certificates"]]
        for name, client in people.items()
    }
    ids = [certificate["id"]]
    assert listed == {"anna": ids, "ben": [], "reader": ids, "looker": ids, "admin": ids}


async def test_the_same_request_gives_both_the_same_certificate(people):
    first = (await people["anna"].post("/certify", files=files(), data=FEW)).json()
    path = f"/certificates/{first['id']}"
    assert (await people["ben"].get(path)).status_code == 404
    again = await people["ben"].post("/certify", files=files(), data=FEW)
    assert again.json() == first
    for name in ("anna", "ben"):
        assert (await people[name].get(path)).json() == first
        found = (await people[name].get(f"/certificates?image={first['image']['sha256']}")).json()
        assert [line["id"] for line in found["certificates"]] == [first["id"]]
        none = (await people[name].get(f"/certificates?image={'0' * 64}")).json()
        assert none["certificates"] == []


async def test_a_certificate_that_was_made_up_asks_for_no_votes(people):
    """Whoever is shown a certificate could else learn its votes, and later ones, one by one."""
    shown = (await people["anna"].post("/certify", files=files(), data=FEW)).json()
    votes = (await people["anna"].get(f"/certificates/{shown['id']}/votes")).json()["votes"]
    guesses = {
        "passed": [*votes[:3]],
        "failed": [*votes[:3], "no such label"],
    }
    mallory = Signer(b"m" * 32)

    async def checked(name, document, **beside):
        files = {"certificate": json.dumps(document).encode(), **beside}
        told = (await people[name].post("/verify", files=files)).json()
        (ledger,) = [check for check in told["checks"] if check["level"] == "ledger"]
        return ledger

    for status, guess in guesses.items():
        made_up = copy.deepcopy(shown)
        made_up["proof"]["votes"] |= {"n": len(guess), "sha256": votes_sha256(guess)}
        for document, beside in (
            (made_up, {}),
            (mallory.sign(made_up), {"key": mallory.public.hex().encode()}),
        ):
            told = await checked("ben", document, **beside)
            assert told["status"] == "not checked", told
            unknown = copy.deepcopy(document)
            unknown["proof"]["subject_sha256"] = "0" * 64
            assert await checked("ben", unknown, **beside) == told
            for name in ("reader", "admin"):
                assert (await checked(name, document, **beside))["status"] == status
    assert (await checked("ben", shown))["status"] == "passed"


async def test_a_dropped_certificate_is_nobodys(app, people):
    document = (await people["anna"].post("/certify", files=files(), data=FEW)).json()
    state = app.state.surety.state
    await state.certificates.drop(document["id"])
    assert (await people["anna"].get("/certificates")).json()["certificates"] == []
    assert not await state.certificates.belongs(document["id"], people["anna"].key.id)
    left = await state.store.brisk(lambda redis: redis.keys(f"{state.store.prefix}*owner*"))
    assert left == []


async def test_runs_are_seen_and_cancelled_by_those_who_began_them(app, people):
    form = {"provider": "slow", "good_enough": "none"}
    going_on = asyncio.ensure_future(people["anna"].post("/certify", files=files(), data=form))
    while not (found := app.state.running.runs.list()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    run, anna = found[0], people["anna"].key.id
    for name, client in people.items():
        sees = name != "ben"
        listed = (await client.get("/runs")).json()["runs"]
        assert [entry["owner"] for entry in listed] == [anna] * sees, name
        looked = await client.get(f"/runs/{run.id}")
        assert (looked.status_code == 200) == sees
        if not sees:
            same(looked, await client.get(f"/runs/{'0' * 24}"))
        elif name != "anna":
            assert looked.json()["owner"] == anna
    assert (await people["ben"].delete(f"/runs/{run.id}")).status_code == 404
    refused = await people["looker"].delete(f"/runs/{run.id}")
    assert (refused.status_code, kind(refused)) == (403, "missing-scope")
    assert "another API key" in refused.json()["detail"]
    assert not run.cancelling
    assert (await people["anna"].delete(f"/runs/{run.id}")).status_code == 202
    await going_on
    assert (await people["anna"].get(f"/runs/{run.id}")).json()["outcome"]
    assert (await people["ben"].get(f"/runs/{run.id}")).status_code == 404


async def test_an_admin_may_cancel_anybodys_run(app, people):
    form = {"provider": "slow", "good_enough": "none"}
    going_on = asyncio.ensure_future(people["anna"].post("/certify", files=files(), data=form))
    while not (found := app.state.running.runs.list()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert (await people["admin"].delete(f"/runs/{found[0].id}")).status_code == 202
    await going_on


async def submitted(client, count=1, first=0):
    data = zipped([(f"{n}.png", png(8, 8 + n)) for n in range(first, first + count)])
    answer = await client.post("/jobs", files={"archive": data}, data=JOB)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_jobs_are_seen_and_acted_on_by_those_who_submitted_them(app, people):
    job = await submitted(people["anna"])
    assert job["owner"] == people["anna"].key.id
    await until(app.state.surety, job["id"])
    path = f"/jobs/{job['id']}"
    looks = ["", "/pictures", "/pictures/0", "/events", "/results", "/report"]
    for part in looks:
        for name in ("anna", "reader", "looker", "admin"):
            assert (await people[name].get(path + part)).status_code == 200, (name, part)
        hidden = await people["ben"].get(path + part)
        same(hidden, await people["ben"].get(f"/jobs/{'0' * 16}{part}"))
        assert hidden.status_code == 404
    for action in ("pause", "resume", "cancel", "retry", "extend"):
        hidden = await people["ben"].post(f"{path}/{action}", json={"max_votes": 9})
        assert (hidden.status_code, kind(hidden)) == (404, "not-found"), action
        refused = await people["looker"].post(f"{path}/{action}", json={"max_votes": 9})
        assert (refused.status_code, kind(refused)) == (403, "missing-scope"), action
    assert (await people["ben"].delete(path)).status_code == 404
    extended = await people["anna"].post(f"{path}/extend", json={"max_votes": 9})
    assert extended.json()["owner"] == job["owner"]
    await until(app.state.surety, job["id"])
    assert (await people["admin"].delete(path)).status_code == 204
    assert (await people["anna"].get("/jobs")).json() == {"jobs": [], "next": None}


async def test_certificates_of_a_job_are_its_owners(app, people):
    job = await submitted(people["anna"])
    await until(app.state.surety, job["id"])
    row = (await people["anna"].get(f"/jobs/{job['id']}/pictures/0")).json()
    assert (await people["anna"].get(f"/certificates/{row['certificate']}")).status_code == 200
    assert (await people["ben"].get(f"/certificates/{row['certificate']}")).status_code == 404


async def test_jobs_are_listed_and_compared_apart(people):
    of_anna = [await submitted(people["anna"], first=n) for n in range(3)]
    of_ben = await submitted(people["ben"], first=7)
    page = (await people["anna"].get("/jobs?limit=2")).json()
    rest = (await people["anna"].get(f"/jobs?before={page['next']}")).json()
    found = [job["id"] for job in page["jobs"] + rest["jobs"]]
    assert found == [job["id"] for job in reversed(of_anna)]
    assert len((await people["reader"].get("/jobs")).json()["jobs"]) == 4
    assert (await people["anna"].get(f"/jobs?before={of_ben['id']}")).status_code == 404
    pair = {"a": of_anna[0]["id"], "b": of_ben["id"]}
    swapped = {"a": pair["b"], "b": pair["a"]}
    for name, expected in {"anna": 404, "ben": 404, "reader": 200}.items():
        for query in (pair, swapped):
            answer = await people[name].get("/jobs/compare", params=query)
            assert answer.status_code == expected, (name, answer.text)


def manifest(sha256):
    line = json.dumps({"image": f"sha256:{sha256}", "name": "x"}) + "\n"
    return {"manifest": ("manifest.jsonl", io.BytesIO(line.encode()))}


async def test_uploads_can_be_named_by_those_who_sent_them(app, people):
    sent = await people["anna"].post("/pictures", files={"image": png(8, 8)})
    (kept,) = sent.json()["pictures"]
    unknown = await people["ben"].post("/jobs", files=manifest("0" * 64), data=JOB)
    for name in ("ben", "admin"):  # who knows a picture's SHA-256 does not have the picture
        refused = await people[name].post("/jobs", files=manifest(kept["sha256"]), data=JOB)
        assert refused.status_code == 422
        same(refused, unknown)
    mine = await people["anna"].post("/jobs", files=manifest(kept["sha256"]), data=JOB)
    job = await until(app.state.surety, mine.json()["id"])
    assert job.counts["done"] == 1
    again = await people["ben"].post("/pictures", files={"image": png(8, 8)})
    assert again.json()["pictures"] == [kept]
    his = await people["ben"].post("/jobs", files=manifest(kept["sha256"]), data=JOB)
    assert his.status_code == 201


async def test_uploads_of_two_go_each_for_itself(app, people):
    uploads = app.state.surety.state.uploads
    for name in ("anna", "ben"):
        await people[name].post("/pictures", files={"image": png(8, 8)})
    assert await uploads.count_loose(2e9 * 2) == 2
    assert await uploads.drop_loose(2e9 * 2) == 2
    assert await uploads.count_loose(2e9 * 2) == 0
    state = app.state.surety.state
    assert await state.store.brisk(lambda r: r.keys(f"{state.store.prefix}upload:*")) == []


async def test_a_pilot_and_a_dry_run_are_the_callers_too(people):
    sent = await people["anna"].post("/pictures", files={"image": png(8, 8)})
    (kept,) = sent.json()["pictures"]
    for path, more in (("/jobs", {"dry_run": "true"}), ("/estimate", {})):
        for name, status in (("anna", 200), ("ben", 422)):
            answer = await people[name].post(path, files=manifest(kept["sha256"]), data=JOB | more)
            assert answer.status_code == status, (name, path, answer.text)


async def test_what_was_begun_without_keys_is_for_those_who_see_everything(app):
    surety = app.state.surety
    async with connect(app) as anybody:
        answer = await anybody.post("/certify", files=files(), data=FEW)
        certificate, run = answer.json(), answer.headers["surety-run"]
        job = await submitted(anybody)
    await until(surety, job["id"])
    assert job["owner"] is None
    app.state.known._unneeded_at = -math.inf  # as two seconds later
    paths = [f"/certificates/{certificate['id']}", f"/runs/{run}", f"/jobs/{job['id']}"]
    for scopes, status in {("certify", "jobs"): 404, ("read",): 200, ("admin",): 200}.items():
        async with client_with(app, *scopes) as client:
            for path in paths:
                assert (await client.get(path)).status_code == status, (scopes, path)


async def test_records_of_before_there_were_owners_are_read(app):
    """As an older version wrote them: without the member."""
    state = app.state.surety.state
    spec = await spec_of(app.state.surety, {"sigma": 0.5})
    old = {name: value for name, value in spec.describe().items() if name != "owner"}
    job_id = await state.jobs.begin(spec, state.process.id)
    sealed = state.jobs._seals.seal(json.dumps(old), "job", job_id)
    await state.store.brisk(lambda redis: redis.hset(state.jobs.key(job_id), "spec", sealed))
    assert (await state.jobs.get(job_id)).owner is None
    what = {"kind": "certificate", "arguments": {}, "image": {}, "draft": "d", "created": "c"}
    run = state.runs._seals.seal(json.dumps(what), "run", "r")
    await state.store.brisk(lambda redis: redis.hset(state.store.key("run", "r"), "what", run))
    assert (await state.runs.outcome("r"))["owner"] is None


async def test_a_revoked_keys_things_stay_its_own(app, people):
    from service.jobs.submit import submit

    surety = app.state.surety
    spec = await spec_of(surety, {"sigma": 0.5, "max_votes": 5}, owner=people["anna"].key.id)
    job = await submit(surety, spec, given(grey(1)))
    await surety.state.api_keys.revoke(people["anna"].key.id)
    assert (await people["ben"].get(f"/jobs/{job.id}")).status_code == 404
    assert (await people["reader"].get(f"/jobs/{job.id}")).json()["owner"] == job.owner
