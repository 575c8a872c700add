"""Checking a certificate: what holds passes, and whatever is changed is found and named."""

import copy
import dataclasses
import hashlib
import io
import json
import random

import numpy as np
import pytest
from PIL import Image

from certification import noise
from certification.certificate import votes_sha256
from certification.checks.votes import build
from certification.confidence import ConfidenceProcess
from certification.document import canonical
from certification.errors import InvalidParameter
from certification.verifying import LEVELS, Report, rebuild, verify
from tests.certification.papers import (
    KEYS,
    LIES,
    SIGNER,
    STRANGER,
    WAYS,
    Paper,
    enclosures,
    make,
    mended,
    paper,
    png,
    signed,
)
from tests.certification.worlds import World, half_space

ALL_BUT_PROVIDER = set(LEVELS) - {"provider"}


def levels(report: Report, status: str) -> set[str]:
    return {check.level for check in report.checks if check.status == status}


def changed(way: str, **members) -> dict:
    return copy.deepcopy(paper(way).document) | members


@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_passes_every_level(way):
    one = paper(way)
    report = verify(one.text, keys=KEYS, **enclosures(one))
    assert [check.level for check in report.checks] == list(LEVELS)
    assert levels(report, "passed") == ALL_BUT_PROVIDER, report.checks
    assert report.verified
    assert one.document["proof"]["abstained"] is (way == "abstained")
    told = report.describe()
    assert told["verified"] is True
    assert told["certificate"] == one.document["id"]
    assert json.loads(json.dumps(told)) == told
    assert "surety audit" in report.of("provider").detail


def test_what_the_papers_are_good_for():
    milestone = paper("milestone").document["proof"]["confidence"]
    assert milestone["look"]["by"] == "milestone"
    assert paper("unnamed").document["proof"]["confidence"]["named_label"] is None
    assert paper("refusals").document["proof"]["votes"]["abstentions"] > 0
    assert b'"alpha":1e-7' in paper("tiny alpha").text
    assert paper("truth").document["truth"] == {"label": " Inside ", "correct": True}


def test_without_enclosures_the_levels_say_what_is_missing():
    report = verify(paper("plain").text)
    assert levels(report, "not checked") == {"signature", "image", "votes", "noise", "provider"}
    assert levels(report, "passed") == {"form", "radius"}
    assert not report.verified  # nobody has vouched for it
    assert "no public key" in report.of("signature").detail
    for level in ("image", "votes", "noise"):
        assert "not given" in report.of(level).detail


@pytest.mark.parametrize("text", [{"indent": 2}, {"separators": (", ", ": ")}])
def test_spacing_and_order_do_not_matter(text):
    document = dict(sorted(paper("tiny alpha").document.items(), reverse=True))
    assert verify(json.dumps(document, **text).encode(), keys=KEYS).verified


def mutated(data: bytes, place: int, luck: random.Random) -> bytes:
    other = luck.choice([b for b in range(256) if b != data[place]])
    # Half of the time something that may still be JSON.
    if luck.random() < 0.5:
        near = [b for b in b'0123456789abcdefeE.+-"ntz ' if b != data[place]]
        other = luck.choice(near)
    return data[:place] + bytes([other]) + data[place + 1 :]


@pytest.mark.parametrize(("way", "step"), [("truth", 1), ("unnamed", 3)])
def test_any_changed_byte_of_a_certificate_is_found(way, step):
    text, luck = paper(way).text, random.Random(1)
    read = 0
    for place in range(0, len(text), step):
        report = verify(mutated(text, place, luck), keys=KEYS)
        assert not report.verified, place
        assert report.failed[0].detail
        read += report.certificate is not None
    assert read > len(text) / step / 8  # not all of them were no JSON any more


def test_any_changed_byte_of_the_votes_is_found():
    one, luck = paper("truth"), random.Random(2)
    assert verify(one.text, votes=one.votes).of("votes").status == "passed"
    for place in range(len(one.votes)):
        found = verify(one.text, votes=mutated(one.votes, place, luck)).of("votes")
        assert found.status == "failed", place
        assert found.detail


def test_bytes_taken_away_or_added_are_found():
    text = paper("plain").text
    for place in range(0, len(text), 37):
        assert not verify(text[:place], keys=KEYS).verified
        assert not verify(text[:place] + text[place + 1 :], keys=KEYS).verified
        assert not verify(text[:place] + b"0" + text[place:], keys=KEYS).verified
    assert not verify(text + text, keys=KEYS).verified


