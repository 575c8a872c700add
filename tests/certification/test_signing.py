"""Signatures: which documents and keys are accepted, and that the seed never shows."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from certification import signing
from certification.document import canonical
from certification.errors import InvalidParameter
from certification.signing import Outcome, Signer, check_signature, key_id, parse_public_keys

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
DOCUMENT = {"b": [1, 2.5, 1e-7], "a": "Größe", "proof": {"n": 3}}


def other(seed: int) -> Signer:
    return Signer(bytes([seed]) * 32)


def pem(public: bytes) -> str:
    key = Ed25519PublicKey.from_public_bytes(public)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def entry(signer: Signer, **changed) -> dict:
    plain = {"id": signer.key_id, "algorithm": "Ed25519", "public_key": signer.public.hex()}
    return {**plain, "created": "2026-11-24T00:00:00+00:00", "current": True, **changed}


def test_the_key_and_the_signature_are_those_of_the_rfc():
    # RFC 8032 section 7.1, TEST 1, whose message is empty; its public key:
    signer = Signer(SEED)
    assert signer.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signer.key_id == key_id(signer.public) == "21fe31dfa154a261"
    signature = signer.sign(DOCUMENT)["signature"]
    assert list(signature) == ["algorithm", "key_id", "value"]
    value = base64.b64decode(signature["value"])
    Ed25519PublicKey.from_public_bytes(signer.public).verify(value, canonical(DOCUMENT))


def test_a_signed_document_is_accepted_however_its_members_are_ordered():
    signer = Signer(SEED)
    document = json.loads(json.dumps(signer.sign(DOCUMENT), sort_keys=True))
    found = check_signature(document, {signer.key_id: signer.public})
    assert found.outcome is Outcome.GOOD
    assert signer.key_id in found.detail
    assert signer.sign(document) == document  # signing again changes nothing


def test_changed_documents_and_strange_keys_are_told_apart():
    signer, stranger = Signer(SEED), other(7)
    document, keys = signer.sign(DOCUMENT), {signer.key_id: signer.public}
    assert check_signature({**document, "a": "Grösse"}, keys).outcome is Outcome.WRONG
    assert check_signature(document, {}).outcome is Outcome.NO_KEYS
    unknown = check_signature(document, {stranger.key_id: stranger.public})
    assert unknown.outcome is Outcome.UNKNOWN_KEY
    assert signer.key_id in unknown.detail
    assert stranger.key_id in unknown.detail
    assert check_signature(DOCUMENT, keys).outcome is Outcome.UNSIGNED
    # A key under another's name does not become that one.
    swapped = check_signature(document, {signer.key_id: stranger.public})
    assert swapped.outcome is Outcome.UNKNOWN_KEY
    both = check_signature(document, {stranger.key_id: stranger.public, **keys})
    assert both.outcome is Outcome.GOOD


@pytest.mark.parametrize(
    "changed",
    [
        {"algorithm": "ed25519"},
        {"key_id": "21FE31DFA154A261"},
        {"key_id": 5},
        {"value": "AAAA"},
        {"value": None},
        {"value": "ä" * 88},
        {"more": 1},
    ],
    ids=str,
)
def test_a_malformed_signature_is_named(changed):
    signer = Signer(SEED)
    document = signer.sign(DOCUMENT)
    document["signature"] |= changed
    found = check_signature(document, {signer.key_id: signer.public})
    assert found.outcome is Outcome.MALFORMED
    assert "signature" in found.detail


def test_the_unused_bits_of_the_base64_are_no_hiding_place():
    signer = Signer(SEED)
    document = signer.sign(DOCUMENT)
    value = document["signature"]["value"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = value[:85] + alphabet[alphabet.index(value[85]) + 1] + "=="
    assert base64.b64decode(twin) == base64.b64decode(value)
    document["signature"]["value"] = twin
    found = check_signature(document, {signer.key_id: signer.public})
    assert found.outcome is Outcome.MALFORMED


@pytest.mark.parametrize("signature", [None, "x", [], {}])
def test_a_signature_that_is_no_object_is_named(signature):
    document = {**DOCUMENT, "signature": signature}
    assert check_signature(document, {}).outcome is Outcome.MALFORMED


def test_the_seed_does_not_show():
    signer = Signer(SEED)
    for text in (repr(signer), str(signer), f"{signer}", json.dumps(signer.sign(DOCUMENT))):
        assert SEED.hex() not in text
        assert SEED.hex()[:8] not in text
    with pytest.raises(InvalidParameter, match="32 bytes") as caught:
        Signer(SEED[:31])
    assert SEED.hex()[:8] not in str(caught.value)


def test_what_has_no_canonical_form_is_not_signed():
    with pytest.raises(InvalidParameter, match="no canonical form"):
        Signer(SEED).sign({"a": float("nan")})


def test_keys_are_read_in_every_form_in_which_they_are_given():
    one, two = Signer(SEED), other(2)
    both = {one.key_id: one.public, two.key_id: two.public}
    assert parse_public_keys(f"  {one.public.hex().upper()}\n") == {one.key_id: one.public}
    assert parse_public_keys(f"{one.public.hex()}\n{two.public.hex()}") == both
    assert parse_public_keys(pem(one.public)) == {one.key_id: one.public}
    assert parse_public_keys((pem(one.public) + pem(two.public)).encode()) == both
    served = json.dumps({"keys": [entry(one), entry(two, current=False)]}, indent=1)
    assert parse_public_keys(served) == both


def bad_keys():
    one = Signer(SEED)
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    yield "nothing", ""
    yield "short", "ab" * 31
    yield "no digits", "xy" * 32
    yield "no text", b"\xff\xfe"
    yield "long", "ab" * (32 * 10_000)
    yield "no list", '{"keys": {}}'
    yield "no keys", '{"keys": []}'
    yield "no JSON", '{"keys": ['
    yield "deep", '{"keys":' + "[" * 100_000
    yield "surrogate", '{"keys": "\ud800"}'
    yield "no entry", '{"keys": [5]}'
    yield "wrong id", json.dumps({"keys": [entry(one, id="0" * 16)]})
    yield "other algorithm", json.dumps({"keys": [entry(one, algorithm="RSA")]})
    yield "short hex", json.dumps({"keys": [entry(one, public_key="ab")]})
    yield "cut PEM", pem(one.public)[:60]
    yield "damaged PEM", pem(one.public).replace("MCow", "MCox")
    yield (
        "private",
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )
    curve = generate_private_key(SECP256R1()).public_key()
    yield "curve", curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    "part",
    ["-----BEGIN A-----", "-----BEGIN A-----\n", "-----BEGIN A----------END B-----", "-----"],
)
def test_a_pem_without_an_end_takes_no_time(part, in_time, monkeypatch):
    """Whoever has any key can send one to POST /verify: nothing may be quadratic."""
    monkeypatch.setattr(signing, "MOST_KEYS_BYTES", 2**30)
    text = "-----BEGIN A-----" + part * (4 * 2**20 // len(part))
    with pytest.raises(InvalidParameter, match="its PEM has no end"):
        parse_public_keys(text)


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in bad_keys()])
def test_what_is_no_key_is_refused_in_words(text):
    with pytest.raises(InvalidParameter) as caught:
        parse_public_keys(text)
    assert caught.value.field == "key"
    assert len(str(caught.value)) < 300
    if isinstance(text, str) and "PRIVATE" in text:
        assert "private" in str(caught.value)
        assert text.splitlines()[1] not in str(caught.value)
