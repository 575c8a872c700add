"""Jobs over HTTP: submitted, looked at, paused, resumed, cancelled, retried, extended, deleted."""

import asyncio
import io
import tarfile
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.service import providers
from tests.service.conftest import connect
from tests.service.jobs.asking import FORM, archive, manifest, picture, pictures, submitted, until
from tests.service.pictures import png
from tests.service.reading import left_behind, problem, slug
from tests.service.test_openapi_schemas import fits

UNKNOWN = "/jobs/0123456789abcdef"
STUCK = {"provider": "stuck"}


async def test_an_archive_becomes_certificates(app: FastAPI, client: httpx.AsyncClient) -> None:
    members = {"dark/a.png": picture(1), "bright/b.png": picture(2), "dark/no.png": b"no picture"}
    members["dark/.hidden"] = b""
    fields = {"name": "first", "labels": "folders", "priority": "high", "max_cost": "3"}
    where = await submitted(client, archive(members), rate="60000/min", **fields)
    job = await until(client, where, "finished")
    fits(job, "Job")
    assert job["by_state"]["done"] == 2
    assert job["by_state"]["failed"] == job["skipped"] == 1
    assert (job["name"], job["priority"], job["rate"], job["max_cost"]) == (
        "first",
        "high",
        1000,
        3,
    )
    assert job["arguments"]["provider"] == "half"
    assert 0 < job["cost"] == job["cost_at_most"] <= 3
    rows = (await client.get(f"{where}/pictures")).json()
    fits(rows, "Rows")
    first, second, third = rows["pictures"]
    assert (first["name"], first["truth"], first["label"], first["correct"]) == (
        *("dark/a.png", "dark", "dark", True),
    )
    assert (second["truth"], second["correct"]) == ("bright", False)
    assert third["problem"]["type"] == "/problems/unreadable-picture"
    assert third["problem"]["instance"] == f"{where}/pictures/2"
    assert (await client.get(f"{where}/pictures/1")).json() == second
    certificate = (await client.get(f"/certificates/{first['certificate']}")).json()
    assert certificate["image"]["source"]["name"] == "dark/a.png"
    assert (await client.delete(where)).status_code == 204
    assert slug(problem(await client.get(where), app)) == "not-found"
    # Certificates and votes stay, the rest is gone.
    assert (await client.get(f"/certificates/{first['certificate']}")).status_code == 200
    kept = [k for k in left_behind(app)["kept"] if k.startswith(("job:", "upload"))]
    assert kept == []


async def test_a_tar_and_labels_beside_it(client: httpx.AsyncClient) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as file:
        info = tarfile.TarInfo("a.png")
        info.size = len(png())
        file.addfile(info, io.BytesIO(png()))
    files = {"archive": ("x", data.getvalue()), "labels": ("l.csv", b"name,label\na.png,dark\n")}
    where = await submitted(client, files, name="tar")
    await until(client, where, "finished")
    assert (await client.get(f"{where}/pictures/0")).json()["correct"] is True


async def test_a_manifest_of_uploads(app: FastAPI, client: httpx.AsyncClient) -> None:
    files = [("image", ("a.png", picture(1))), ("image", ("b.png", picture(2)))]
    answer = await client.post("/pictures", files=files)
    assert answer.status_code == 201
    fits(answer.json(), "Uploaded")
    one, two = answer.json()["pictures"]
    assert (one["name"], one["bytes"]) == ("a.png", len(picture(1)))
    lines = [{"image": f"sha256:{x['sha256']}", "name": x["name"]} for x in (one, two)]
    where = await submitted(client, manifest(*lines))
    job = await until(client, where, "finished")
    assert job["by_state"]["done"] == 2
    missing = manifest(*lines, {"image": f"sha256:{'0' * 64}"})
    refused = problem(await client.post("/jobs", files=missing, data=FORM), app)
    assert slug(refused) == "bad-table"
    assert "line 3" in refused["detail"]


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"image": ("a.png", b"no picture")}, "not-an-image"),
        ({"other": ("a.png", b"")}, "invalid-request"),
        ({"image": (None, "text")}, "invalid-request"),
    ],
)
async def test_uploads_that_are_refused_are_not_kept(
    app: FastAPI, client: httpx.AsyncClient, files: dict[str, Any], kind: str
) -> None:
    both = [("image", ("good.png", png())), *files.items()]
    assert slug(problem(await client.post("/pictures", files=both), app)) == kind
    assert left_behind(app)["kept"] == []


