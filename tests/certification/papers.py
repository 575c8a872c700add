"""Certificates made for real, signed, with everything that belongs to them."""

import asyncio
import functools
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import Image

from certification import noise
from certification.canonical import CanonicalImage, canonicalise
from certification.certificate import certificate_id, statement
from certification.certify import certify
from certification.checks.votes import build
from certification.decision import AnyOf, LabelMap
from certification.document import canonical
from certification.options import Options
from certification.protocols import Refusal
from certification.radius import floored, l2_radius, linf_radius
from certification.signing import Signer
from tests.certification.worlds import Clip, World, half_space, label, machine, refuse_above

Lie = Callable[[dict[str, Any]], None]

SIGNER = Signer(bytes(range(100, 132)))
STRANGER = Signer(bytes(range(32)))
KEYS = {SIGNER.key_id: SIGNER.public}


def _shy(pixels: np.ndarray) -> Any:
    """Refuse the flat picture, but answer to all noisy ones."""
    return Refusal("flat", "v1") if len(np.unique(pixels)) == 1 else label("Ünïcode “cat”\n")


WAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (half_space(0.15), {"max_votes": 400}),
    "truth": (half_space(0.15), {"target_radius": 0.05, "truth": " Inside "}),
    "milestone": (half_space(0.2), {"max_votes": 100, "milestone": 100, "good_enough": None}),
    "abstained": (half_space(0.0), {"max_votes": 60, "good_enough": None, "truth": "in"}),
    "unnamed": (_shy, {"max_votes": 150}),
    "refusals": (refuse_above(0.12), {"max_votes": 200, "good_enough": None}),
    "yes or no": (half_space(0.15), {"max_votes": 100, "rule": AnyOf(("inside",), 0.5)}),
    "tiny alpha": (half_space(0.3), {"max_votes": 300, "alpha": 1e-7, "good_enough": None}),
}


@dataclass(frozen=True)
class Paper:
    """One certificate and its enclosures; `text` and `votes` as they are served."""

    document: dict[str, Any]
    text: bytes
    votes: bytes
    upload: bytes
    image: CanonicalImage
    noise_key: bytes


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@functools.cache
def paper(way: str, sigma: float = 0.1) -> Paper:
    answer, options = WAYS[way]
    upload = png(np.full((4, 4, 3), 128, dtype=np.uint8))
    return asyncio.run(make(upload, World(answer), sigma=sigma, **options))


async def make(upload: bytes, world: World, *, size: Any = None, **options: Any) -> Paper:
    image = canonicalise(upload, size=size, name="grey.png")
    place = machine()
    labels = LabelMap.of({"in": "inside"})
    document = await certify(
        place, image, Options(labels=labels, **options), denoiser=Clip(), classifier=world
    )
    document = SIGNER.sign(document)
    subject = canonical(document["proof"]["subject"])
    (ledger,) = place.ledgers._current.values()
    votes = (await ledger.read())[: document["proof"]["votes"]["n"]]
    return Paper(
        document,
        canonical(document),
        canonical(build(document, votes)),
        upload,
        image,
        noise.derive_key(place.secret, subject),
    )


def enclosures(paper: Paper) -> dict[str, bytes]:
    """All that a certificate can be checked with."""
    return {
        "image": paper.upload,
        "votes": paper.votes,
        "noise_key": paper.noise_key.hex().encode(),
    }


def mended(document: dict[str, Any], signer: Signer = SIGNER) -> bytes:
    """Make a changed document agree with itself where that is easy, and sign it."""
    proof, image = document["proof"], document["image"]
    proof["subject_sha256"] = hashlib.sha256(canonical(proof["subject"])).hexdigest()
    if not proof["abstained"] and proof["label"] is not None:
        flat = CanonicalImage(np.zeros((image["height"], image["width"], 3), np.uint8), {}, ())
        document["statement"] = statement(proof, document["label_names"], Fraction(0), flat)
    return signed(document, signer)


def signed(document: dict[str, Any], signer: Signer = SIGNER) -> bytes:
    """Give a changed document the id that belongs to it, and sign it."""
    document.pop("signature", None)
    document["id"] = certificate_id(document)
    return canonical(signer.sign(document))


def _point_to(pointer: int) -> Lie:
    def lie(document: dict[str, Any]) -> None:
        proof = document["proof"]
        radius = l2_radius(proof["sigma"], pointer)
        proof["confidence"]["pointer"] = pointer
        proof["radius"] = proof["radius_l1"] = floored(radius)
        proof["radius_linf"] = linf_radius(radius, 48)

    return lie


