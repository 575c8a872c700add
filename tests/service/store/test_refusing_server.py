"""A server that does not know the deployment's user, or permits it too little."""

import asyncio
import re
from pathlib import Path

import pytest
import redis

from service.errors import ConfigurationError, StoreDenied
from service.housekeeping import clean
from service.settings import Settings
from service.state import State
from service.store.scripts import SCRIPTS
from tests.service.conftest import connect
from tests.service.pictures import png
from tests.service.reading import EVENTS, problem, slug

PASSWORD, OTHER = "s3same-0pen", "wr0ng-0ne"
EVERY = ("~*", "&*", "+@all")
DOCS = Path(__file__).parents[3] / "docs" / "ledgers.md"
(DOCUMENTED,) = re.findall("ACL SETUSER surety .*", DOCS.read_text("utf-8"))
CASES = {
    "password": (OTHER, EVERY),
    "user": (PASSWORD, None),
    "commands": (PASSWORD, (*EVERY, "-evalsha")),
    "writes": (PASSWORD, (*EVERY, "-@write")),
    "one command in scripts": (PASSWORD, (*EVERY, "-zadd")),
    "keys": (PASSWORD, ("~another:*", "&*", "+@all")),
}


@pytest.fixture
def strict(server):
    """Give the address of a server of this test's own, and what its administrator does."""
    path = server.start()
    with redis.Redis(unix_socket_path=path) as admin:
        yield path, admin.execute_command


def permit(order, rules, password=PASSWORD):
    order("ACL", "SETUSER", "u", "reset", "on", f">{password}", *rules)


@pytest.mark.parametrize("case", CASES)
async def test_a_start_says_that_the_setting_is_wrong(case, strict, tmp_path):
    (path, order), (password, rules) = strict, CASES[case]
    if rules is not None:
        permit(order, rules)
    url = f"unix://u:{password}@{path}"
    with pytest.raises(ConfigurationError, match="SURETY_REDIS_URL") as refused:
        await State.open(Settings(data_dir=tmp_path, redis_url=url))
    said = str(refused.value)
    assert "refuses the user, the password or the permissions" in said
    assert not any(secret in said for secret in (PASSWORD, OTHER, str(path)))
    assert order("KEYS", "*") == []


@pytest.mark.parametrize("url", ["redis://u:s3same/0pen@host", "redis://u:x@host:s3same", "s3same"])
async def test_an_address_that_is_none_is_not_repeated(url, tmp_path):
    with pytest.raises(ConfigurationError, match="SURETY_REDIS_URL is no address") as refused:
        await State.open(Settings(data_dir=tmp_path, redis_url=url))
    assert "s3same" not in str(refused.value)


async def test_later_on_requests_and_runs_are_told(strict, make_app):
    path, order = strict
    permit(order, EVERY)
    async with (
        make_app(redis_url=f"unix://u:{PASSWORD}@{path}", redis_prefix="x:") as app,
        connect(app) as client,
    ):
        form = {"provider": "slow", "good_enough": "none"}
        files = {"image": ("p.png", png())}
        asking = client.post("/certify", files=files, data=form, headers=EVENTS)
        going_on = asyncio.ensure_future(asking)
        runs = app.state.running.runs
        while not any(run.latest and run.latest.n > 3 for run in runs.list()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        permit(order, EVERY, OTHER)
        order("CLIENT", "KILL", "USER", "u")
        assert "store-refuses" in (await going_on).text  # it does not wait for ever
        answer = await client.get("/certificates")
        assert slug(problem(answer, app)) == "store-refuses"
        assert answer.status_code == 503
        assert not any(secret in answer.text for secret in (PASSWORD, OTHER, str(path)))
        state = app.state.surety.state
        with pytest.raises(StoreDenied, match="password"):
            await state.store.patient(lambda redis: redis.ping())
        permit(order, EVERY)
        assert (await client.get("/certificates")).status_code == 200


async def test_the_permissions_that_the_docs_name_are_enough(strict, make_app):
    path, order = strict
    order(*DOCUMENTED.replace("PASSWORD", PASSWORD).split())
    async with (
        make_app(redis_url=f"unix://surety:{PASSWORD}@{path}", redis_prefix="surety:") as app,
        connect(app) as client,
    ):
        files = {"image": ("p.png", png())}
        answer = await client.post("/certify", files=files, data={"max_votes": "5"})
        assert answer.status_code == 200
        found = (await client.get("/certificates")).json()["certificates"]
        assert [one["id"] for one in found] == [answer.json()["id"]]
        state = app.state.surety.state
        assert len(await state.ledgers.subjects()) == 1
        order("CONFIG", "SET", "maxmemory", "50mb")
        assert (await state.store.memory())["most"] == 50 * 2**20
        order("ACL", "SETUSER", "surety", "-info")  # as the documents were before
        assert await state.store.memory() == {}
        assert await clean(state, Settings(keep_certificates_most=1, keep_runs_most=0)) == {
            "images": 0,
            "runs": 1,
            "certificates": 0,
            "jobs": 0,
            "usage": 0,
            "uploads": 0,
        }


def test_a_start_tries_every_command_of_the_scripts():
    def commands(text):
        return set(re.findall(r"redis\.call\('([A-Z]+)'", text))

    missing = set().union(*map(commands, SCRIPTS.values())) - commands(SCRIPTS["probe"])
    assert not missing, "add them to scripts/probe.lua"
