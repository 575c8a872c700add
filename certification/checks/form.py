"""Level `form`: it is one of our certificates, and its parts agree with one another."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from certification import document as documents
from certification.canonical import CanonicalImage
from certification.certificate import certificate_id, statement
from certification.checks.kinds import shown
from certification.decision import encodable, normalise
from certification.errors import InvalidParameter
from certification.options import Options
from certification.radius import l2_radius

Document = Mapping[str, Any]


def disagreements(certificate: Document) -> Iterator[str]:
    """Yield where a certificate of the right shape contradicts itself."""
    proof = certificate["proof"]
    yield from _identity(certificate)
    yield from _abstention(proof)
    yield from _counts(certificate)
    for name in ("sha256", "width", "height"):
        yield from differs(
            f"image.{name}", certificate["image"][name], proof["subject"]["image"][name], "subject"
        )
    yield from differs("proof.sigma", proof["sigma"], proof["subject"]["sigma"], "subject")
    try:
        options_of(certificate)
    except InvalidParameter as error:
        yield f"request: {error}"
    yield from _truth(certificate)
    yield from _statement(certificate)


def differs(where: str, said: object, true: object, whence: str) -> Iterator[str]:
    """Yield a sentence if a member does not say what follows from another one."""
    if said != true or isinstance(said, bool) != isinstance(true, bool):
        yield f"{where} is {shown(said)}, but the {whence} says {shown(true)}"


def options_of(certificate: Document) -> Options:
    """Rebuild the choices that stop rules depend on.

    Raises:
        InvalidParameter: if one is out of its range.
    """
    proof, request = certificate["proof"], certificate["request"]
    return Options(
        sigma=float(proof["sigma"]),
        alpha=float(proof["alpha"]),
        target_radius=request["target_radius"],
        max_votes=request["max_votes"],
        max_cost=request["max_cost"],
        max_seconds=request["max_seconds"],
        good_enough=request["good_enough"],
    )


def _identity(certificate: Document) -> Iterator[str]:
    unsigned = {k: v for k, v in certificate.items() if k != "signature"}
    yield from differs("id", certificate["id"], certificate_id(unsigned), "rest of the document")
    proof = certificate["proof"]
    subject = hashlib.sha256(documents.canonical(proof["subject"])).hexdigest()
    yield from differs("proof.subject_sha256", proof["subject_sha256"], subject, "subject")


def _abstention(proof: Document) -> Iterator[str]:
    how = proof["confidence"]
    claims = {
        "proof.label": proof["label"],
        "proof.radius": proof["radius"],
        "proof.radius_linf": proof["radius_linf"],
        "proof.radius_l1": proof["radius_l1"],
        "proof.confidence.pointer": how["pointer"],
        "proof.confidence.look": how["look"],
    }
    for where, value in claims.items():
        if proof["abstained"] and value is not None:
            yield f"{where} is {shown(value)}, but proof.abstained is true: it must be null"
        if not proof["abstained"] and value is None:
            yield f"{where} is null, but proof.abstained is false"


def _counts(certificate: Document) -> Iterator[str]:
    proof, names = certificate["proof"], certificate["label_names"]
    votes = proof["votes"]
    counts = votes["counts"]
    total = sum(counts.values()) + votes["abstentions"]
    if votes["n"] != total:
        yield f"proof.votes.n is {votes['n']}, but counts and abstentions add up to {total}"
    if set(names) != set(counts):
        odd = sorted(set(names) ^ set(counts))[0]
        yield f"label_names and proof.votes.counts do not have the same labels: {shown(odd)}"
    if votes["n"] > certificate["request"]["max_votes"]:
        yield f"proof.votes.n is {votes['n']}, above request.max_votes"
    look, label = proof["confidence"]["look"], proof["label"]
    if look is None or label is None:
        return
    if look["s"] > look["n"]:
        yield f"proof.confidence.look.s is {look['s']}, but look.n is {look['n']}"
    elif label not in counts:
        yield f"proof.label is {shown(label)}, which has no votes in proof.votes.counts"
    elif look["s"] > counts[label]:
        yield (
            f"proof.confidence.look.s is {look['s']}, but the label has {counts[label]} votes "
            "in all"
        )
    elif look["n"] - look["s"] > votes["n"] - counts[label]:
        yield (
            f"proof.confidence.look has {look['n'] - look['s']} votes against the label, but "
            f"there are {votes['n'] - counts[label]} in all"
        )


def _truth(certificate: Document) -> Iterator[str]:
    truth, proof = certificate["truth"], certificate["proof"]
    if truth is None:
        return
    label, correct = proof["label"], None
    if label is not None:
        asked = normalise(truth["label"])
        asked = proof["subject"]["label_map"].get(asked, asked)
        name = certificate["label_names"].get(label, label)
        correct = asked in (normalise(label), normalise(name))
    yield from differs("truth.correct", truth["correct"], correct, "comparison with proof.label")
    if truth["label"] != encodable(truth["label"]) or not truth["label"].strip():
        yield "truth.label is no label"


def _ascii(text: str) -> bytes:
    """Escape all that is not ASCII: what `repr` escapes of it depends on Python's version."""
    return text.encode("ascii", "backslashreplace")


def _statement(certificate: Document) -> Iterator[str]:
    proof, image = certificate["proof"], certificate["image"]
    pointer, radius = proof["confidence"]["pointer"], proof["radius"]
    if (pointer is None) != (radius is None) or (radius is None) != (proof["label"] is None):
        return  # said already, and there is no statement for it
    # JSON writes 1.0 as 1; the sentence has it as Python prints the number.
    as_numbers = {
        **proof,
        "alpha": float(proof["alpha"]),
        "radius": None if radius is None else float(radius),
    }
    exact = None if pointer is None else l2_radius(float(proof["sigma"]), pointer)
    flat = np.broadcast_to(np.uint8(0), (image["height"], image["width"], 3))
    sentence = statement(
        as_numbers, certificate["label_names"], exact, CanonicalImage(flat, {}, ())
    )
    if _ascii(certificate["statement"]) != _ascii(sentence):
        yield (
            f"statement does not say what the proof says: it is {shown(certificate['statement'])} "
            f"where {shown(sentence)} belongs"
        )