@pytest.mark.parametrize("name", LIES)
def test_a_lie_signed_with_the_right_key_is_found(name):
    way, lie, level, words = LIES[name]
    document = copy.deepcopy(paper(way).document)
    lie(document)
    report = verify(mended(document), keys=KEYS)
    assert report.of("signature").status == "passed"
    assert not report.verified
    assert level in levels(report, "failed"), report.checks
    assert words in report.of(level).detail


@pytest.mark.parametrize("name", LIES)
def test_a_lie_under_the_old_signature_or_another_key_is_found(name):
    way, lie, _, _ = LIES[name]
    document = copy.deepcopy(paper(way).document)
    lie(document)
    kept = verify(canonical(document), keys=KEYS).of("signature")
    assert kept.status == "failed"
    assert "signature.value" in kept.detail
    other = verify(mended(document, STRANGER), keys=KEYS).of("signature")
    assert other.status == "failed"
    assert STRANGER.key_id in other.detail


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (lambda: changed("plain", id="0" * 32), "id is"),
        (lambda: changed("plain", statement="It is a cat."), "statement"),
        (lambda: changed("plain", created="yesterday"), "created must be a time"),
        (lambda: changed("plain", created="2026-11-24T00:00:00"), "with its zone"),
        (lambda: changed("truth", truth={"label": "inside", "correct": False}), "truth.correct"),
        (lambda: changed("abstained", truth={"label": "in", "correct": True}), "truth.correct"),
        (lambda: changed("truth", truth={"label": " ", "correct": False}), "truth.label"),
        (lambda: changed("plain", label_names={"inside": "<b>", "out": "x"}), "statement"),
        (lambda: changed("plain", request=[]), "request must be an object"),
        (lambda: changed("plain", software={"name": "x"}), "software lacks the member 'version'"),
    ],
)
def test_further_lies_about_the_form(document, words):
    made = document()
    text = canonical(SIGNER.sign(made)) if words == "id is" else signed(made)
    report = verify(text, keys=KEYS)
    assert report.of("signature").status == "passed"
    assert words in report.of("form").detail
    assert report.of("form").status == "failed"


def named(name):
    document = copy.deepcopy(paper("plain").document)
    before = document["label_names"]["inside"]
    document["label_names"]["inside"] = name
    document["statement"] = document["statement"].replace(repr(before), repr(name))
    return document


@pytest.mark.parametrize("name", ["\U0001fae8", "\u0378", "né\x80", "\\U0001fae8'"])
def test_a_statement_is_the_same_whichever_characters_a_python_prints(name):
    """U+1FAE8 is escaped by Python 3.11, and printed as it is by 3.12."""
    document = named(name)
    for quoted in (repr(name), ascii(name), "'" + name.replace("\\", "\\\\") + "'"):
        if quoted.count("'") > 2:
            continue  # it would be quoted otherwise
        made = copy.deepcopy(document)
        made["statement"] = made["statement"].replace(repr(name), quoted)
        assert verify(signed(made), keys=KEYS).of("form").status == "passed"
    wrong = copy.deepcopy(document)
    wrong["statement"] = wrong["statement"].replace(repr(name), repr(name + "\u0379"))
    assert "statement" in verify(signed(wrong), keys=KEYS).of("form").detail


def test_the_subject_is_covered_by_its_hash():
    document = copy.deepcopy(paper("plain").document)
    document["proof"]["subject"]["provider"]["options"] = {"anything": ["goes", {"here": 1}]}
    report = verify(signed(document), keys=KEYS)
    assert "proof.subject_sha256" in report.of("form").detail
    assert verify(mended(document), keys=KEYS).verified  # for a signer may say what was asked


def test_rerolls_are_a_part_of_the_subject():
    document = copy.deepcopy(paper("plain").document)
    document["proof"]["subject"]["rerolls"] = {"count": 1, "alpha_spent": 0.001}
    assert verify(mended(document), keys=KEYS).verified
    document["proof"]["subject"]["rerolls"] = {"count": 0, "alpha_spent": 0.001}
    assert "rerolls.count" in verify(mended(document), keys=KEYS).of("form").detail


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"7", b"\xff", b"[" * 100_000])
def test_what_is_no_certificate_is_called_that(data):
    report = verify(data, keys=KEYS, image=b"x", votes=b"y", noise_key=b"z")
    assert report.of("form").status == "failed"
    assert report.certificate is None
    assert report.describe()["certificate"] is None
    assert not report.verified
    assert levels(report, "not checked") >= {"radius", "image", "votes", "noise"}


