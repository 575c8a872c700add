"""Rates as people write them."""

import pytest

from service.errors import BadRequest
from service.jobs.rate_text import parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20", 20.0),
        ("20/s", 20.0),
        (" 2.5 / second ", 2.5),
        ("600/min", 10.0),
        ("600/M", 10.0),
        ("7200/h", 2.0),
    ],
)
def test_it_is_read(text, rate):
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["", "fast", "-1", "1e3", "20/", "20/day", "20 s", "nan", "٣"])
def test_what_is_none_is_refused(text):
    with pytest.raises(BadRequest) as refused:
        parse_rate(text)
    assert refused.value.field == "rate"
