"""What a certificate consists of: every member, its kind and its range."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from certification.canonical import LARGEST_SIZE
from certification.certificate import SCHEMA
from certification.checks.kinds import (
    Kind,
    anything,
    digits,
    exactly,
    flag,
    list_of,
    map_of,
    maybe,
    number,
    record,
    shown,
    text,
    whole,
)
from certification.martingale import PER_UNIT, STEPS
from certification.options import MAX_SIGMA, MAX_VOTES

BY_VOTES = ("target_reached", "hopeless", "good_enough", "votes_spent")
"""Reasons to stop that follow from the votes."""
FROM_OUTSIDE = ("max_cost", "cancelled", "deadline")
"""Reasons that do not."""

_LEAST_ALPHA = 1e-300


def _time(value: object, where: str) -> Iterator[str]:
    try:
        zone = datetime.fromisoformat(value).tzinfo if isinstance(value, str) else None
    except ValueError:
        zone = None
    if zone is None:
        yield f"{where} must be a time with its zone (ISO 8601), not {shown(value)}"


_sha256 = digits(64)
_side = whole(1, LARGEST_SIZE)
_votes = whole(0, MAX_VOTES)
_open = map_of(anything)
_sigma = number(0, MAX_SIGMA, above=True)
_level = number(0, 0.5, above=True)

_SUBJECT = record(
    {
        "image": record({"sha256": _sha256, "width": _side, "height": _side}),
        "sigma": _sigma,
        "denoiser": _open,
        "compute": text,
        "postprocess": _open,
        "provider": record(
            {"name": text, "options": _open, "model_version": maybe(text)}, {"adapter": text}
        ),
        "rule": _open,
        "label_map": map_of(text),
    },
    {"rerolls": record({"count": whole(1), "alpha_spent": number()})},
)

_CONFIDENCE = record(
    {
        "method": exactly("mixture test martingale on a grid of radii, looked at after every vote"),
        "named_label": maybe(text),
        "levels": record({"named": maybe(_level), "other": _level}),
        "grid": record({"step": exactly(f"1/{PER_UNIT}"), "last": exactly(STEPS)}),
        "margin": number(0, 1),
        "milestone": maybe(whole(1, MAX_VOTES)),
        "pointer": maybe(whole(0, STEPS)),
        "look": maybe(
            record(
                {
                    "n": whole(1, MAX_VOTES),
                    "s": whole(1, MAX_VOTES),
                    "by": exactly("mixture", "milestone"),
                }
            )
        ),
    }
)

_PROOF = record(
    {
        "guarantee": exactly("probabilistic"),
        "abstained": flag,
        "label": maybe(text),
        "norm": exactly("l2"),
        "radius": maybe(number()),
        "radius_linf": maybe(number()),
        "radius_l1": maybe(number()),
        "sigma": _sigma,
        "alpha": number(_LEAST_ALPHA, 0.5),
        "confidence": _CONFIDENCE,
        "votes": record(
            {
                "n": _votes,
                "counts": map_of(whole(1, MAX_VOTES)),
                "abstentions": _votes,
                "sha256": _sha256,
            }
        ),
        "subject": _SUBJECT,
        "subject_sha256": _sha256,
        "noise": record(
            {
                "law": exactly("rounded Gaussian on 0..255"),
                "generator": exactly("philox4x64-10"),
                "key_sha256": _sha256,
            }
        ),
        "stop_reason": exactly(*BY_VOTES, *FROM_OUTSIDE),
    }
)

_IMAGE = record(
    {
        "sha256": _sha256,
        "width": _side,
        "height": _side,
        "source": record(
            {
                "name": maybe(text),
                "sha256": _sha256,
                "format": text,
                "width": whole(1),
                "height": whole(1),
                "mode": text,
            }
        ),
        "steps": list_of(text),
    }
)

_ACCOUNTING = record(
    {
        "calls": whole(),
        "images": whole(),
        "retries": whole(),
        "cost": number(),
        "currency": exactly("USD"),
        "votes_reused": whole(),
        "seconds": number(),
    },
    {"cost_before_interruption_at_most": number()},
)

_CERTIFICATE: Kind = record(
    {
        "schema": exactly(SCHEMA),
        "id": digits(32),
        "created": _time,
        "software": record({"name": text, "version": text}),
        "statement": text,
        "proof": _PROOF,
        "image": _IMAGE,
        "label_names": map_of(text),
        "truth": maybe(record({"label": text, "correct": maybe(flag)})),
        "request": record(
            {
                "target_radius": maybe(number()),
                "max_votes": whole(1, MAX_VOTES),
                "max_cost": maybe(number()),
                "max_seconds": maybe(number()),
                "good_enough": maybe(number(0, 1)),
            }
        ),
        "accounting": _ACCOUNTING,
    },
    {"signature": anything},
)


def faults(certificate: Any) -> list[str]:  # noqa: ANN401
    """Return what is wrong with the members of a certificate and their kinds."""
    if isinstance(certificate, dict):
        if certificate.get("schema") != SCHEMA:
            told = shown(certificate.get("schema"))
            return [f"this is no certificate of ours: schema is {told}, not {SCHEMA!r}"]
        proof = certificate.get("proof")
        if isinstance(proof, dict) and proof.get("guarantee") == "conditional":
            return [
                'proof.guarantee is "conditional": no such certificate is issued yet, and this '
                "version cannot check one"
            ]
    return list(_CERTIFICATE(certificate, ""))