def _set(path: str, value: Any) -> Lie:
    """Set a member, or change it if `value` can be called."""

    def lie(document: dict[str, Any]) -> None:
        *way, last = path.split(".")
        for name in way:
            document = document[name]
        document[last] = value(document.get(last)) if callable(value) else value

    return lie


def _less_alpha(document: dict[str, Any]) -> None:
    proof = document["proof"]
    proof["alpha"] = alpha = proof["alpha"] / 1000
    proof["confidence"]["levels"] = {"named": 0.9 * alpha, "other": 0.1 * alpha}


def _drop(path: str) -> Lie:
    def lie(document: dict[str, Any]) -> None:
        *way, last = path.split(".")
        for name in way:
            document = document[name]
        del document[last]

    return lie


# (the way it was made, what is changed, the level that must fail, words of the report)
LIES: dict[str, tuple[str, Lie, str, str]] = {
    "radius": ("plain", _set("proof.radius", lambda r: r + 0.1), "radius", "proof.radius is 0.2"),
    "linf": ("plain", _set("proof.radius_linf", lambda r: r + 1e-6), "radius", "radius_linf"),
    "l1": ("plain", _set("proof.radius_l1", lambda r: r + 1e-6), "radius", "radius_l1"),
    "pointer far": ("plain", _point_to(620), "radius", "proof.radius is 0.31, but the look (n=317"),
    "pointer by one": ("plain", _point_to(213), "radius", "allows at most 0.106"),
    "pointer mixture": ("milestone", _point_to(240), "radius", "justifies no pointer above 239"),
    "look": ("plain", _set("proof.confidence.look.s", 270), "radius", "n=317, S=270"),
    "no majority": ("plain", _set("proof.confidence.look.n", 9), "form", "look.s is 295"),
    "level": ("plain", _set("proof.confidence.levels.named", 0.001), "radius", "levels.named"),
    "other level": ("plain", _set("proof.confidence.levels.other", 1e-5), "radius", "levels.other"),
    "alpha": ("plain", _less_alpha, "radius", "allows at most"),
    "counts": ("plain", _set("proof.votes.counts.out", 24), "form", "add up to 319"),
    "n": ("plain", _set("proof.votes.n", 319), "form", "proof.votes.n is 319"),
    "named": ("plain", _set("proof.confidence.named_label", "out"), "radius", "allows at most"),
    "unnamed": ("plain", _set("proof.confidence.named_label", None), "radius", "levels.named"),
    "label": ("plain", _set("proof.label", "out"), "form", "look.s"),
    "no such label": ("plain", _set("proof.label", "cat"), "form", "has no votes"),
    "sigma": ("plain", _set("proof.sigma", 0.2), "form", "proof.sigma is 0.2"),
    "margin": ("plain", _set("proof.confidence.margin", 1e-12), "radius", "confidence.margin"),
    "milestone": ("milestone", _set("proof.confidence.milestone", None), "radius", "milestone"),
    "late": ("milestone", _set("proof.confidence.milestone", 99), "radius", "milestone 99"),
    "grid": ("plain", _set("proof.confidence.grid.last", 1300), "form", "grid.last must be 1200"),
    "beyond": ("plain", _set("proof.confidence.pointer", 1201), "form", "confidence.pointer"),
    "part": ("plain", _set("proof.confidence.pointer", 211.5), "form", "confidence.pointer"),
    "abstained": ("plain", _set("proof.abstained", True), "form", "proof.abstained is true"),
    "claims": ("abstained", _set("proof.abstained", False), "form", "proof.label is null"),
    "half a claim": ("abstained", _set("proof.radius", 0.1), "form", "proof.radius is 0.1"),
    "nameless": ("plain", _set("label_names", {"inside": "in"}), "form", "label_names"),
    "width": ("plain", _set("image.width", 5), "form", "image.width is 5"),
    "picture": ("plain", _set("image.sha256", "0" * 64), "form", "image.sha256"),
    "conditional": ("plain", _set("proof.guarantee", "conditional"), "form", "conditional"),
    "schema": ("plain", _set("schema", "surety.certificate/2"), "form", "schema"),
    "more": ("plain", _set("proof.more", 1), "form", "does not belong there: 'more'"),
    "less": ("plain", _drop("proof.votes.abstentions"), "form", "lacks the member 'abstentions'"),
    "reason": ("plain", _set("proof.stop_reason", "tired"), "form", "proof.stop_reason"),
    "generator": ("plain", _set("proof.noise.generator", "mt19937"), "form", "noise.generator"),
    "budget": ("plain", _set("request.max_votes", 200), "form", "request.max_votes"),
}
