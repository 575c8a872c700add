"""What came of a job, over HTTP: tables, certificates, the report, comparisons."""

import csv
import io
import json
import zipfile

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from service.jobs.results.report_style import POLICY
from tests.service.jobs.asking import archive, picture, submitted, until
from tests.service.reading import problem, slug
from tests.service.test_openapi_schemas import fits

MEMBERS = {"dark/a.png": picture(1), "dark/b.png": picture(2), "dark/c.png": b"none"}
JSONL, CSV = "application/jsonl", "text/csv"
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture
async def where(client: httpx.AsyncClient) -> str:
    fields = {"labels": "folders", "name": '../"naïve" job'}
    done = await submitted(client, archive(MEMBERS), **fields)
    await until(client, done, "finished")
    return done


async def test_a_row_a_picture(client: httpx.AsyncClient, where: str) -> None:
    rows = (await client.get(f"{where}/pictures")).json()["pictures"]
    for request in ({}, {"headers": {"accept": JSONL}}, {"params": {"format": "jsonl"}}):
        answer = await client.get(f"{where}/results", **request)
        assert answer.headers["content-type"] == JSONL
        assert [json.loads(line) for line in answer.text.splitlines()] == rows
    assert answer.headers["content-disposition"] == 'attachment; filename="na-ve-job.jsonl"'
    table = await client.get(f"{where}/results", headers={"accept": f"{CSV}, */*;q=0.1"})
    assert table.headers["content-type"].startswith(CSV)
    assert [row["name"] for row in csv.DictReader(io.StringIO(table.text))] == [*MEMBERS]


async def test_parquet(client: httpx.AsyncClient, where: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    answer = await client.get(f"{where}/results?format=parquet")
    assert answer.headers["content-type"] == PARQUET
    assert parquet.read_table(io.BytesIO(answer.content)).column("name").to_pylist() == [*MEMBERS]


async def test_all_certificates(client: httpx.AsyncClient, where: str) -> None:
    answer = await client.get(f"{where}/results", headers={"accept": "application/zip"})
    assert answer.headers["content-disposition"].endswith('-certificates.zip"')
    found = zipfile.ZipFile(io.BytesIO(answer.content))
    assert found.testzip() is None
    (row, *_) = (await client.get(f"{where}/pictures")).json()["pictures"]
    kept = await client.get(f"/certificates/{row['certificate']}")
    assert found.read("certificates/dark/a.png.certificate.json") == kept.content
    assert len(found.namelist()) == 3  # two certificates and the table


async def test_what_is_not_offered(app: FastAPI, client: httpx.AsyncClient, where: str) -> None:
    refused = await client.get(f"{where}/results", headers={"accept": "image/png"})
    assert slug(problem(refused, app)) == "not-acceptable"
    refused = await client.get(f"{where}/results?format=xlsx")
    assert problem(refused, app)["errors"][0]["field"] == "format"
    pair = {"a": where.removeprefix("/jobs/"), "b": where.removeprefix("/jobs/")}
    refused = await client.get("/jobs/compare", params=pair, headers={"accept": "image/png"})
    assert slug(problem(refused, app)) == "not-acceptable"


async def test_the_report_is_a_page_in_which_nothing_may_run(
    client: httpx.AsyncClient, where: str
) -> None:
    answer = await client.get(f"{where}/report")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert "script-src" not in POLICY
    page = answer.text
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("data:image/png;base64,") >= 2  # thumbnails
    assert "<script" not in page
    assert "dark/c.png" in page
    assert "half" in page


async def test_a_report_of_a_job_that_goes_on(client: httpx.AsyncClient) -> None:
    where = await submitted(client, archive(MEMBERS), provider="stuck")
    assert "<h1" in (await client.get(f"{where}/report")).text
    lines = (await client.get(f"{where}/results")).text.splitlines()
    assert [json.loads(line)["state"] for line in lines][-1] == "failed"


async def test_two_jobs_beside_one_another(client: httpx.AsyncClient, where: str) -> None:
    files = archive(MEMBERS)
    other = await submitted(client, files, labels="folders", max_votes="90", good_enough="none")
    await until(client, other, "finished")
    pair = {"a": where.removeprefix("/jobs/"), "b": other.removeprefix("/jobs/")}
    answer = await client.get("/jobs/compare", params=pair)
    fits(answer.json(), "Comparison")
    assert answer.json()["pairs"][0]["common"] == 2
    asked = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = await client.get("/jobs/compare", params=pair, headers=asked)
    assert page.headers["content-security-policy"] == POLICY
    assert "<svg" in page.text
    picture = await client.get("/jobs/compare", params=pair | {"format": "svg"})
    assert picture.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in picture.headers["content-security-policy"]
    assert picture.text.startswith("<svg")


async def test_a_table_is_streamed_page_by_page(
    app: FastAPI, client: httpx.AsyncClient, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    stream = StreamingResponse.stream_response

    async def counting(self: StreamingResponse, send: object) -> None:
        whole = self.body_iterator

        async def counted():
            async for chunk in whole:
                sent.append(len(chunk))
                yield chunk

        self.body_iterator = counted()
        await stream(self, send)

    monkeypatch.setattr(StreamingResponse, "stream_response", counting)
    answer = await client.get(f"{where}/results?format=zip")
    assert sum(sent) == len(answer.content)
    assert len(sent) > 2
    assert "content-length" not in answer.headers