REFUSED: list[tuple[dict[str, Any] | None, dict[str, str], str, str | None]] = [
    (None, {}, "bad-request", "archive"),
    (pictures(1) | manifest({"image": "sha256:" + "0" * 64}), {}, "bad-request", "manifest"),
    ({"archive": ("x.zip", b"no archive")}, {}, "bad-archive", None),
    ({"archive": ("x.zip", b"")}, {}, "bad-archive", None),
    ({"archive": (None, "text")}, {}, "invalid-request", "archive"),
    ({"manifest": ("m", b"image\nsha256:xyz\n")}, {}, "bad-table", "manifest"),
    ({"manifest": ("m", b"image\n/etc/passwd\n")}, {}, "bad-table", "manifest"),
    (pictures(1) | {"labels": ("l", b"name,label\nb,c\n")}, {}, "bad-table", "labels"),
    (pictures(1), {"labels": "files"}, "invalid-request", "labels"),
    (pictures(1), {"labels": "folders", "provider": "closed"}, "unknown-label", "labels"),
    (pictures(1), {"rate": "fast"}, "invalid-request", "rate"),
    (pictures(1), {"rate": "0"}, "invalid-request", "rate"),
    (pictures(1), {"max_cost": "-1"}, "invalid-request", "max_cost"),
    (pictures(1), {"priority": "urgent"}, "invalid-request", "priority"),
    (pictures(1), {"allocation": "closest"}, "bad-request", "allocation"),
    (pictures(1), {"sigma": "3"}, "invalid-request", "sigma"),
    (pictures(1), {"target_radius": "30"}, "invalid-parameter", "target_radius"),
    (pictures(1), {"max_seconds": "3"}, "invalid-request", "max_seconds"),
    (pictures(1), {"provider": "nobody"}, "unknown-provider", "provider"),
    (pictures(1), {"provider": "keyless"}, "provider-not-ready", None),
]


@pytest.mark.parametrize(("files", "fields", "kind", "field"), REFUSED)
async def test_what_is_wrong_is_refused_before_anything_begins(
    app: FastAPI,
    client: httpx.AsyncClient,
    temp_dir: Any,
    files: Any,
    fields: dict[str, str],
    kind: str,
    field: str | None,
) -> None:
    if files and "labels" in fields and kind == "unknown-label":
        files = archive({"cat/a.png": png()})
    given = files or {"name": (None, "nothing")}
    told = problem(await client.post("/jobs", files=given, data=fields), app)
    assert slug(told) == kind
    if field is not None:
        assert told["errors"][0]["field"] == field
    assert left_behind(app)["kept"] == []
    assert left_behind(app)["waiting"] == 0
    assert [*temp_dir.iterdir()] == []


async def test_a_body_that_is_too_large(make_app: Any, temp_dir: Any) -> None:
    async with make_app(max_archive_bytes=2000, max_upload_bytes=500_000) as app:
        async with connect(app) as client:
            for path in ("/jobs", "/estimate", "/pictures"):
                large = {"archive": ("x.zip", b"x" * 400_000)}
                assert slug(problem(await client.post(path, files=large), app)) == "too-large"
            # the limit of another route is its own
            other = {"image": ("x.png", b"x" * 400_000)}
            answer = await client.post("/certify", files=other)
            assert slug(problem(answer, app)) == "not-an-image"
        assert [*temp_dir.iterdir()] == []


