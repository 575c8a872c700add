"""The dated table of prices and limits."""

import datetime
import tomllib
from pathlib import Path

import adapters.facts
from adapters.facts import Facts, table
from certification.protocols import Traits

CLOUDS = {"aws", "azure", "azure-v32", "google", "clarifai"}


def test_every_cloud_has_a_row_and_an_adapter():
    assert set(table()) == CLOUDS
    project = tomllib.loads(Path("pyproject.toml").read_text())
    assert set(project["project"]["entry-points"]["surety.adapters"]) >= CLOUDS


def test_each_row_says_when_and_where_it_was_looked_up():
    for row in table().values():
        assert isinstance(row.as_of, datetime.date)
        assert row.source.startswith("https://")
        assert 0 < row.price < 0.1
        assert row.rate is None or row.rate > 0
        assert row.rate_note
        assert row.unit in ("image", "request")
        assert row.rate_unit in ("image", "request")


def test_a_row_gives_traits():
    traits = Traits(**table()["google"].traits())
    assert (traits.price, traits.rate, traits.rate_unit) == (0.0015, 30.0, "image")
    unknown = Facts(datetime.date(2026, 1, 1), 0.1, "https://example.com")
    assert Traits(**unknown.traits()).rate is None


def test_it_is_read_once():
    assert adapters.facts.table() is table()
