"""What `surety verify` refuses, signed with the right key, the verifier in docs/ refuses too."""

import copy
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certification.document import canonical
from certification.errors import InvalidParameter
from certification.signing import parse_public_keys
from certification.verifying import verify
from tests.certification.papers import KEYS, SIGNER, paper, signed
from tests.docs.test_verifier import verdict, verifier

ABSENT = object()


def changed(way, *changes):
    """Return a certificate with other members; the hashes and the signature are right."""
    document = copy.deepcopy(paper(way).document)
    for path, value in changes:
        *above, last = path.split(".")
        place = document
        for name in above:
            place = place[name]
        place[last] = value
        if value is ABSENT:
            del place[last]
    proof = document["proof"]
    proof["subject_sha256"] = verifier.sha256(canonical(proof["subject"]))
    return signed(document)


def both_refuse(text, **enclosed):
    return verdict(text, **enclosed) is not None and not verify(text, keys=KEYS).verified


DIGESTS = (
    "proof.noise.key_sha256",
    "proof.votes.sha256",
    "image.source.sha256",
)
TEXTS = (
    "software.name",
    "software.version",
    "proof.subject.compute",
    "proof.subject.provider.name",
    "image.source.format",
    "image.source.mode",
)
OBJECTS = (
    "proof.subject.denoiser",
    "proof.subject.postprocess",
    "proof.subject.rule",
    "proof.subject.label_map",
    "proof.subject.provider",
    "proof.subject.provider.options",
)
WHOLE = (
    "accounting.calls",
    "accounting.images",
    "accounting.retries",
    "accounting.votes_reused",
    "image.source.width",
    "image.source.height",
    "request.max_votes",
)
NUMBERS = (
    "accounting.cost",
    "accounting.seconds",
    "request.max_cost",
    "request.target_radius",
    "request.good_enough",
)
OTHER_KINDS = [
    *((path, value) for path in DIGESTS for value in (None, 7, "", "0" * 63, "G" * 64, "A" * 64)),
    *((path, value) for path in TEXTS for value in (None, 7, [], "x" * 65_537)),
    *((path, value) for path in OBJECTS for value in (None, 7, "cat", [], ["cat"])),
    *((path, value) for path in WHOLE for value in (-1, 400.5, True, "400", [])),
    *((path, value) for path in NUMBERS for value in (-1, True, "0.5", [])),
    *(("proof.subject.rerolls", value) for value in (None, {}, [], 1)),
    ("proof.subject.rerolls", {"count": 0, "alpha_spent": 0.1}),
    ("proof.subject.rerolls", {"count": 0, "alpha_spent": -1}),
    ("proof.subject.rerolls", {"count": 1, "alpha_spent": -1}),
    ("proof.subject.rerolls", {"count": True, "alpha_spent": 0.1}),
    ("proof.subject.rerolls", {"count": 1, "alpha_spent": "0.1"}),
    ("proof.subject.rerolls", {"count": 1}),
    ("proof.subject.label_map", {"in": 1}),
    ("proof.subject.provider.adapter", None),
    ("proof.subject.provider.more", 1),
    ("proof.subject.provider.model_version", 1),
    ("proof.subject.provider.model_version", ABSENT),
    *(("proof.confidence.method", value) for value in (None, "", "Clopper-Pearson", [])),
    *(("proof.confidence.milestone", value) for value in (0, "", False, [])),
    ("proof.confidence.named_label", 1),
    *(("created", value) for value in (None, 7, "", "yesterday", "2026-11-24T00:00:00", [])),
    *(("image.steps", value) for value in (None, "", {}, [1], [None])),
    ("image.source.name", 1),
    ("accounting.currency", "EUR"),
    ("accounting.currency", None),
    ("accounting.cost_before_interruption_at_most", None),
    ("accounting.cost_before_interruption_at_most", -1),
]


def test_members_that_may_be_there():
    text = changed(
        "abstained",
        ("proof.subject.rerolls", {"count": 1, "alpha_spent": 0.002}),
        ("proof.subject.provider.adapter", "1"),
        ("accounting.cost_before_interruption_at_most", 0.5),
    )
    assert verdict(text) is None
    assert verify(text, keys=KEYS).verified


@pytest.mark.parametrize(("path", "value"), OTHER_KINDS)
def test_members_of_another_kind(path, value):
    """Of one that abstains: nothing else of it rests on them."""
    assert both_refuse(changed("abstained", (path, value)))


def test_names_that_are_no_text():
    names = dict.fromkeys(paper("abstained").document["label_names"], 1)
    assert both_refuse(changed("abstained", ("label_names", names)))


