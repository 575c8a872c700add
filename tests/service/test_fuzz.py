"""Whatever is in the fields: a certificate, or a problem with 4xx; never a 5xx."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.reading import NOTHING, files, left_behind, problem

NUMBERS = st.one_of(
    st.floats(allow_nan=True).map(repr),
    st.floats(0, 3).map(repr),
    st.integers(-5, 70).map(str),
    st.sampled_from(
        ["5e-324", "1e-300", "1e-12", "0.1", "0.25", "0.5", "2", "-0.0", "1e400", "1_0", "+1"]
    ),
    st.text(max_size=8),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=4) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
RULES = st.fixed_dictionaries(
    {"rule": st.sampled_from(["top1", "any_of", "in_top_k"])},
    optional={
        "labels": st.lists(st.sampled_from(["dark", "bright", "", "é"]), max_size=3) | JSON,
        "threshold": st.floats() | JSON,
        "k": st.integers(-2, 2000) | JSON,
    },
)
TEXTS = st.text(max_size=20)


def dumps(value: Any) -> str:
    import json

    return json.dumps(value)


COMMON = {
    "provider": st.sampled_from(["half", "closed", "bad"]) | TEXTS,
    "denoiser": st.just("none") | TEXTS,
    # The exact noise table of a new sigma takes most of the time, so few sound ones.
    "sigma": st.sampled_from(["5e-324", "1e-300", "1e-9", "0.01", "0.25", "2", "2.1", "nan"])
    | TEXTS,
    "alpha": NUMBERS,
    "max_cost": NUMBERS,
    "max_seconds": NUMBERS,
    "size": st.sampled_from(["8", "3x5", "1", "2048x1"]) | TEXTS,
    "encoding": st.sampled_from(["png", "jpeg"]) | TEXTS,
    "rule": RULES.map(dumps) | JSON.map(dumps) | TEXTS,
    "synonyms": st.dictionaries(TEXTS, TEXTS, max_size=3).map(dumps) | JSON.map(dumps) | TEXTS,
}
CERTIFY = COMMON | {
    "target_radius": NUMBERS,
    "max_votes": NUMBERS,
    "good_enough": NUMBERS | st.just("none"),
    "milestone": NUMBERS,
    "label": st.sampled_from(["dark", "zebra", "yes"]) | TEXTS,
}
PREDICT = COMMON | {"n": NUMBERS}


@pytest.fixture
async def app(make_app: Any) -> Any:
    async with make_app(max_votes=60) as running:
        yield running


@pytest.mark.parametrize(("path", "fields"), [("/certify", CERTIFY), ("/predict", PREDICT)])
@given(data=st.data())
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_never_a_5xx(
    app: FastAPI, client: httpx.AsyncClient, path: str, fields: dict[str, Any], data: st.DataObject
) -> None:
    # Few fields at a time, or no request would ever be sound.
    names = data.draw(st.sets(st.sampled_from(sorted(fields)), max_size=4))
    form = {"max_votes" if path == "/certify" else "n": "20"}
    form |= {name: data.draw(fields[name], label=name) for name in sorted(names)}
    before = left_behind(app)
    response = await client.post(path, files=files(), data=form)
    if response.status_code == 200:
        assert response.json()["schema"].startswith("surety.")
    else:
        assert response.status_code < 500, response.text
        problem(response, app)
        assert certificates(left_behind(app)) == certificates(before)
    assert {k: v for k, v in left_behind(app).items() if k in ("runs", "held", "waiting")} == {
        k: v for k, v in NOTHING.items() if k in ("runs", "held", "waiting")
    }


def certificates(left: dict[str, Any]) -> list[str]:
    """Those that are kept; runs that failed are kept too, and others' votes."""
    return [name for name in left["kept"] if name.startswith("certificate:")]
