"""An API key that somebody gives as the name of a job, a folder, a picture or a label."""

import os

import httpx
import redis

from service.access.token import Token
from tests.security.test_planted_secrets import dump
from tests.service.jobs.asking import FORM, archive, manifest, picture, submitted, until

TOKEN = Token.new()
BLOTTED = f"surety_{TOKEN.key_id}_…"


async def test_it_is_not_kept_and_not_told(client: httpx.AsyncClient) -> None:
    text = TOKEN.text
    members = {f"{text}/{text}.png": picture(1), f"../{text}": picture(2), f"{text}.txt": b"text"}
    first = await submitted(client, archive(members), labels="folders", name=f"of {text}")
    files = {"image": (f"{text}.png", picture(3))}
    (uploaded,) = (await client.post("/pictures", files=files)).json()["pictures"]
    line = {"image": f"sha256:{uploaded['sha256']}", "name": f"{text}.png", "label": text}
    beside = {"labels": ("l.csv", f"name,label\n{text}.png,{text}\n".encode())}
    second = await submitted(client, manifest(line) | beside)
    job = await until(client, first, "finished")
    await until(client, second, "finished")

    rows = (await client.get(f"{first}/pictures")).json()["pictures"]
    assert job["name"] == f"of {BLOTTED}"
    assert [row["name"] for row in rows] == [f"{BLOTTED}/{BLOTTED}.png", BLOTTED, f"{BLOTTED}.txt"]
    assert BLOTTED in rows[1]["problem"]["detail"]
    assert rows[0]["truth"] == BLOTTED
    (row,) = (await client.get(f"{second}/pictures")).json()["pictures"]
    assert (row["name"], row["truth"]) == (f"{BLOTTED}.png", BLOTTED)
    for kind in ("csv", "jsonl", "zip"):
        results = await client.get(f"{first}/results", params={"format": kind})
        assert results.status_code == 200, results.text
        assert TOKEN.secret.encode() not in results.content
    with redis.Redis.from_url(os.environ["SURETY_REDIS_URL"]) as store:
        assert TOKEN.secret[:16].encode() not in dump(store)


async def test_tables_that_are_refused_do_not_repeat_it(client: httpx.AsyncClient) -> None:
    line = {"image": f"sha256:{'0' * 64}"}
    for wrong in (
        manifest(line | {TOKEN.text: "x"}),
        manifest(line | {"name": f"/{TOKEN.text}"}),
        manifest(line | {"name": f"/{'a' * 90}{TOKEN.text}"}),
        manifest(line | {"name": TOKEN.text}, line | {"name": TOKEN.text}),
    ):
        answer = await client.post("/jobs", files=wrong, data=FORM)
        assert answer.status_code == 422, answer.text
        assert TOKEN.key_id in answer.text or "a" * 90 in answer.text
        assert TOKEN.secret[:8] not in answer.text