async def test_other_bodies_and_unknown_parameters(app: FastAPI, client: httpx.AsyncClient) -> None:
    for path in ("/jobs", "/estimate", "/pictures"):
        assert slug(problem(await client.post(path, json={}), app)) == "unsupported-media-type"
    where = await submitted(client)
    for path in ("", "/pictures", "/pictures/0", "/events", "/results", "/report"):
        refused = problem(await client.get(f"{where}{path}?x=1"), app)
        assert refused["errors"] == [{"field": "x", "message": "there is no such field"}]
    for path in ("/jobs?x=1", "/workers?x=1", "/jobs/compare?a=1&b=1&x=1"):
        assert slug(problem(await client.get(path), app)) == "invalid-request"
    for action in ("pause", "resume", "cancel", "retry", "extend"):
        answer = await client.post(f"{where}/{action}?x=1", json={})
        assert slug(problem(answer, app)) == "invalid-request"


async def test_what_is_not_there(app: FastAPI, client: httpx.AsyncClient) -> None:
    for where in (UNKNOWN, "/jobs/x", "/jobs/a:b"):
        for path in ("", "/pictures", "/pictures/0", "/events", "/results", "/report"):
            assert slug(problem(await client.get(f"{where}{path}"), app)) == "not-found"
        for action in ("pause", "resume", "cancel", "retry"):
            assert slug(problem(await client.post(f"{where}/{action}"), app)) == "not-found"
        extended = await client.post(f"{where}/extend", json={"max_cost": 3})
        assert slug(problem(extended, app)) == "not-found"
        assert slug(problem(await client.delete(where), app)) == "not-found"
    answer = await client.get("/jobs/compare", params={"a": "x", "b": "y"})
    assert slug(problem(answer, app)) == "not-found"
    where = await submitted(client, pictures(1))
    # The rows' key is no job, though it begins like one.
    assert slug(problem(await client.get(f"{where}:rows"), app)) == "not-found"
    assert slug(problem(await client.get(f"{where}/pictures/1"), app)) == "not-found"
    assert slug(problem(await client.get(f"{where}/pictures/-1"), app)) == "invalid-request"


async def test_jobs_are_listed_the_latest_first(app: FastAPI, client: httpx.AsyncClient) -> None:
    ids = [(await submitted(client, pictures(1))).removeprefix("/jobs/") for _ in range(5)]
    seen, page = [], (await client.get("/jobs?limit=2")).json()
    while True:
        fits(page, "Jobs")
        seen += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        page = (await client.get(f"/jobs?limit=2&before={page['next']}")).json()
    assert seen == ids[::-1]
    assert slug(problem(await client.get("/jobs?before=0123456789abcdef"), app)) == "not-found"


async def test_pictures_by_page_and_by_state(client: httpx.AsyncClient) -> None:
    members = {f"{n}.png": picture(n) if n % 3 else b"none" for n in range(10)}
    where = await submitted(client, archive(members))
    await until(client, where, "finished")

    async def numbers(query: str) -> tuple[list[int], int | None]:
        page = (await client.get(f"{where}/pictures?{query}")).json()
        return [row["number"] for row in page["pictures"]], page["next"]

    assert await numbers("start=3&limit=4") == ([3, 4, 5, 6], 7)
    assert await numbers("start=8") == ([8, 9], None)
    assert await numbers("state=failed&limit=3") == ([0, 3, 6], 7)
    assert await numbers("state=failed&limit=3&start=7") == ([9], None)
    assert await numbers("state=waiting") == ([], None)
    assert await numbers("start=100") == ([], None)


