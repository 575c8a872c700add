"""A little of Schemathesis over the whole document; `make fuzz` asks for more."""

from typing import Any

from service.app import create_app
from service.settings import Settings
from tests.fuzz.api import furnish, fuzz
from tests.fuzz.served import served
from tests.service.conftest import SECRET


def test_every_answer_is_one_that_the_document_describes(
    small_providers: None, tmp_path: Any
) -> None:
    place = Settings(
        data_dir=tmp_path, secret=SECRET, provider="half", denoiser="none", max_votes=40
    )
    app = create_app(place)
    with served(app) as address:
        found = fuzz(address, furnish(address), 2)
    assert found.wrong == []
    routes = app.openapi()["paths"].items()
    assert {*found.statuses} == {f"{m.upper()} {path}" for path, methods in routes for m in methods}
    assert all(sum(statuses.values()) for statuses in found.statuses.values())
    assert {200, 404, 422} <= {s for each in found.statuses.values() for s in each}
