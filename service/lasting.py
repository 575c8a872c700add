"""What can be had of certificates and ledgers that are kept: votes, keys, checks, noise keys.

Both the API and the command line use it.
"""

import asyncio
from datetime import UTC, datetime

from certification import noise
from certification.canonical import Limits
from certification.certificate import votes_sha256
from certification.checks import noise_key
from certification.checks import votes as votes_file
from certification.errors import LedgerConflict, LedgerDamaged
from certification.machine import Machine
from certification.protocols import Header, Vote
from certification.signing import Outcome, check_signature
from certification.verifying import Report, verify
from service.errors import NotFound
from service.issued import Document
from service.keyring import PublicKey
from service.state import State
from service.store.ledger import RedisLedger

LEDGER_LEVEL = "ledger"


async def public_keys(state: State) -> list[PublicKey]:
    """Return the deployment's public keys, the oldest first."""
    return await state.deployment.public_keys(state.keyring.signer.key_id)


async def ledger_of(state: State, subject_sha256: str) -> RedisLedger:
    """Return a ledger by its subject.

    Raises:
        NotFound: if there is none.
        LedgerDamaged, LedgerConflict: if it cannot be used.
    """
    ledger = await state.ledgers.of_subject(subject_sha256)
    if ledger is None:
        raise NotFound(f"there is no ledger of the subject {subject_sha256[:64]} here")
    return ledger


async def whole(ledger: RedisLedger) -> list[Vote]:
    """Return a ledger's votes, after all that stands beside them has been verified too.

    Raises:
        LedgerDamaged: naming what is not as written.
    """
    await ledger.names()
    await ledger.spent()
    await ledger.vouched()
    return await ledger.read()


async def counted_votes(state: State, certificate: Document) -> tuple[RedisLedger, list[Vote]]:
    """Return the ledger of a certificate, and the votes that the certificate counts.

    Raises:
        NotFound: if the ledger is not kept here.
        LedgerDamaged: if it does not hold them.
        LedgerConflict: if it cannot be used.
    """
    proof = certificate["proof"]
    ledger = await ledger_of(state, proof["subject_sha256"])
    counted = (await ledger.read())[: proof["votes"]["n"]]
    if votes_sha256(counted) != proof["votes"]["sha256"]:
        raise LedgerDamaged(
            f"the ledger {ledger.subject_sha256[:16]}… does not hold the votes that certificate "
            f"{certificate['id']} counts: restore the store from a backup"
        )
    if wrong := _other(ledger.header, proof):
        raise LedgerDamaged(
            f"the ledger {ledger.subject_sha256[:16]}… was not begun as certificate "
            f"{certificate['id']} says: {wrong}"
        )
    return ledger, counted


async def votes_of(state: State, certificate_id: str) -> Document:
    """Return the votes document of a certificate.

    Raises:
        NotFound: if the certificate or its ledger is not kept here.
        LedgerDamaged: if the ledger does not hold the votes that it counts.
    """
    certificate = await state.certificates.get(certificate_id)
    _, counted = await counted_votes(state, certificate)
    return votes_file.build(certificate, counted)


async def check(
    state: State,
    certificate: bytes,
    *,
    keys: dict[str, bytes] | None = None,
    image: bytes | None = None,
    votes: bytes | None = None,
    key_of_noise: bytes | None = None,
    limits: Limits | None = None,
    any_ledger: bool = False,
) -> tuple[Report, dict[str, str]]:
    """Check a certificate with this deployment's keys and ledger.

    The ledger is looked at for a certificate that this deployment has signed. One that was made up
    could ask it vote by vote what it holds.

    Args:
        state: the deployment's.
        certificate: the file.
        keys: public keys that are trusted; None for those of this deployment.
        image: the original upload or the canonical PNG.
        votes: the votes file.
        key_of_noise: the revealed key's file.
        limits: what a picture may be.
        any_ledger: whether whoever asks may see all votes, and the ledger is looked at anyhow.

    Returns:
        The report, and what the ledger that is kept here says: a check like the others.
    """
    own = {key.id: key.public for key in await public_keys(state)}
    report = await asyncio.to_thread(  # a million votes take seconds
        verify,
        certificate,
        keys=own if keys is None else keys,
        image=image,
        votes=votes,
        noise_key=key_of_noise,
        limits=limits,
    )
    if report.certificate is not None and not any_ledger:
        signed = check_signature(report.certificate, own)
        if signed.outcome is not Outcome.GOOD:
            return report, _told("not checked", "this deployment has not signed the certificate")
    return report, await check_ledger(state, report)


async def check_ledger(state: State, report: Report) -> dict[str, str]:
    """Check the ledger of a certificate, where it is kept here.

    Returns:
        A check like those of the report.
    """
    if report.certificate is None:
        return _told("not checked", "there is no certificate to look for")
    proof = report.certificate["proof"]
    try:
        ledger = await ledger_of(state, proof["subject_sha256"])
        counted = (await whole(ledger))[: proof["votes"]["n"]]
    except (NotFound, LedgerConflict) as error:
        return _told("not checked", str(error))
    except LedgerDamaged as error:
        return _told("failed", str(error))
    if votes_sha256(counted) != proof["votes"]["sha256"]:
        return _told("failed", "the ledger kept here does not begin with the votes it counts")
    if wrong := _other(ledger.header, proof):
        return _told("failed", f"the ledger kept here was begun otherwise: {wrong}")
    return _told("passed", f"{len(counted)} votes, as they stand in the ledger kept here")


def _other(header: Header, proof: Document) -> str | None:
    """Return what of a certificate was fixed otherwise before the first vote, None if nothing was.

    Votes do not tell: with another label named beforehand, or a milestone made up afterwards, the
    same votes would prove a larger radius.
    """
    confidence = proof["confidence"]
    fixed = {
        "proof.confidence.named_label": (confidence["named_label"], header.clean.vote),
        "proof.confidence.milestone": (confidence["milestone"], header.milestone),
        "proof.noise.key_sha256": (proof["noise"]["key_sha256"], header.key_sha256),
    }
    wrong = [
        f"{at} is {said!r}, not {kept!r}" for at, (said, kept) in fixed.items() if said != kept
    ]
    return "; ".join(wrong) or None


def _told(status: str, detail: str) -> dict[str, str]:
    return {"level": LEDGER_LEVEL, "status": status, "detail": detail}


async def reveal(state: State, machine: Machine, certificate_id: str) -> Document:
    """Hand out the noise key of a certificate's ledger, and seal that ledger for good.

    Raises:
        NotFound: if the certificate or its ledger is not kept here.
        LedgerDamaged, LedgerConflict: if the ledger cannot be used, or a run adds to it.
    """
    certificate = await state.certificates.get(certificate_id)
    ledger = await ledger_of(state, certificate["proof"]["subject_sha256"])
    key = machine.noise_key(ledger.header)
    await ledger.read()
    if not ledger.sealed:
        # A run that goes on would lose the votes that are on their way, which are paid for.
        async with state.ledgers.hold_now(ledger.draft):
            await ledger.seal(datetime.now(UTC).isoformat(timespec="seconds"))
    return {
        "schema": noise_key.SCHEMA,
        "subject_sha256": ledger.subject_sha256,
        "key": key.hex(),
        "key_sha256": noise.key_sha256(key),
        "sealed": ledger.sealed,
    }
