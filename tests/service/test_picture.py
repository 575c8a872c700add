"""The picture of a certificate: true, legible, and safe whatever the names are."""

import base64
import copy
import re

import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from service.openapi_examples import CERTIFICATE
from service.picture import certificate_svg
from service.picture_parts import BARS, CERTAIN, qr_code
from tests.service.pictures import png
from tests.service.svg import NS, check_harmless, check_layout, modules, tree

URL = "https://surety.example.org/certificates/677c9a8984cb32e047a8ea6ed632521a"
HOSTILE = (
    "<script>alert('x')</script>&amp;<!--]]>\"'",
    "\x00\x08\x1b[31m\ufffe\uffff\ud800",
    "\u202eevil\u202d\u2066 \u200b",
    "🐈\u200d⬛👨\u200d👩\u200d👧" * 30,
    "שלום עולם مرحبا",
    "z" + "\u0301\u0489" * 5000,
    "W" * 10_000,
    "猫" * 10_000,
    "﷽𒐫⸻" * 50,
    "a " * 5000,
    " ",
    "",
)


def certificate(**changes):
    """Return a real certificate with parts of its proof, or of the whole, replaced."""
    document = copy.deepcopy(CERTIFICATE)
    document["signature"] = {"algorithm": "Ed25519", "key_id": "ef198b2f3aadd39c", "value": "x"}
    for name, value in changes.items():
        (document if name in document else document["proof"])[name] = value
    return document


def abstained(**changes):
    document = certificate(abstained=True, label=None, radius=None, **changes)
    document["statement"] = "No label could be certified."
    document["proof"] |= {"radius_linf": None, "radius_l1": None}
    document["proof"]["confidence"] |= {"pointer": None, "look": None}
    return document


def counted(counts, abstentions=0):
    return {"n": sum(counts.values()) + abstentions, "counts": counts, "abstentions": abstentions}


def parsed(document, **options):
    return tree(certificate_svg(document, **options))


def words(document, **options):
    return " ".join(" ".join(parsed(document, **options).itertext()).split())


def test_it_says_what_a_reader_wants_to_know():
    text = words(certificate())
    for part in (
        "Certificate of Robustness",
        "“cat.png”",
        "Certified radius (L2) 0.100",
        "total (L2) size of at most 0.100, the smoothed classifier still answers",
        "confidence is 99.9 %",
        "all 3,072 values of the 32×32 picture",
        "up to 0.460/255 at once, or a single one by up to 25.5/255",
        "99.9 % (α = 0.001)",
        "σ = 0.25",
        "193, 0 without a label",
        "153 of the first 193 votes",
        "the target radius was reached",
        "model cifar-08a4fcc5b952",
        "denoiser cifar",
        "rule top1",
        "centre crop",
        CERTIFICATE["created"][:16].replace("T", ", ") + " UTC",
        "153 of 193",
        CERTIFICATE["id"],
        CERTIFICATE["proof"]["subject_sha256"],
        "Ed25519, key ef198b2f3aadd39c",
        "surety verify",
    ):
        # Lines are put together here, as a reader would.
        assert part in text
    assert "re-rolls" not in text


def test_a_radius_is_never_rounded_up():
    text = words(certificate(radius=0.799644, radius_linf=0.0144279, radius_l1=0.799644))
    assert "0.799" in text
    assert "0.8" not in text
    assert "(L2) 0.000990 in" in words(certificate(radius=0.0009909))
    assert "so the radius is 0" in words(certificate(radius=0.0))


def test_the_label_is_spelt_as_the_provider_does():
    names = {"cat": "Tabby Cat", "dog": "Dog"}
    text = words(certificate(label_names=names))
    assert "Answer of the smoothed classifier Tabby Cat Certified" in text
    assert "deer" in text  # it has no other spelling


def test_an_abstention_promises_nothing():
    document = abstained(votes=counted({"cat": 50, "dog": 40, "fox": 9}, abstentions=10))
    text = words(document)
    assert "No label is certified no radius, and no promise" in text
    assert "nothing is promised" in text
    assert "Certificate of Robustness" not in text
    assert "Certified radius" not in text
    assert not re.search(r"\b0\.1\b|L∞", text)
    assert CERTAIN not in certificate_svg(document)
    check_layout(certificate_svg(document))


def bars(document):
    """Return kind and length of each bar, in units of all votes."""
    found = [r for r in parsed(document).iter(f"{NS}rect") if r.get("height") == "9"]
    whole = float(found[0].get("width"))
    kinds = {colour: kind for kind, colour in BARS.items()}
    return [(kinds[r.get("fill")], float(r.get("width")) / whole) for r in found[1::2]]


def test_bars_are_as_long_as_the_votes():
    counts = {"dog": 300, "cat": 400, "a": 100, "b": 60, "c": 40, "d": 30, "e": 20}
    drawn = bars(certificate(votes=counted(counts, abstentions=50)))
    assert [kind for kind, _ in drawn] == ["certified", *["other"] * 4, "rest", "none"]
    assert [length for _, length in drawn] == pytest.approx(
        [0.4, 0.3, 0.1, 0.06, 0.04, 0.05, 0.05], abs=1e-3
    )
    assert sum(length for _, length in drawn) == pytest.approx(1, abs=2e-3)
    assert "2 more labels" in words(certificate(votes=counted(counts)))


def test_no_votes_at_all():
    text = words(abstained(votes=counted({})))
    assert "none were counted" in text
    assert "After 0 votes" in text
    assert "After 1 vote no" in words(abstained(votes=counted({"cat": 1})))


