"""What a provider said, made fit to be shown."""

import json
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.redaction import LONGEST, redacted

# pragma: allowlist nextline secret
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN+Bgkq/hkiG9w0\nBAQEFAASCBKcw==\n-----END KEY-----\n"


def test_it_is_one_line_and_short():
    assert redacted("  a\n\tb\r\nc  ") == "a b c"
    assert len(redacted("x" * 5000)) == LONGEST
    assert redacted("x" * LONGEST) == "x" * LONGEST
    assert redacted(ValueError("why")) == "why"


def test_nothing_that_a_terminal_would_obey():
    said = redacted("\x1b[2Jred\x00\u202egnp\ud800 ok")
    assert said.isprintable()
    said.encode()
    assert said.startswith("?[2Jred?")


@pytest.mark.parametrize("spell", [str, quote, quote_plus, lambda s: quote(s, safe="")])
def test_secrets_as_they_are_and_in_addresses(spell):
    secret = "wJalr/XUt+nFE MI=%"  # noqa: S105
    said = redacted(f"no access with key={spell(secret)}&x=1", ["", None, secret])
    assert said == "no access with key=***&x=1"
    assert redacted(urlencode({"k": secret}), [secret]) == "k=***"


def test_a_longer_secret_goes_before_one_that_it_holds():
    assert redacted("abc123 abc", ["abc", "abc123"]) == "*** ***"


@pytest.mark.parametrize("said", [KEY, json.dumps({"key": KEY}), repr(KEY), KEY.split("\n")[1]])
def test_a_private_key_however_its_lines_are_broken(said):
    shown = redacted(said, [KEY])
    assert "MIIEv" not in shown
    assert "BAQEF" not in shown


def test_a_secret_that_the_cut_would_halve():
    assert "hunter" not in redacted("x" * (LONGEST - 8) + "hunter2hunter2", ["hunter2hunter2"])


def test_one_secret_given_without_a_list():
    assert redacted("a key", "key") == "a ***"


@given(
    before=st.text(max_size=50),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=40),
    after=st.text(max_size=50),
)
def test_no_secret_is_ever_shown(before, secret, after):
    said = redacted(before + secret + after, [secret])
    assert secret not in said or set(secret) == {"*"}
    assert said.isprintable()
    assert len(said) <= LONGEST
