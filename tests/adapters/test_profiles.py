"""Profiles: read from the operator's file, and what is wrong in one is named, never shown."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from adapters.errors import NotConfigured
from adapters.profile import Profile
from adapters.profiles import Profiles, read_profiles


@pytest.fixture
def file(tmp_path):
    return tmp_path / "providers.toml"


def test_tables_by_name_as_written(file):
    file.write_text('[mine]\nadapter = "aws"\nprice = 0.5\n[aws]\nrate = 3\n')
    profiles = read_profiles(file)
    assert dict(profiles) == {"mine": {"adapter": "aws", "price": 0.5}, "aws": {"rate": 3}}
    assert profiles.folder == file.parent.resolve()
    assert len(Profiles()) == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[mine", "is no TOML"),
        (b'[mine]\nkey = "\xff"', "is no TOML"),
        (b'key = "hunter2"\n[mine]', "'key' stands outside a table"),
        (b"[[mine]]\nprice = 1", "'mine' stands outside a table"),
        (b"x = " + b"[" * 100_000, "is no TOML"),
    ],
)
def test_a_file_that_holds_something_else(file, text, says):
    file.write_bytes(text)
    with pytest.raises(NotConfigured, match=says) as caught:
        read_profiles(file)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_there(file):
    with pytest.raises(NotConfigured, match="cannot be read: No such file"):
        read_profiles(file)


def test_relative_paths_count_from_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    for given, found in [
        ("labels.csv", tmp_path / "labels.csv"),
        ("/srv/labels.csv", Path("/srv/labels.csv")),
        ("~/labels.csv", Path("/home/somebody/labels.csv")),
    ]:
        profile = Profile.model_validate({"label_map": given}, context={"folder": tmp_path})
        assert profile.label_map == found
    assert Profile(label_map="labels.csv").label_map == Path("labels.csv")


def test_a_home_folder_that_nobody_has_is_a_wrong_field():
    with pytest.raises(ValidationError, match="no home folder"):
        Profile(label_map="~nobody-of-this-name/labels.csv")


@pytest.mark.parametrize(
    "table",
    [
        {"price": -1},
        {"price": float("nan")},
        {"rate": 0},
        {"rate": float("inf")},
        {"rate_unit": "week"},
        {"concurrency": 0},
        {"concurrency": 5000},
        {"timeout": 0},
        {"timeout": 10**6},
        {"ratte": 5},
    ],
)
def test_figures_outside_their_range(table):
    with pytest.raises(ValidationError):
        Profile.model_validate(table)