def test_every_member_may_be_anything_without_a_crash():
    """Each member of the document in turn is replaced by a value of every kind."""
    one = paper("milestone")
    strange = [None, True, -1, 0, 1e308, "", "x", [], {}, [[1]], {"a": {}}]
    luck = random.Random(3)

    def paths(value, path=()):
        if isinstance(value, dict):
            for name, inner in value.items():
                yield (*path, name)
                yield from paths(inner, (*path, name))

    for path in paths(one.document):
        document = copy.deepcopy(one.document)
        parent = document
        for name in path[:-1]:
            parent = parent[name]
        parent[path[-1]] = luck.choice([v for v in strange if v != parent[path[-1]]])
        again = {} if path[0] == "signature" else enclosures(one)
        report = verify(canonical(document), keys=KEYS, **again)
        assert not report.verified, path


def test_an_unsigned_certificate_is_not_verified():
    document = copy.deepcopy(paper("plain").document)
    del document["signature"]
    for keys in (None, KEYS):
        report = verify(canonical(document), keys=keys)
        assert report.of("signature").status == "failed"
        assert "no signature" in report.of("signature").detail
        assert levels(report, "passed") == {"form", "radius"}


def test_a_wrong_key_is_named():
    found = verify(paper("plain").text, keys={STRANGER.key_id: STRANGER.public}).of("signature")
    assert found.status == "failed"
    assert SIGNER.key_id in found.detail
    assert STRANGER.key_id in found.detail


# ------------------------------------------------------------------------- the check values


@pytest.mark.parametrize(
    ("s", "f", "z"),
    [
        (100, 0, 1.355),
        (95, 5, 0.870),
        (1000, 0, 2.410),
        (990, 10, 1.895),
        (900, 100, 1.060),
        (600, 400, 0.085),
        (9900, 100, 2.170),
    ],
)
def test_the_check_values_of_the_design_are_the_largest_that_pass(s, f, z):
    document = copy.deepcopy(paper("plain").document)
    proof = document["proof"]
    proof["votes"] |= {"n": s + f, "counts": {"inside": s, "out": f} if f else {"inside": s}}
    if not f:
        del document["label_names"]["out"]
    document["request"]["max_votes"] = s + f
    proof["confidence"]["look"] = {"n": s + f, "s": s, "by": "mixture"}
    for pointer, good in ((round(z * 200), True), (round(z * 200) + 1, False)):
        proof["confidence"]["pointer"] = pointer
        proof["radius"] = proof["radius_l1"] = pointer * 500 / 10**6
        proof["radius_linf"] = int(pointer * 500 / 48**0.5) / 10**6
        report = verify(mended(copy.deepcopy(document)), keys=KEYS)
        assert report.of("form").status == "passed"
        assert (report.of("radius").status == "passed") is good, report.of("radius")
    assert f"allows at most {z / 10:g}" in report.of("radius").detail


# ---------------------------------------------------------------------------------- pictures


async def test_the_upload_is_brought_to_the_canonical_image():
    rng = np.random.default_rng(5)
    upload = png(rng.integers(0, 256, (40, 52, 3), dtype=np.uint8))
    one = await make(
        upload, World(half_space(9)), size=(24, 24), sigma=0.25, max_votes=30, good_enough=None
    )
    assert one.image.steps
    for data in (upload, one.image.png()):
        report = verify(one.text, keys=KEYS, **enclosures(one) | {"image": data})
        assert levels(report, "passed") == ALL_BUT_PROVIDER, report.checks
    # The same pixels in another file are the same picture, if not the file that was uploaded.
    again = png(np.asarray(Image.open(io.BytesIO(upload)))) + b"\0"
    assert verify(one.text, keys=KEYS, image=again).of("image").status == "passed"


async def test_a_picture_that_kept_its_aspect_is_found_too():
    rng = np.random.default_rng(6)
    upload = png(rng.integers(0, 256, (187, 300, 3), dtype=np.uint8))
    one = await make(upload, World(half_space(9)), sigma=0.25, max_votes=20, good_enough=None)
    assert (one.image.height, one.image.width) == (160, 256)
    assert verify(one.text, keys=KEYS, image=upload).of("image").status == "passed"
    assert verify(one.text, keys=KEYS, image=one.image.png()).of("image").status == "passed"


