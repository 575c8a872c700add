"""Checking a certificate offline: which levels of checking it passes, and where it fails.

    form       it is one of our certificates, and its parts agree with one another
    signature  a key that the reader trusts signed it
    radius     the look (n*, S*) justifies the pointer, and the radii follow from it
    image      the picture at hand is the one it is about
    votes      the votes are those it counts, and lead to what it says
    noise      the revealed key is the one it committed to
    provider   asked again, the provider gives the same votes (an audit, not done here)

Nothing here trusts the document: every member that follows from others is computed again.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from certification import document as documents
from certification.canonical import CanonicalImage, Limits
from certification.checks import form, noise_key, picture, radius, shape, votes
from certification.checks.noise_key import rebuild
from certification.errors import CertificationError
from certification.signing import Outcome, check_signature

__all__ = ["LEVELS", "Check", "Report", "rebuild", "verify"]

Level = Literal["form", "signature", "radius", "image", "votes", "noise", "provider"]
Status = Literal["passed", "failed", "not checked"]
LEVELS: tuple[Level, ...] = get_args(Level)
MOST_FAULTS = 6  # that one level tells


@dataclass(frozen=True)
class Check:
    """What came of one level.

    Attributes:
        level: its name.
        status: what came of it.
        detail: what was found, exactly what is wrong and where, or what is missing.
    """

    level: Level
    status: Status
    detail: str

    def describe(self) -> dict[str, str]:
        """Return JSON values."""
        return {"level": self.level, "status": self.status, "detail": self.detail}


@dataclass(frozen=True)
class Report:
    """What came of checking a certificate.

    Attributes:
        checks: one for each of `LEVELS`, in their order.
        certificate: the document, None if it could not be read as a certificate at all.
    """

    checks: tuple[Check, ...]
    certificate: Mapping[str, Any] | None = None

    @property
    def verified(self) -> bool:
        """Whether a trusted key signed it and nothing was found wrong."""
        return not self.failed and self.of("signature").status == "passed"

    @property
    def failed(self) -> tuple[Check, ...]:
        """The levels that failed."""
        return tuple(check for check in self.checks if check.status == "failed")

    def of(self, level: Level) -> Check:
        """Return what came of one level."""
        return next(check for check in self.checks if check.level == level)

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "verified": self.verified,
            "certificate": None if self.certificate is None else self.certificate["id"],
            "checks": [check.describe() for check in self.checks],
        }


def verify(
    certificate: bytes,
    *,
    keys: Mapping[str, bytes] | None = None,
    image: bytes | None = None,
    votes: bytes | None = None,
    noise_key: bytes | None = None,
    limits: Limits | None = None,
) -> Report:
    """Check a certificate with whatever is at hand. Raises nothing, whatever the files hold.

    Args:
        certificate: the file.
        keys: public keys that the reader trusts, see
            :func:`certification.signing.parse_public_keys`.
        image: the original upload or the canonical PNG.
        votes: the votes file.
        noise_key: the revealed key's file: JSON, or 32 hexadecimal digits.
        limits: what a picture may be.
    """
    try:
        document = documents.read(certificate, what="certificate")
    except CertificationError as error:
        return _report([Check("form", "failed", str(error))])
    wrong = shape.faults(document)
    signature = _signature(document, keys or {})
    if wrong:
        return _report([_verdict("form", wrong, ""), signature])
    found, at_image = _image(document, image, limits)
    return _report(
        [
            _verdict("form", form.disagreements(document), f"certificate {document['id']}"),
            signature,
            _verdict("radius", radius.faults(document), _claim(document)),
            at_image,
            _votes(document, votes),
            _noise(document, noise_key, found),
        ],
        document,
    )


def _report(checks: list[Check], document: Mapping[str, Any] | None = None) -> Report:
    done = {check.level: check for check in checks}
    no_form = Check("form", "not checked", "the form is wrong: there is nothing to check")
    rest = {level: Check(level, "not checked", no_form.detail) for level in LEVELS}
    if document is not None:
        rest["provider"] = Check(
            "provider", "not checked", "asking the provider again is `surety audit`"
        )
    return Report(tuple(done.get(level, rest[level]) for level in LEVELS), document)


def _verdict(level: Level, faults: Iterable[str], good: str) -> Check:
    found = list(faults)
    if not found:
        return Check(level, "passed", good)
    more = len(found) - MOST_FAULTS
    told = "; ".join(found[:MOST_FAULTS]) + (f"; and {more} more" if more > 0 else "")
    return Check(level, "failed", told)


def _signature(document: Any, keys: Mapping[str, bytes]) -> Check:  # noqa: ANN401
    if not isinstance(document, dict):
        return Check("signature", "failed", "the document carries no signature")
    found = check_signature(document, keys)
    status: Status = "failed"
    if found.outcome is Outcome.GOOD:
        status = "passed"
    elif found.outcome is Outcome.NO_KEYS:
        status = "not checked"
    return Check("signature", status, found.detail)


def _claim(certificate: Mapping[str, Any]) -> str:
    proof = certificate["proof"]
    how, look = proof["confidence"], proof["confidence"]["look"]
    if look is None:
        return "it claims no label and no radius"
    return (
        f"the look (n={look['n']}, S={look['s']}) justifies pointer {how['pointer']}, "
        f"radius {proof['radius']}"
    )


def _image(
    certificate: Mapping[str, Any], data: bytes | None, limits: Limits | None
) -> tuple[CanonicalImage | None, Check]:
    if data is None:
        return None, Check("image", "not checked", "the picture was not given")
    try:
        found, wrong = picture.find(certificate, data, limits)
    except CertificationError as error:
        return None, Check("image", "failed", str(error))
    same = f"the picture has the SHA-256 {certificate['image']['sha256']}"
    return (None if wrong else found), _verdict("image", wrong, same)


def _votes(certificate: Mapping[str, Any], data: bytes | None) -> Check:
    if data is None:
        return Check("votes", "not checked", "the votes were not given")
    try:
        wrong = list(votes.faults(certificate, data))
    except CertificationError as error:
        wrong = [str(error)]
    n = certificate["proof"]["votes"]["n"]
    return _verdict("votes", wrong, f"all {n} votes are there and lead to what it says")


def _noise(
    certificate: Mapping[str, Any], data: bytes | None, found: CanonicalImage | None
) -> Check:
    if data is None:
        return Check("noise", "not checked", "the noise key was not given: it may not be revealed")
    try:
        revealed = noise_key.parse(data)
    except CertificationError as error:
        return Check("noise", "failed", str(error))
    wrong = noise_key.faults(certificate, revealed)
    if wrong or found is None:
        return _verdict("noise", wrong, "the key is the one it committed to")
    noisy = rebuild(certificate, found.pixels, revealed.key, 0)
    sha256 = hashlib.sha256(noisy.astype("<i2").tobytes()).hexdigest()
    return Check(
        "noise", "passed", f"the key is the right one; noisy sample 0 has SHA-256 {sha256}"
    )
