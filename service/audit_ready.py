"""What an audit needs, checked before anybody is asked: votes, noise key, picture, provider."""

import asyncio
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

import rfc8785

from certification.canonical import CanonicalImage, Limits
from certification.checks import picture
from certification.errors import ImageError, InvalidParameter
from certification.protocols import Vote
from certification.verifying import verify
from service import lasting
from service.audit_smoothed import Smoothed, rebuild
from service.core import Surety
from service.errors import BadRequest, NotFound, StoreDamaged
from service.issued import Document

SEEDS = 2**32


@dataclass(frozen=True)
class Ready:
    """An audit that has passed every check; nobody has been asked yet.

    Attributes:
        certificate: what is audited.
        votes: those that it counts.
        indices: of the samples, in the order in which they are asked about. That is at random,
            so that an audit that ends early has asked about a random part as well.
        seed: that they were drawn with.
        image: the picture.
        key: 16 bytes, the noise key.
        smoothed: what the samples go through.
    """

    certificate: Document
    votes: Sequence[Vote]
    indices: Sequence[int]
    seed: int
    image: CanonicalImage
    key: bytes = field(repr=False)
    smoothed: Smoothed


async def prepare(
    surety: Surety,
    certificate_id: str,
    *,
    sample: int,
    image: bytes | None = None,
    seed: int | None = None,
    denoiser: str | None = None,
) -> Ready:
    """Check all that an audit needs. Asks nobody.

    Args:
        surety: an opened deployment.
        certificate_id: of a certificate that is kept here.
        sample: how many votes to ask about again; all, if there are fewer.
        image: the original upload or the canonical PNG; None for the picture that is kept.
        seed: draws the same samples again; None for new ones.
        denoiser: what this deployment calls the certificate's denoiser, if it was a file.

    Raises:
        NotFound: if the certificate, its ledger or its picture is not kept here.
        StoreDamaged: if what is kept of it is not as it was written.
        LedgerDamaged, LedgerConflict: if its ledger cannot be used.
        InvalidParameter: if the picture is another one, or a number out of range.
        ConfigurationError: if this deployment would not make the same samples.
        AdapterError, DenoiserError, ImageError: if one of them cannot be used.
    """
    if sample < 1:
        raise InvalidParameter("sample must be at least 1", "sample")
    certificate = await surety.state.certificates.get(certificate_id)
    ledger, votes = await lasting.counted_votes(surety.state, certificate)
    key = surety.machine.noise_key(ledger.header)
    await _check_genuine(surety, certificate)
    if not votes:
        raise BadRequest("this certificate counts no votes: there is nothing to ask about again")
    found = await _picture(surety, certificate, image)
    smoothed = await rebuild(surety, certificate["proof"]["subject"], found, denoiser)
    seed = secrets.randbelow(SEEDS) if seed is None else seed
    # The seed must not be known to the provider beforehand; it need not be secret afterwards.
    drawn = random.Random(seed).sample(range(len(votes)), min(sample, len(votes)))  # noqa: S311
    return Ready(certificate, votes, drawn, seed, found, key, smoothed)


async def _check_genuine(surety: Surety, certificate: Document) -> None:
    """Refuse a certificate that was put into the store by somebody else."""
    keys = {key.id: key.public for key in await lasting.public_keys(surety.state)}
    report = verify(rfc8785.dumps(certificate), keys=keys)
    if not report.verified:
        wrong = "; ".join(
            f"{check.level}: {check.detail}" for check in report.failed or [report.of("signature")]
        )
        raise StoreDamaged(f"the certificate kept here is not as it was issued ({wrong})")


async def _picture(surety: Surety, certificate: Document, given: bytes | None) -> CanonicalImage:
    limits = Limits(surety.settings.max_upload_bytes, surety.settings.max_pixels)
    if given is not None:
        found, wrong = await asyncio.to_thread(picture.find, certificate, given, limits)
        if found.sha256 != certificate["image"]["sha256"]:
            raise InvalidParameter(f"this is not the picture of the certificate: {wrong[0]}")
        return found
    try:
        png = await surety.state.images.get(certificate["image"]["sha256"])
    except NotFound:
        raise NotFound(
            "the picture of this certificate is not kept here: give the file that was uploaded, "
            "or the canonical PNG, with --image"
        ) from None
    try:
        found, wrong = await asyncio.to_thread(picture.find, certificate, png, None)
    except ImageError as error:
        wrong = [str(error)]
    if wrong:
        raise StoreDamaged(f"the picture kept here is not the certificate's: {wrong[0]}")
    return found