def test_another_picture_is_refused():
    one = paper("plain")
    pixels = one.image.pixels.copy()
    pixels[3, 2, 1] += 1
    found = verify(one.text, keys=KEYS, image=png(pixels)).of("image")
    assert found.status == "failed"
    assert one.image.sha256 in found.detail
    for data in (b"", b"GIF89a", one.upload[:40]):
        assert verify(one.text, keys=KEYS, image=data).of("image").status == "failed"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("mode", "L", "image.source.mode is 'L', but the file says 'RGB'"),
        ("width", 5, "image.source.width"),
        ("format", "JPEG", "image.source.format"),
    ],
)
def test_what_is_said_about_the_upload_is_checked(name, value, words):
    one = paper("plain")
    document = copy.deepcopy(one.document)
    document["image"]["source"][name] = value
    assert words in verify(mended(document), keys=KEYS, image=one.upload).of("image").detail


def test_steps_that_were_not_taken_are_found():
    one = paper("plain")
    document = copy.deepcopy(one.document)
    document["image"]["steps"] = ["centre crop 4×4"]
    found = verify(mended(document), keys=KEYS, image=one.upload).of("image")
    assert "image.steps" in found.detail


# ------------------------------------------------------------------------------------- votes


def with_votes(one: Paper, votes: list[str | None], **proof) -> Report:
    """Sign a certificate over other votes, and check it with them."""
    document = copy.deepcopy(one.document)
    document["proof"]["votes"] |= {"sha256": votes_sha256(votes), "n": len(votes)}
    document["proof"] |= proof
    text = mended(document)
    return verify(text, keys=KEYS, votes=canonical(build(json.loads(text), votes)))


def the_votes(one: Paper) -> list[str | None]:
    return list(json.loads(one.votes)["votes"])


def test_the_same_votes_in_another_order_do_not_lead_there():
    one = paper("plain")
    votes = the_votes(one)
    assert with_votes(one, votes).verified
    report = with_votes(one, sorted(votes))
    assert levels(report, "failed") == {"votes"}
    assert "look" in report.of("votes").detail


def test_votes_that_were_left_out_are_found():
    one = paper("plain")
    report = with_votes(one, the_votes(one)[:-1])
    assert levels(report, "failed") == {"form", "votes"}
    report = verify(one.text, votes=canonical(build(one.document, the_votes(one)[:-1])))
    assert "n (votes file) is 317" in report.of("votes").detail


def test_a_look_that_was_not_the_last_is_found():
    """A pointer that an earlier look justified is no lie about the radius, but is not the end."""
    one = paper("plain")
    votes, proof = the_votes(one), copy.deepcopy(one.document["proof"])
    process = ConfidenceProcess(0.001, "inside")
    process.update(votes[:100])
    at = process.certified
    proof["confidence"] |= {"pointer": at.j, "look": {"n": at.n, "s": at.s, "by": at.how}}
    proof["radius"] = proof["radius_l1"] = at.j * 500 / 10**6
    proof["radius_linf"] = int(at.j * 500 / 48**0.5) / 10**6
    del proof["votes"]
    report = with_votes(one, votes, **proof)
    assert levels(report, "failed") == {"votes"}
    assert "proof.confidence.pointer is" in report.of("votes").detail
    assert "process over all votes says 212" in report.of("votes").detail


def test_a_false_reason_to_stop_is_found():
    one = paper("plain")
    report = with_votes(one, the_votes(one), stop_reason="target_reached")
    assert "proof.stop_reason is 'target_reached'" in report.of("votes").detail
    document = copy.deepcopy(paper("abstained").document)
    document["request"]["max_votes"] = 61
    text = mended(document)
    votes = canonical(build(json.loads(text), the_votes(paper("abstained"))))
    assert "the votes say go on" in verify(text, keys=KEYS, votes=votes).of("votes").detail


def test_a_run_that_went_on_past_its_end_is_found():
    one = paper("truth")
    votes = [*the_votes(one), "out"]
    counts = one.document["proof"]["votes"]["counts"]
    changed_votes = {**one.document["proof"]["votes"], "n": 36, "counts": {**counts, "out": 2}}
    document = copy.deepcopy(one.document)
    document["proof"]["votes"] = {**changed_votes, "sha256": votes_sha256(votes)}
    text = mended(document)
    found = verify(text, keys=KEYS, votes=canonical(build(json.loads(text), votes))).of("votes")
    assert "ends after 35 votes (target_reached)" in found.detail