@pytest.mark.parametrize("zero", "0٠")
@pytest.mark.parametrize("name", ["alpha", "sigma"])
def test_numbers_that_are_written_as_text(name, zero):
    """Python's float() reads them, digits of other scripts included."""
    plain = str(paper("plain").document["proof"][name])
    text = plain.translate({ord("0") + k: ord(zero) + k for k in range(10)})
    assert float(text) == float(plain)
    where = ["proof.alpha"] if name == "alpha" else ["proof.sigma", "proof.subject.sigma"]
    assert both_refuse(changed("plain", *((path, text) for path in where)))


@pytest.mark.parametrize("size", ["width", "height"])
def test_true_is_no_size(size):
    both = [(f"image.{size}", 1), (f"proof.subject.image.{size}", True)]
    assert both_refuse(changed("abstained", *both))


@pytest.mark.parametrize("way", ["plain", "abstained"])
@pytest.mark.parametrize("off", [1 - 1e-7, 1 + 1e-7, 1 + 1e-10])
def test_another_margin(way, off):
    margin = paper(way).document["proof"]["confidence"]["margin"]
    assert both_refuse(changed(way, ("proof.confidence.margin", margin * off)))


def test_it_goes_by_its_own_margin(monkeypatch):
    seen = []
    monkeypatch.setattr(verifier, "justified", lambda proof, margin: seen.append(margin) or True)
    margin = paper("plain").document["proof"]["confidence"]["margin"]
    other = margin * (1 + 1e-14)
    assert other != margin
    assert verdict(changed("plain", ("proof.confidence.margin", other))) is None
    assert seen == [margin]


@pytest.mark.parametrize("last", ["1200.0", "12e2"])
def test_a_whole_number_that_is_written_as_another(last):
    """The canonical form, which is signed, is that of 1200."""
    text = json.dumps(paper("plain").document, indent=1)
    assert verdict(text.encode()) is None
    assert both_refuse(text.replace('"last": 1200', f'"last": {last}').encode())


def test_counts_in_a_list():
    none = {**paper("abstained").document["proof"]["votes"], "n": 0, "counts": [], "abstentions": 0}
    sentence = "No label could be certified at confidence 99.9 % from 0 votes."
    one = changed("abstained", ("proof.votes", none), ("label_names", {}), ("statement", sentence))
    assert both_refuse(one)


def test_what_is_too_deep_or_too_long():
    deep = 1
    for _ in range(61):
        deep = [deep]
    assert verdict(changed("plain", ("proof.subject.rule", {"rule": deep[0]}))) is None
    for rule in ({"rule": [deep]}, {"rule": "x" * 2**22}, {"rule": [0] * 10**6}):
        assert both_refuse(changed("plain", ("proof.subject.rule", rule)))


# ------------------------------------------------------------------------------------- keys


def pem(public):
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def listed(**other):
    entry = {"id": SIGNER.key_id, "algorithm": "Ed25519", "public_key": SIGNER.public.hex()}
    return json.dumps({"keys": [{k: v for k, v in (entry | other).items() if v is not ABSENT}]})


def test_a_key_of_the_service_is_read():
    assert verifier.read_keys(listed(current=True)) == [SIGNER.public]
    assert verifier.read_keys(SIGNER.public.hex().upper() + "\n") == [SIGNER.public]


NO_KEYS = {
    "x25519": lambda: pem(X25519PrivateKey.generate().public_key()),
    "rsa": lambda: pem(generate_private_key(65537, 2048).public_key()),
    "damaged": lambda: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
    "algorithm": lambda: listed(algorithm="RSA"),
    "no algorithm": lambda: listed(algorithm=ABSENT),
    "id": lambda: listed(id="0" * 16),
    "no id": lambda: listed(id=ABSENT),
    "short": lambda: listed(public_key="00" * 31),
    "number": lambda: listed(public_key=7),
    "twice": lambda: listed()[:-1] + ', "keys": []}',
    "spaces": lambda: SIGNER.public.hex(" "),
    "list": lambda: '{"keys": 7}',
}


@pytest.mark.parametrize("name", NO_KEYS)
def test_what_is_no_key(name):
    text = NO_KEYS[name]()
    with pytest.raises(verifier.Wrong):
        verifier.read_keys(text)
    with pytest.raises(InvalidParameter):
        parse_public_keys(text)


@pytest.mark.parametrize("digest", ["0" * 64, None])
def test_a_noise_key_that_contradicts_itself(digest):
    one = paper("plain")
    document = one.document["proof"]
    file = {
        "schema": "surety.noise-key/1",
        "subject_sha256": document["subject_sha256"],
        "key": one.noise_key.hex(),
        "key_sha256": document["noise"]["key_sha256"],
        "sealed": "2026-11-24T00:00:00+00:00",
    }
    assert verdict(one.text, noise_key=json.dumps(file)) is None
    text = json.dumps(file | {"key_sha256": digest})
    assert verdict(one.text, noise_key=text).startswith("noise")
    assert not verify(one.text, keys=KEYS, noise_key=text.encode()).verified
