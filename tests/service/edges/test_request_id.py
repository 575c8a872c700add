"""The name of a request: in its answer, its problems, its log lines, its run's record."""

import json
import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.service.conftest import connect, serve
from tests.service.reading import EVENTS, files, parse

NAME = "client-7/#(a)[b]{c}|~:;,=+$@!%&*^_."
MADE = re.compile("[0-9a-f]{24}")


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("path", ["/health/live", "/nowhere", "/runs/abc"])
async def test_it_comes_back_whatever_the_answer(
    client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    capsys.readouterr()
    answer = await client.get(path, headers={"X-Request-Id": NAME})
    assert answer.headers.get_list("x-request-id") == [NAME]
    if answer.status_code == 404:
        assert answer.json()["request_id"] == NAME
    (line,) = (found for found in lines(capsys.readouterr().err) if found["event"] == "request")
    assert line["request_id"] == NAME


@pytest.mark.parametrize(
    "bad",
    [
        *(b"", b" ", b"a b", b'a"b', b"a'b", b"a`b", b"a\tb", b"\xc3\xa4", b"\x7f", b"a" * 129),
        b'x", "level": "error',
    ],
)
async def test_one_that_is_not_well_formed_is_replaced(
    client: httpx.AsyncClient, bad: bytes
) -> None:
    answer = await client.get("/health/live", headers=[(b"X-Request-Id", bad)])
    assert MADE.fullmatch(answer.headers["x-request-id"])


async def test_of_two_neither_counts(client: httpx.AsyncClient) -> None:
    twice = [("X-Request-Id", "one"), ("X-Request-Id", "two")]
    answer = await client.get("/health/live", headers=twice)
    assert MADE.fullmatch(answer.headers["x-request-id"])
    again = await client.get("/health/live")
    assert again.headers["x-request-id"] != answer.headers["x-request-id"]


async def test_a_run_has_the_name_of_its_request_everywhere(
    app: FastAPI, live: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = EVENTS | {"X-Request-Id": NAME}
    answer = await live.post("/certify", files=files(), data={"max_votes": "5"}, headers=headers)
    assert answer.headers["x-request-id"] == NAME
    assert parse(answer.text)[-1][0] == "certificate"
    kept = (await live.get(f"/runs/{answer.headers['surety-run']}")).json()
    assert (kept["request_id"], kept["state"]) == (NAME, "ended")


async def test_a_fault_that_is_told_to_the_log_alone_can_be_found_there(
    live: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    answer = await live.post("/certify", files=files(), data={"provider": "failing"})
    name = answer.json()["request_id"]
    assert answer.headers["x-request-id"] == name
    told = [line for line in lines(capsys.readouterr().err) if line["event"] == "broken adapter"]
    assert {line["request_id"] for line in told} == {name}
    assert len({line["run"] for line in told}) == 1


async def test_a_run_that_another_process_takes_up_keeps_it(
    make_app: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = {"provider": "slow", "good_enough": "none", "max_votes": "60"}
    async with make_app() as first, serve(first) as live:
        headers = {"X-Request-Id": NAME, "Prefer": "respond-async"}
        begun = await live.post("/certify", files=files(), data=fields, headers=headers)
        assert begun.status_code == 202
    capsys.readouterr()
    async with make_app() as second, connect(second) as client:
        told: dict[str, Any] = {"outcome": None}
        while told["outcome"] is None:
            told = (await client.get(begun.headers["location"])).json()
    assert told["request_id"] == NAME
    goes_on = [
        line
        for line in lines(capsys.readouterr().err)
        if line["event"] == "an interrupted run goes on"
    ]
    assert [line["request_id"] for line in goes_on] == [NAME]
