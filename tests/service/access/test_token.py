"""The text of a key, and the header that it comes in."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.access.bearer import shown_token, shows_one_of_ours
from service.access.token import PATTERN, Token, scrubbed
from service.errors import Unauthenticated

GOOD = f"surety_{'0123456789abcdef'}_{'ab' * 32}"
ALWAYS = [Unauthenticated(shown=shown) for shown in (True, False)]
words = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=120)


def test_a_new_token_is_read_as_it_is_written():
    token = Token.new()
    assert re.fullmatch(PATTERN, token.text)
    assert Token.of(token.text) == token
    assert Token.new(token.key_id).key_id == token.key_id
    assert len({Token.new().secret for _ in range(100)}) == 100


def test_a_token_never_prints_its_secret():
    token = Token.new()
    assert token.secret not in repr(token)
    assert token.secret not in token.digest
    assert token.secret not in scrubbed(f"/jobs/{token.text}?x={token.text[:60]}")
    assert token.key_id in scrubbed(token.text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "surety_", GOOD[:-1], GOOD + "0", GOOD.upper(), f" {GOOD}", f"{GOOD}\n"),
        GOOD.replace("_", "-"),
        GOOD.replace("a", "٠"),
    ],
)
def test_what_is_no_token(text):
    assert Token.of(text) is None


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_headers_that_show_one(scheme):
    assert shown_token([scheme + GOOD]) == Token.of(GOOD)
    assert shown_token([scheme + GOOD + " "]) == Token.of(GOOD)
    assert shown_token([]) is None


@given(words)
@example("")
@example("Bearer")
@example("Bearer ")
@example(f"Basic {GOOD}")
@example(f"Bearer {GOOD},")
@example(f"Bearer {GOOD} {GOOD}")
@example(f"Bearer\t{GOOD}")
@example("Bearer " + "a" * 100_000)
@example("not know")
def test_every_other_header_is_refused_without_repeating_it(value):
    with pytest.raises(Unauthenticated) as refused:
        shown_token([value])
    said = str(refused.value) + str(refused.value.headers)
    # Hypothesis also tries pieces of the source's own texts, such as of this message.
    assert said in (str(always) + str(always.headers) for always in ALWAYS)


@given(st.lists(words, min_size=2, max_size=4), st.integers(0, 3))
def test_several_headers_are_refused(values, place):
    values.insert(place, f"Bearer {GOOD}")
    with pytest.raises(Unauthenticated):
        shown_token(values)


def test_where_no_key_is_needed_only_ours_are_looked_at():
    assert shows_one_of_ours([f"Bearer {GOOD}"])
    assert shows_one_of_ours(["Bearer surety_broken"])
    assert not shows_one_of_ours(["Basic abc", "Bearer eyJhbGciOi"])
    assert not shows_one_of_ours([])
