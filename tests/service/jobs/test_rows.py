"""A row says everything about a picture, and can be had back from what it says."""

import json

import pytest

from service.jobs.rows import COLUMNS, Row

FULL = Row(
    3,
    "cats/ä.png",
    "ab" * 32,
    "failed",
    truth="cat",
    label="cat",
    abstained=False,
    radius=0.25,
    correct=True,
    n=100,
    abstentions=2,
    calls=7,
    retries=1,
    images=101,
    cost=0.15,
    stop_reason="target_reached",
    certificate="c1",
    problem={"type": "about:blank", "title": "T", "detail": "D"},
    seconds=1.5,
)


@pytest.mark.parametrize("row", [FULL, Row(0, "a", "", "waiting")])
def test_a_row_comes_back_from_json(row):
    told = row.describe()
    assert tuple(told) == COLUMNS
    assert Row.of(json.loads(json.dumps(told))) == row


def test_what_is_no_row_is_refused():
    with pytest.raises(TypeError):
        Row.of({**FULL.describe(), "more": 1})
    with pytest.raises(TypeError):
        Row.of({"number": 1})


def test_a_description_is_the_callers_own():
    FULL.describe()["problem"]["title"] = "other"
    assert FULL.problem["title"] == "T"
