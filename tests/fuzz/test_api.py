"""A little of Schemathesis over the whole document; `make fuzz` asks for more."""

import asyncio
from typing import Any

import pytest

from service.app import create_app
from service.settings import Settings
from tests.fuzz.api import admin_key, furnish, fuzz
from tests.fuzz.served import served
from tests.service.conftest import SECRET


@pytest.mark.parametrize("keyed", [False, True], ids=["open", "with a key"])
def test_every_answer_is_one_that_the_document_describes(
    small_providers: None, tmp_path: Any, keyed: bool
) -> None:
    place = Settings(
        data_dir=tmp_path, secret=SECRET, provider="half", denoiser="none", max_votes=40
    )
    headers = {"Authorization": f"Bearer {asyncio.run(admin_key(place))}"} if keyed else {}
    app = create_app(place)
    with served(app) as address:
        found = fuzz(address, furnish(address, headers), 1 if keyed else 2, headers=headers)
    assert found.wrong == []
    routes = app.openapi()["paths"].items()
    assert {*found.statuses} == {f"{m.upper()} {path}" for path, methods in routes for m in methods}
    assert all(sum(statuses.values()) for statuses in found.statuses.values())
    assert {200, 404, 422} <= {s for each in found.statuses.values() for s in each}
