"""What a deployment lacks is told to whoever runs it: not to every key that may certify."""

import pytest
from structlog.testing import capture_logs

from tests.service.access.keyed import client_with, kind
from tests.service.conftest import connect
from tests.service.reading import files

LACKS = {"keyless": "set BARE_KEY", "bare": "install surety[bare]"}


async def answers(client, provider):
    """Return the problem of a request, and what GET /providers says of the same provider."""
    asked = await client.post("/certify", files=files(), data={"provider": provider})
    assert (asked.status_code, kind(asked)) == (503, "provider-not-ready")
    (listed,) = [
        entry
        for entry in (await client.get("/providers")).json()["providers"]
        if entry["name"] == provider
    ]
    assert listed["ready"] is False
    return asked.json()["detail"], listed["reason"]


@pytest.mark.parametrize("provider", LACKS)
async def test_what_a_provider_lacks_is_for_admins_and_the_log(app, provider):
    async with client_with(app, "certify", "jobs", "read") as client:
        with capture_logs() as lines:
            told = await answers(client, provider)
    assert told == ("this provider is not set up here",) * 2
    assert LACKS[provider] in str(lines)
    async with client_with(app, "certify", "admin") as client:
        assert await answers(client, provider) == (LACKS[provider],) * 2


async def test_where_no_key_is_needed_everybody_runs_the_deployment(app):
    async with connect(app) as client:
        assert await answers(client, "keyless") == (LACKS["keyless"],) * 2
