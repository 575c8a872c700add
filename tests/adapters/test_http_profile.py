"""What a profile of an endpoint may say, and what it means for the certificate."""

import json

import pytest
from pydantic import ValidationError

from adapters import registry
from adapters.errors import (
    NotConfigured,
)
from adapters.http import HttpAdapter
from adapters.http_profile import HttpProfile
from adapters.profiles import Profiles
from tests.adapters.http_endpoints import PLAIN, SECRET, URL, made


def test_without_a_profile_it_says_how_to_write_one():
    with pytest.raises(NotConfigured, match="SURETY_PROVIDERS_FILE"):
        HttpAdapter()
    with pytest.raises(NotConfigured, match=r"adapter = \"http\""):
        registry.load("http")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "ftp://example.com/x"}, "http://"),
        ({"url": "/v1/classify"}, "http://"),
        # pragma: allowlist nextline secret
        ({"url": "https://me:pw@example.com/"}, "no user or password"),
        ({"url": "https://${HOST}/"}, "no variables"),
        ({"url": "https://example.com/#x"}, "fragment"),
        ({"url": "https://example.com/a b"}, "spaces"),
        ({"url": "https://example.com:99999/"}, "[Pp]ort"),
        ({"method": "GET"}, "POST"),
        ({"headers": {"Host": "other"}}, "by the service itself"),
        ({"headers": {"X Y": "1"}}, "no name of a header"),
        ({"body": "json"}, "needs a template"),
        ({"template": {"a": "{image}"}}, "the others take none"),
        ({"body": "json", "template": {"a": "b"}}, "exactly once"),
        ({"body": "json", "template": ["{image}", "{image}"]}, "exactly once"),
        ({"body": "json", "template": {"a": "{image}"}, "max_batch": 2}, "list of one entry"),
        ({"max_batch": 2}, "reply.results"),
        ({"fields": {"a": "b"}}, "multipart"),
        (
            {"body": "multipart", "headers": {"content-type": "image/png"}},
            "the others set their own",
        ),
        ({"refused_statuses": [200]}, "from 400 to 599"),
        ({"refused_statuses": [429]}, "cannot both"),
        ({"size": [0, 5]}, "height, width"),
        ({"reply": {}}, "exactly one of"),
        ({"reply": {"label": "a", "labels": ["b"]}}, "exactly one of"),
        ({"reply": {"label": "a[*]"}}, "needs a score"),
        ({"reply": {"label": "a[*]", "score": "b"}}, "all hold"),
        ({"reply": {"labels": ["a"], "score": "b"}}, r"score with \[\*\]"),
        ({"reply": {"by_label": "a", "score": "b"}}, "brings its scores"),
        ({"reply": {"by_label": "a[*]"}}, r"takes no \[\*\]"),
        ({"reply": {"by_label": "a", "id": "b"}}, "goes with label"),
        ({"reply": {"label": "a", "version": "v", "version_header": "V"}}, "not both"),
        ({"reply": {"label": "a", "refused_errors": ["x"]}}, "needs error"),
        ({"reply": {"label": "a[*].b[*]", "score": "c[*]"}}, "at most once"),
        ({"reply": {"label": "a", "score_scale": 10}}, "1 or 100"),
        ({"unknown": 1}, "[Ee]xtra"),
    ],
)
def test_a_profile_that_cannot_work_is_refused(fields, says):
    with pytest.raises(ValidationError, match=says):
        HttpProfile.model_validate({"url": URL, "reply": PLAIN, **fields})


@pytest.mark.parametrize("value", ["$KEY", "${KEY", "${}", "${KEY:-x}", "${1}", "a $", "$(KEY)"])
def test_other_ways_to_write_a_variable_are_refused(value):
    with pytest.raises(NotConfigured, match=r"headers\.X: write \$\{NAME\}"):
        made(headers={"X": value})


def test_all_missing_variables_are_named(monkeypatch):
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(NotConfigured, match=r"ONE_X \(for headers\.X\), EMPTY \(for query\.q\)"):
        made(headers={"X": "${ONE_X}"}, query={"q": "${EMPTY}"})
    with pytest.raises(NotConfigured, match=r"TWO_X \(for template\.deep\.key\)"):
        made(body="json", template={"i": "{image}", "deep": {"key": "${TWO_X}"}})


def test_values_that_cannot_be_sent_are_refused_without_being_shown(monkeypatch):
    monkeypatch.setenv("KEY", f"{SECRET}\nX-Other: 1")
    with pytest.raises(NotConfigured, match="KEY holds a line break") as caught:
        made(headers={"X": "${KEY}"})
    assert SECRET not in str(caught.value)
    monkeypatch.setenv("KEY", f"{SECRET}é")
    with pytest.raises(NotConfigured, match="printable ASCII") as caught:
        made(headers={"X": "${KEY}"})
    assert SECRET not in str(caught.value)
    with pytest.raises(NotConfigured, match="proxy must be an address"):
        made(proxy="socks5://x")


def test_a_secret_written_into_the_profile_is_not_shown_either():
    fields = {"url": URL, "reply": PLAIN, "headers": {"Bad Name": SECRET}}
    with pytest.raises(ValidationError) as caught:
        HttpProfile.model_validate(fields)
    assert SECRET not in str(caught.value)
    fields["headers"] = {"Authorization": SECRET}
    assert SECRET not in repr(HttpProfile.model_validate(fields))
    with pytest.raises(NotConfigured) as caught:
        registry.load("x", Profiles({"x": {"adapter": "http", "url": f"ftp://{SECRET}"}}))
    assert SECRET not in str(caught.value)


def test_options_name_what_shapes_answers_and_no_secret(monkeypatch, tmp_path):
    monkeypatch.setenv("KEY", SECRET)
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    reply = {"labels": str(tmp_path / "labels.txt"), "score": "scores[*]"}
    one = made(headers={"X": "${KEY}"}, reply=reply)
    assert one.traits.labels == ("cat", "dog")
    assert set(one.options) == {"request_sha256", "reply", "refused_statuses", "labels_sha256"}
    assert one.options["reply"] == {"score": "scores[*]"}
    assert SECRET not in json.dumps(one.options) + one.account + repr(vars(one)["_profile"])
    account = one.account
    monkeypatch.setenv("KEY", "another")
    two = made(headers={"X": "${KEY}"}, reply=reply)
    assert two.options == one.options
    assert two.account != account
    for change in ({"url": URL + "2"}, {"method": "PUT"}, {"query": {"a": "b"}}):
        assert made(headers={"X": "${KEY}"}, reply=reply, **change).options != one.options
    (tmp_path / "labels.txt").write_text('["cat", "cow"]')
    assert made(headers={"X": "${KEY}"}, reply=reply).options != one.options


def test_traits_come_from_the_profile():
    traits = made(
        size=[224, 192],
        min_side=50,
        max_side=900,
        max_pixels=10**6,
        max_bytes=10**7,
        unit="request",
    ).traits
    assert traits.input_size == (224, 192)
    assert (traits.min_side, traits.max_side) == (50, 900)
    assert (traits.max_pixels, traits.max_bytes, traits.unit) == (10**6, 10**7, "request")
    assert traits.labels is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        (b"", "are empty"),
        (b"cat\n\ndog\n", "number 2 is empty"),
        (b'["cat"', "JSON list"),
        (b'["cat", 1]', "number 2"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_label_files_that_cannot_be_used(tmp_path, content, says):
    path = tmp_path / "labels.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NotConfigured, match=f"labels.txt.*{says}"):
        made(reply={"labels": str(path), "score": "s[*]"})
