"""The certificate: the document that says label, radius, α, votes and subject.

Plain JSON values, so that RFC 8785 gives it one canonical form. Everything that the proof
rests on is under `proof` and depends on the votes alone: the same picture, options and key
give the same proof, however the calls were cut and ordered. The id names all of the document
but when and by what it was made and what it cost, so that asking again gives the same one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import rfc8785

from certification.canonical import CanonicalImage
from certification.confidence import ConfidenceProcess
from certification.decision import encodable, normalise
from certification.martingale import PER_UNIT, STEPS
from certification.options import Options
from certification.protocols import Header, Vote
from certification.radius import floored, l1_radius, l2_radius, linf_radius, percent
from certification.subject import subject_sha256

SCHEMA = "surety.certificate/1"
VERSION = "0.1.0"
# Not part of what the id names.
UNNAMED = ("schema", "id", "created", "software", "accounting", "signature")


def software() -> dict[str, str]:
    """Name the program that wrote a document."""
    return {"name": "surety", "version": VERSION}


def votes_sha256(votes: Sequence[Vote]) -> str:
    """SHA-256 of the votes as a canonical JSON list: labels, and null for an abstention."""
    return hashlib.sha256(rfc8785.dumps(list(votes))).hexdigest()


def build(
    *,
    image: CanonicalImage,
    options: Options,
    header: Header,
    process: ConfidenceProcess,
    votes: Sequence[Vote],
    names: Mapping[str, str],
    stop_reason: str,
    margin: float,
    accounting: Mapping[str, Any],
    now: datetime | None = None,
) -> dict[str, Any]:
    """Write the certificate of a run that has ended.

    Args:
        image: the canonical image.
        options: what the caller asked for.
        header: the ledger's fixed choices.
        process: the confidence process after exactly `votes`.
        votes: the counted votes.
        names: label key → the provider's spelling.
        stop_reason: why the run ended.
        margin: what was added to every tested null (the noise table's distance from the
            exact law).
        accounting: calls, retries, cost and votes reused; not part of the proof.
        now: time of issue.

    Returns:
        JSON values only. `abstained` is true, and label and radius are null, if no label
        could be certified.
    """
    at = process.certified
    radius = None if at is None else l2_radius(options.sigma, at.j)
    proof: dict[str, Any] = {
        "guarantee": "probabilistic",
        "abstained": at is None,
        "label": process.label,
        "norm": "l2",
        "radius": None if radius is None else floored(radius),
        "radius_linf": None if radius is None else linf_radius(radius, image.dimension),
        "radius_l1": None if radius is None else l1_radius(radius),
        "sigma": options.sigma,
        "alpha": options.alpha,
        "confidence": _confidence(process, header, margin),
        "votes": {
            "n": process.n,
            "counts": dict(sorted(process.counts.items(), key=lambda item: (-item[1], item[0]))),
            "abstentions": process.abstentions,
            "sha256": votes_sha256(votes),
        },
        "subject": dict(header.subject),
        "subject_sha256": subject_sha256(header),
        "noise": {
            "law": "rounded Gaussian on 0..255",
            "generator": "philox4x64-10",
            "key_sha256": header.key_sha256,
        },
        "stop_reason": stop_reason,
    }
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "created": (now or datetime.now(UTC)).isoformat(timespec="seconds"),
        "software": software(),
        "statement": statement(proof, names, radius, image),
        "proof": proof,
        "image": image.describe(),
        "label_names": {key: names.get(key, key) for key in process.counts},
        "truth": _truth(options, process, names) if options.truth is not None else None,
        "request": options.describe(),
        "accounting": dict(accounting),
    }
    return {"schema": body.pop("schema"), "id": certificate_id(body), **body}


def certificate_id(document: Mapping[str, Any]) -> str:
    """Name a certificate by the first 128 bits of the SHA-256 of what it says, canonical.

    Args:
        document: a certificate, with or without its id.
    """
    said = {name: value for name, value in document.items() if name not in UNNAMED}
    return hashlib.sha256(rfc8785.dumps(said)).hexdigest()[:32]


def statement(
    proof: Mapping[str, Any],
    names: Mapping[str, str],
    radius: Fraction | None,
    image: CanonicalImage,
) -> str:
    """Say in one sentence what the certificate means."""
    certainty = percent(proof["alpha"])
    if proof["abstained"] or radius is None:
        n = proof["votes"]["n"]
        return f"No label could be certified at confidence {certainty} from {n} votes."
    name = names.get(proof["label"], proof["label"])
    return (
        f"Within L2 distance {proof['radius']} of the {image.width}×{image.height} canonical image "
        "(pixel values scaled to [0, 1]) "
        f"the smoothed classifier answers {name!r}, with confidence {certainty}."
    )


def _confidence(process: ConfidenceProcess, header: Header, margin: float) -> dict[str, Any]:
    named, at = header.clean.vote, process.certified
    return {
        "method": "mixture test martingale on a grid of radii, looked at after every vote",
        "named_label": named,
        "levels": {
            "named": None if named is None else process.level(named),
            "other": process.level(None),
        },
        "grid": {"step": f"1/{PER_UNIT}", "last": STEPS},
        "margin": margin,
        "milestone": header.milestone,
        "pointer": None if at is None else at.j,
        "look": None if at is None else {"n": at.n, "s": at.s, "by": at.how},
    }


def _truth(
    options: Options, process: ConfidenceProcess, names: Mapping[str, str]
) -> dict[str, Any]:
    """Compare the result with the caller's label, by key or by the provider's spelling."""
    assert options.truth is not None  # noqa: S101  the caller has looked
    asked = normalise(options.truth)
    asked = options.labels.synonyms.get(asked, asked)
    label = process.label
    correct = None
    if label is not None:
        correct = asked in (normalise(label), normalise(names.get(label, label)))
    return {"label": encodable(options.truth), "correct": correct}
