"""Other people's web pages cannot use the service."""

from typing import Any

import httpx
import pytest

from service.guard import host_names, is_loopback
from tests.service.conftest import connect
from tests.service.reading import files


def problem_type(answer: httpx.Response) -> str:
    return str(answer.json()["type"])


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
        {"host": "evil.example:8000", "origin": "http://evil.example:8000"},
        {"host": "localhost.evil.example"},
        {"host": "[::1"},
        {"host": "[evil]"},
        {"host": "127.0.0.1%evil.example"},
        {"host": "127.0.0.1:x"},
        {"origin": "http://[x"},
    ],
    ids=str,
)
async def test_foreign_requests_are_refused(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.post("/certify", files=files(), headers=headers)
    assert answer.status_code == 403
    assert problem_type(answer) == "/problems/foreign-request"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "localhost:8000", "origin": "http://localhost:8000"},
        {"host": "[::1]:8000"},
        {"host": "127.0.0.2"},
        {"host": "LOCALHOST"},
        {"host": "localhost.", "origin": "http://localhost"},
        {"host": "localhost:80", "origin": "http://localhost"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
    ids=str,
)
async def test_own_requests_are_answered(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    data = {"max_votes": "5"}
    answer = await client.post("/certify", files=files(), data=data, headers=headers)
    assert answer.status_code == 200


async def test_a_rebound_name_can_read_nothing(client: httpx.AsyncClient) -> None:
    assert (await client.get("/runs", headers={"host": "evil.example"})).status_code == 403


CROSS, OPENED = {"sec-fetch-site": "cross-site"}, {"sec-fetch-mode": "navigate"}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {**CROSS, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {**CROSS, "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"},
        {**CROSS, **OPENED, "sec-fetch-dest": "iframe"},
        {**CROSS, **OPENED, "sec-fetch-dest": "embed"},
    ],
    ids=str,
)
async def test_other_pages_may_not_even_look(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for method in ("GET", "HEAD"):
        assert (await client.request(method, "/usage", headers=headers)).status_code == 403
    assert problem_type(await client.get("/usage", headers=headers)) == "/problems/foreign-request"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1"},
        {**CROSS, **OPENED, "sec-fetch-dest": "document"},
        {**CROSS, **OPENED},
        {**CROSS, **OPENED, "sec-fetch-dest": "empty"},  # what a link offers for download
        {"sec-fetch-site": "none", **OPENED, "sec-fetch-dest": "document"},
        {"sec-fetch-site": "same-origin", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"},
    ],
    ids=str,
)
async def test_links_lead_here_from_anywhere(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for path in ("/docs", "/usage", "/problems/not-found"):
        assert (await client.get(path, headers=headers)).status_code == 200


async def test_probes_ask_by_whatever_address_they_know(client: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/health/ready"):
        for host in ("10.1.2.3:8000", "surety.default.svc.cluster.local"):
            assert (await client.get(path, headers={"host": host})).status_code == 200
    for path in ("/health/live/", "/version"):
        assert (await client.get(path, headers={"host": "10.1.2.3:8000"})).status_code == 403


async def test_names_of_a_proxy_are_allowed_by_setting(make_app: Any) -> None:
    names = "surety.example, other.example"
    async with make_app(allowed_hosts=names) as app, connect(app) as client:
        for host, status in (("surety.example", 200), ("evil.example", 403), ("[::1]", 200)):
            assert (await client.get("/version", headers={"host": host})).status_code == status


async def test_on_a_public_address_any_name_will_do(make_app: Any) -> None:
    async with make_app(host="0.0.0.0") as app, connect(app) as client:  # noqa: S104
        answer = await client.get("/version", headers={"host": "anything.example"})
        assert answer.status_code == 200
        foreign = {"host": "anything.example", "origin": "https://evil.example"}
        answer = await client.post("/certify", files=files(), headers=foreign)
        assert answer.status_code == 403


def test_loopback() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1", "LocalHost")))
    assert not any(map(is_loopback, ("", "evil.example", "10.0.0.1", "127.0.0.1.evil.example")))


async def test_the_pages_of_a_proxy_are_our_own(make_app: Any) -> None:
    async with make_app(allowed_hosts="surety.example") as app, connect(app) as client:
        for host in ("127.0.0.1:8000", "surety.example:443", "surety.example"):
            headers = {"host": host, "origin": "https://surety.example"}
            data = {"max_votes": "5"}
            answer = await client.post("/certify", files=files(), data=data, headers=headers)
            assert answer.status_code == 200, host


@pytest.mark.parametrize("text", ["https://a.example", "a.example:8443", "a b", "a/b", "[::1"])
def test_entries_that_would_never_match_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no host name"):
        host_names(text)


def test_entries() -> None:
    names = host_names(" A.Example., 10.0.0.7 ,, fe80::1,*")
    assert names == ["a.example", "10.0.0.7", "fe80::1", "*"]