async def test_pause_resume_cancel_retry(app: FastAPI, client: httpx.AsyncClient) -> None:
    where = await submitted(client, provider="slow", good_enough="none", max_votes="2000")
    for action in ("resume", "retry"):
        assert slug(problem(await client.post(f"{where}/{action}"), app)) == "job-conflict"
    assert slug(problem(await client.delete(where), app)) == "job-conflict"
    while (await client.get(where)).json()["by_state"]["working"] == 0:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    paused = await client.post(f"{where}/pause")
    fits(paused.json(), "Job")
    assert (paused.json()["state"], paused.json()["actions"]) == (
        "paused",
        ["resume", "cancel", "delete"],
    )
    while (await client.get(where)).json()["by_state"]["waiting"] < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    calls = providers.Slow.calls
    await asyncio.sleep(0.05)
    assert providers.Slow.calls == calls
    assert (await client.post(f"{where}/resume")).json()["state"] == "running"
    cancelled = (await client.post(f"{where}/cancel")).json()
    assert cancelled["state"] == "cancelled"
    assert slug(problem(await client.post(f"{where}/pause"), app)) == "job-conflict"
    again = (await client.post(f"{where}/retry")).json()
    assert (again["state"], again["ended"]) == ("running", None)


async def test_extend_pays_for_new_votes_only(app: FastAPI, client: httpx.AsyncClient) -> None:
    where = await submitted(client, pictures(1), good_enough="none")
    first = await until(client, where, "finished")
    refused = problem(await client.post(f"{where}/retry"), app)
    assert slug(refused) == "job-conflict"
    assert refused["detail"].startswith("there is nothing to retry")
    for body, kind in (
        ({}, "bad-request"),
        ({"sigma": 1}, "invalid-request"),
        ({"max_votes": "80"}, "invalid-request"),
        ({"max_votes": 0}, "invalid-request"),
        ({"max_votes": 100_000}, "invalid-parameter"),
        ({"max_cost": first["cost"] / 2}, "bad-request"),
        ({"rate": "fast"}, "invalid-request"),
        ([], "invalid-request"),
    ):
        answer = await client.post(f"{where}/extend", json=body)
        assert slug(problem(answer, app)) == kind, body
    for content, kind in (("{", "malformed-body"), ('{"alpha": NaN}', "malformed-body")):
        headers = {"content-type": "application/json"}
        answer = await client.post(f"{where}/extend", content=content, headers=headers)
        assert slug(problem(answer, app)) == kind
    answer = await client.post(f"{where}/extend", content="{}")
    assert slug(problem(answer, app)) == "unsupported-media-type"
    assert (await client.get(where)).json() == first
    body = {"max_votes": 80, "rate": "500/s", "priority": "low", "max_cost": 9}
    extended = (await client.post(f"{where}/extend", json=body)).json()
    assert (extended["rate"], extended["priority"], extended["max_cost"]) == (500, "low", 9)
    job = await until(client, where, "finished")
    row = (await client.get(f"{where}/pictures/0")).json()
    assert row["n"] == job["arguments"]["max_votes"] == 80
    assert job["cost"] == pytest.approx(first["cost"] * 81 / 41, rel=0.15)


async def test_a_client_that_goes_while_a_job_is_taken_in_begins_none(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, temp_dir: Any
) -> None:
    uploads, arrived = app.state.surety.state.uploads, asyncio.Event()
    put = uploads.put

    async def slowly(*arguments: Any) -> str:
        arrived.set()
        await asyncio.sleep(30)
        return str(await put(*arguments))

    monkeypatch.setattr(uploads, "put", slowly)
    sent = iter([client.build_request("POST", "/jobs", files=pictures(2), data=FORM)])
    request = next(sent)
    body = request.read()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await arrived.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/jobs",
        "raw_path": b"/jobs",
        "query_string": b"",
        "headers": request.headers.raw,
        "app": app,
    }
    await app(scope, receive, send)
    assert left_behind(app) == {"runs": [], "kept": [], "held": {}, "waiting": 0}
    assert [*temp_dir.iterdir()] == []


async def test_workers_are_listed(client: httpx.AsyncClient) -> None:
    assert (await client.get("/workers")).json() == {"workers": []}
    where = await submitted(client, **STUCK)
    while not (workers := (await client.get("/workers")).json()["workers"]):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    fits({"workers": workers}, "Workers")
    assert workers[0]["inside"] is True
    await client.post(f"{where}/cancel")
