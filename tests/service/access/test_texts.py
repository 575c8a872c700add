"""How people write limits, and a key's own checks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access.api_key import ApiKey
from service.access.naming import key_called
from service.access.scopes import SCOPES
from service.access.texts import (
    parse_budget,
    parse_expiry,
    parse_key_rate,
    parse_scopes,
    parse_span,
)
from service.access.words import budget_words, rate_words, when_words
from service.errors import BadRequest, NotFound


def limited(text):
    """A key's own check is for values however they came."""
    return a_key(**parse_budget(text))


NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
PARSERS = [parse_budget, parse_expiry, parse_key_rate, parse_scopes]


def a_key(**fields):
    base = {"id": "0" * 16, "name": "n", "scopes": frozenset({"read"}), "created": NOW}
    return ApiKey(**(base | fields))


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("90d", NOW + timedelta(days=90)),
        (" 12H ", NOW + timedelta(hours=12)),
        ("30min", NOW + timedelta(minutes=30)),
        ("2w", NOW + timedelta(days=14)),
        ("2027-12-31", datetime(2027, 12, 31, 23, 59, 59, 999_999, UTC)),
        ("2027-12-31T18:00", datetime(2027, 12, 31, 18, tzinfo=UTC)),
        ("2027-12-31T18:00+01:00", datetime(2027, 12, 31, 17, tzinfo=UTC)),
        ("never", None),
        ("None", None),
    ],
)
def test_expiry(text, date):
    assert parse_expiry(text, NOW) == date


WRONG_DATES = ["", "soon", "0d", "2025-01-01", "999999y", "-1d", "2027-13-01"]


@pytest.mark.parametrize("text", [*WRONG_DATES, "9999-12-31T23:59:59-14:00"])
def test_dates_that_are_none_or_past(text):
    with pytest.raises(BadRequest) as refused:
        parse_expiry(text, NOW)
    assert refused.value.field == "expires"


def test_the_day_on_which_it_expires_is_still_its_own():
    assert parse_expiry("2026-11-28", NOW) > NOW
    key = a_key(expires=parse_expiry("2026-11-28", NOW))
    assert when_words(key.expires) == "2026-11-28 23:59"


@pytest.mark.parametrize(
    ("parse", "text", "words"),
    [
        (lambda text: parse_expiry(text, NOW), "99999999d", "at most 100 years"),
        (lambda text: parse_span(text, "overlap"), "9" * 40 + "y", "at most 100 years"),
        (limited, "1e30/day", "from 0 to 1,000,000,000"),
        (limited, "9999999999.5", "from 0 to 1,000,000,000"),
        (parse_budget, "0.0000000001/day", "at least a billionth"),
        (parse_budget, "1e-12", "at least a billionth"),
    ],
)
def test_what_is_out_of_range_is_not_said_to_be_written_wrongly(parse, text, words):
    with pytest.raises(BadRequest, match=words):
        parse(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("40", {"budget": 40, "budget_period": "month"}),
        ("$5/day", {"budget": 5, "budget_period": "day"}),
        ("0.5 / total", {"budget": 0.5, "budget_period": "total"}),
        ("0.000000001/day", {"budget": 1e-9, "budget_period": "day"}),
        ("0", {"budget": 0, "budget_period": "month"}),
        ("none", {"budget": None}),
    ],
)
def test_budgets(text, told):
    assert parse_budget(text) == told


def test_limits_are_shown_as_they_were_written():
    for text in ("5/h", "20/h", "7/min", "600/s", "2.5/s", "90/min"):
        shown = rate_words(a_key(rate=parse_key_rate(text)))
        assert shown == {"90/min": "1.5/s"}.get(text, text)
    assert rate_words(a_key(rate=0.123456)) == "7.40736/min"
    for text, shown in (("1e-9/day", "$0.000000001 a day"), ("40", "$40 a month")):
        assert budget_words(a_key(**parse_budget(text))) == shown


def test_rates_and_scopes():
    assert parse_key_rate("600/min") == 10
    assert parse_key_rate("none") is None
    assert parse_scopes(" certify, JOBS") == {"certify", "jobs"}
    for text in ("", "certify,", "certify,fly", "all"):
        with pytest.raises(BadRequest, match="certify"):
            parse_scopes(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_by_name(text):
    fields = {refused_field(lambda parse=parse: parse(text)) for parse in PARSERS}
    assert fields <= {None, "budget", "expires", "rate", "scopes"}
    assert refused_field(lambda: parse_span(text, "overlap")) in (None, "overlap")


def refused_field(parse):
    try:
        parse()
    except BadRequest as refused:
        return refused.field or "none"
    return None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": " \t"},
        {"name": "x" * 101},
        {"name": "a\x1b[2J"},
        {"scopes": frozenset()},
        {"scopes": frozenset({"read", "fly"})},
        {"rate": 0},
        {"rate": float("nan")},
        {"rate": 1e7},
        {"budget": -0.01},
        {"budget": float("inf")},
        {"budget_period": "week"},
    ],
)
def test_values_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(BadRequest) as refused:
        a_key(**wrong)
    assert refused.value.field in wrong


def test_a_key_is_read_as_it_is_described():
    key = a_key(
        scopes=frozenset(SCOPES),
        expires=NOW + timedelta(days=1),
        revoked=NOW,
        overlap=NOW,
        rate=0.5,
        budget=1.25,
        budget_period="total",
    )
    assert ApiKey.of(key.describe()) == key
    assert ApiKey.of(a_key().describe()) == a_key()


def test_it_counts_until_it_expires_or_is_revoked():
    key = a_key(expires=NOW)
    assert key.state(NOW - timedelta(microseconds=1)) == "active"
    assert key.state(NOW) == "expired"
    assert a_key(expires=NOW, revoked=NOW).state(NOW) == "revoked"
    assert a_key().state(NOW) == "active"


def test_keys_are_called_by_id_beginning_or_name():
    one = a_key(id="abcd000000000001", name="ci")
    gone = a_key(id="abcd000000000002", name="ci", revoked=NOW)
    other = a_key(id="dcba000000000003", name="abcd000000000001")
    keys = [one, gone, other]
    assert key_called(keys, "ci") == one  # of several the one that counts
    assert key_called(keys, "dcba") == other
    assert key_called(keys, " ABCD000000000001 ") == one  # no name goes before an id
    assert key_called(keys, gone.id) == gone
    for name in ("abcd", "dcb", "", "nobody"):
        with pytest.raises(BadRequest if name == "abcd" else NotFound):
            key_called(keys, name)
    for name in ("ab", "dcb", ""):
        with pytest.raises(NotFound, match="at least 4 digits of an id"):
            key_called(keys, name)
    for name in ("x", "nobody"):
        with pytest.raises(NotFound, match="apikeys list"):
            key_called(keys, name)