def test_rerolls_are_told():
    document = certificate()
    document["proof"]["subject"]["rerolls"] = {"count": 2, "alpha_spent": 0.002}
    assert "re-rolls 2, which spent α = 0.002" in words(document)


def test_an_unsigned_certificate_is_said_to_be_one():
    document = certificate()
    del document["signature"]
    assert "this certificate is not signed" in words(document)


def test_a_given_label_is_compared():
    for correct, said in ((True, "it agrees"), (False, "it differs"), (None, "nothing to compare")):
        assert f"{said}: Fox" in words(certificate(truth={"label": "Fox", "correct": correct}))


def test_yes_and_no_come_with_the_question():
    document = certificate(label="yes", votes=counted({"yes": 91, "no": 18}))
    rule = {"rule": "any_of", "labels": ["gun", "knife"], "threshold": 0.5}
    document["proof"]["subject"]["rule"] = rule
    assert "Does one of gun, knife score at least 0.5? yes Certified" in words(document)
    rule = {"rule": "in_top_k", "labels": ["gun"], "k": 3}
    document["proof"]["subject"]["rule"] = rule
    assert "Is gun among the 3 best labels? yes Certified" in words(document)


def test_the_same_document_gives_the_same_bytes():
    document = certificate(votes=counted({"dog": 7, "cat": 91, "ant": 7}))
    turned = {k: document[k] for k in reversed(document)}
    turned["proof"] = {k: document["proof"][k] for k in reversed(document["proof"])}
    turned["proof"]["votes"] = counted({"ant": 7, "cat": 91, "dog": 7})
    assert certificate_svg(document) == certificate_svg(turned)


@pytest.mark.parametrize(("side", "pixelated"), [(32, True), (128, True), (256, False)])
def test_the_canonical_image_is_shown_as_it_is(side, pixelated):
    picture = png(side, side)
    image = CERTIFICATE["image"] | {"width": side, "height": side}
    (shown,) = parsed(certificate(image=image), thumbnail_png=picture).iter(f"{NS}image")
    head, data = shown.get("href").split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data, validate=True) == picture
    assert (shown.get("image-rendering") == "pixelated") is pixelated
    assert not list(parsed(certificate(image=image)).iter(f"{NS}image"))


@pytest.mark.parametrize(("across", "down"), [(2048, 20), (20, 2048), (300, 200), (1, 1)])
def test_a_picture_keeps_its_shape_within_its_place(across, down):
    image = CERTIFICATE["image"] | {"width": across, "height": down}
    svg = certificate_svg(certificate(image=image), thumbnail_png=png(8, 8))
    (shown,) = tree(svg).iter(f"{NS}image")
    drawn = [float(shown.get(side)) for side in ("width", "height")]
    assert max(drawn) == 140
    assert drawn == pytest.approx([140 * s / max(across, down) for s in (across, down)], abs=4)
    check_layout(svg)


@pytest.mark.parametrize("text", ["a" * 32, URL, "https://käse.example/猫" + "x" * 200])
def test_the_code_holds_the_address(text):
    expected = segno.make(text.encode(), error="m", micro=False, boost_error=False)
    assert modules(qr_code(text, 88)) == [bytearray(row) for row in expected.matrix_iter(border=2)]


def test_the_code_is_of_the_address_or_else_of_the_id():
    document = certificate()
    assert qr_code(URL, 88) in certificate_svg(document, url=URL)
    assert URL in words(document, url=URL)
    for long in (None, "https://" + "x" * 10_000):
        assert qr_code(document["id"], 88) in certificate_svg(document, url=long)


def test_nothing_is_loaded_from_elsewhere():
    svg = certificate_svg(certificate(), thumbnail_png=png(8, 8))
    check_harmless(svg)
    assert svg.count("http") == 1  # the name space


def named(text, other=None):
    """Return a certificate with one text wherever a stranger may choose it."""
    other = text if other is None else other
    document = certificate(
        label=text,
        label_names={text: other, "dog": text},
        truth={"label": text, "correct": False},
        votes=counted({text: 900_000, "dog": 5} | {f"{k}{text}": 9 - k for k in range(5)}, 1),
        stop_reason=text,
    )
    document["image"]["source"] |= {"name": text, "format": text}
    document["image"]["steps"] = [text] * 3
    subject = document["proof"]["subject"]
    subject["provider"] |= {"name": text, "model_version": text}
    subject["denoiser"]["name"] = subject["compute"] = text
    subject["rule"] = {"rule": "any_of", "labels": [text] * 64, "threshold": 1 / 3}
    subject["rerolls"] = {"count": 123_456, "alpha_spent": 0.1234567890123456}
    document["accounting"] |= {"cost": 1234567.891, "calls": 10**9, "votes_reused": 10**6}
    return document


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("thumbnail", [None, png(8, 8)], ids=["plain", "thumbnail"])
def test_names_from_strangers_stay_where_they_belong(text, thumbnail):
    svg = certificate_svg(named(text), thumbnail_png=thumbnail, url=text)
    check_harmless(svg)
    check_layout(svg)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", svg)
    assert len(svg) < 40_000


@given(st.text(max_size=300), st.text(max_size=40), st.floats(1e-300, 0.5))
@settings(max_examples=60, deadline=None)
def test_any_names_make_a_page(text, other, alpha):
    document = named(text, other)
    document["proof"]["alpha"] = alpha
    svg = certificate_svg(document, thumbnail_png=b"\x89PNG", url=other)
    check_harmless(svg)
    check_layout(svg)


def test_what_is_too_long_ends_in_an_ellipsis():
    text = words(named("word " * 1000))
    assert "word…" in text
    assert text.count("word") < 200