@pytest.mark.parametrize("stop", ["cancelled", "deadline", "max_cost"])
def test_a_run_that_was_ended_from_outside_may_stop_anywhere(stop):
    one = paper("abstained")
    votes = the_votes(one)[:40]
    document = copy.deepcopy(one.document)
    proof = document["proof"]
    proof["votes"] = {
        "n": 40,
        "counts": {label: votes.count(label) for label in ("inside", "out")},
        "abstentions": 0,
        "sha256": votes_sha256(votes),
    }
    proof["stop_reason"] = stop
    document["statement"] = document["statement"].replace("60", "40")
    text = signed(document)
    assert verify(text, keys=KEYS, votes=canonical(build(json.loads(text), votes))).verified


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("schema", "surety.votes/2", "no votes file"),
        ("certificate", "0" * 32, "certificate (votes file)"),
        ("subject_sha256", "0" * 64, "subject_sha256 (votes file)"),
        ("n", 17, "n (votes file)"),
        ("sha256", "0" * 64, "sha256 (votes file)"),
        ("votes", [], "holds 0 votes"),
        ("votes", [5], "votes[0] must be a text"),
        ("votes", "inside", "votes must be a list"),
        ("more", 1, "does not belong there"),
    ],
)
def test_every_member_of_the_votes_file_is_checked(member, value, words):
    one = paper("truth")
    votes = canonical({**json.loads(one.votes), member: value})
    found = verify(one.text, keys=KEYS, votes=votes).of("votes")
    assert found.status == "failed"
    assert words in found.detail


def test_a_changed_vote_is_told_with_both_hashes():
    one = paper("plain")
    document = json.loads(one.votes)
    document["votes"][128] = None
    detail = verify(one.text, keys=KEYS, votes=canonical(document)).of("votes").detail
    assert "votes 0 to 317: the SHA-256 is" in detail
    assert one.document["proof"]["votes"]["sha256"] in detail
    assert "proof.votes.abstentions is 0, but the votes file says 1" in detail


def test_hostile_votes_are_refused():
    one = paper("truth")
    for data in (b"", b"[" * 100_000, b"null", b"[]", b"{}", b"\xff" * 100, b'"' + b"a" * 10**7):
        assert verify(one.text, keys=KEYS, votes=data).of("votes").status == "failed"


# ------------------------------------------------------------------------------------- noise


def revealed(one: Paper, **members) -> bytes:
    return canonical(
        {
            "schema": "surety.noise-key/1",
            "subject_sha256": one.document["proof"]["subject_sha256"],
            "key": one.noise_key.hex(),
            "key_sha256": hashlib.sha256(one.noise_key).hexdigest(),
            "sealed": "2026-11-24T00:00:00+00:00",
            **members,
        }
    )


def test_the_revealed_key_is_checked_in_both_forms():
    one = paper("plain")
    for key in (revealed(one), one.noise_key.hex().upper().encode() + b"\n"):
        found = verify(one.text, keys=KEYS, noise_key=key).of("noise")
        assert found.status == "passed"
        assert one.noise_key.hex() not in found.detail


@pytest.mark.parametrize(
    "key",
    [
        b"0" * 32,
        b"0" * 31,
        b"",
        b"\xff",
        b"{}",
        revealed(paper("plain"), key="0" * 32),
        revealed(paper("plain"), key_sha256="0" * 64),
        revealed(paper("plain"), subject_sha256="0" * 64),
        revealed(paper("plain"), schema="x"),
        revealed(paper("plain"), more=1),
    ],
)
def test_another_key_is_refused(key):
    found = verify(paper("plain").text, keys=KEYS, noise_key=key).of("noise")
    assert found.status == "failed"
    assert found.detail


def test_a_sample_can_be_rebuilt():
    one = paper("plain")
    noisy = rebuild(one.document, one.image.pixels, one.noise_key, 17)
    assert noisy.dtype == np.int16
    drawn = noise.draw(one.noise_key, 17, (4, 4, 3), 0.1)
    assert np.array_equal(noisy - one.image.pixels.astype(np.int16), drawn)
    with pytest.raises(InvalidParameter, match="noise key"):
        rebuild(one.document, one.image.pixels, bytes(16), 17)
    with pytest.raises(InvalidParameter, match="picture"):
        rebuild(one.document, one.image.pixels[:3], one.noise_key, 17)


def test_every_vote_can_be_made_again_with_what_verify_takes():
    one = paper("plain")
    answer = half_space(0.15)
    for index, vote in enumerate(the_votes(one)[:60]):
        noisy = rebuild(json.loads(one.text), one.image.pixels, one.noise_key, index)
        (told,) = answer(noisy.clip(0, 255)).predictions
        assert {"in": "inside"}.get(told.name, told.name) == vote


def test_reports_do_not_show_the_noise_key():
    one = paper("plain")
    report = verify(one.text, keys=KEYS, **enclosures(one))
    assert one.noise_key.hex() not in repr(report) + json.dumps(report.describe())
    assert dataclasses.is_dataclass(report)
