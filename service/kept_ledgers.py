"""What an operator sees of the ledgers: which there are, what they hold, whether they are whole."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from certification.errors import LedgerConflict, LedgerDamaged
from service.errors import BadRequest, NotFound
from service.state import State
from service.store.ledger import RedisLedger
from service.transfer import entry_of

LEAST_DIGITS = 8
CERTIFICATE_DIGITS, SUBJECT_DIGITS = 32, 64

Document = dict[str, Any]


@dataclass(frozen=True)
class Checked:
    """What came of checking one ledger.

    Attributes:
        subject: SHA-256.
        status: "whole", "damaged", or "unknown" where its secret is not known here.
        detail: where it is damaged, or how many votes it has.
    """

    subject: str
    status: Literal["whole", "damaged", "unknown"]
    detail: str


async def find_subject(state: State, given: str) -> str:
    """Return the subject that is meant: by its SHA-256, the beginning of it, or a certificate.

    Raises:
        BadRequest: if it is none of these, or several begin so.
        NotFound: if there is none.
    """
    name = given.strip().lower()
    if not re.fullmatch(f"[0-9a-f]{{{LEAST_DIGITS},{SUBJECT_DIGITS}}}", name):
        raise BadRequest(
            f"{given[:80]!r} names no ledger: give the id of a certificate, or at least "
            f"{LEAST_DIGITS} of the first hexadecimal digits of a subject (surety ledgers list)"
        )
    if len(name) == CERTIFICATE_DIGITS:
        try:
            certificate = await state.certificates.get(name)
        except NotFound:
            pass
        else:
            subject: str = certificate["proof"]["subject_sha256"]
            return subject
    found = [subject for subject in await state.ledgers.subjects() if subject.startswith(name)]
    if len(found) > 1:
        raise BadRequest(f"{len(found)} subjects begin with {name}: give more digits")
    if not found:
        raise NotFound(f"there is no ledger {name} here, and no certificate of this id")
    return found[0]


async def glance(state: State, subject: str) -> Document:
    """Return what a list shows of a ledger; its votes are not verified.

    `problem` is there where the ledger cannot be used, and says why.
    """
    try:
        ledger = await _ledger(state, subject)
        spent, end = await ledger.spent(), await ledger.glance()
    except (LedgerDamaged, LedgerConflict) as error:
        return {"subject_sha256": subject, "problem": str(error)}
    told = ledger.header.subject
    return {
        "subject_sha256": subject,
        "provider": told["provider"]["name"],
        "model_version": told["provider"]["model_version"],
        "image_sha256": told["image"]["sha256"],
        "sigma": told["sigma"],
        "n": end.n,
        "secret_id": ledger.header.secret_id,
        "sealed": end.sealed or None,
        "alpha_spent": spent,
    }


async def details(state: State, subject: str) -> Document:
    """Return all that may be told of a ledger, its votes verified and counted.

    Raises:
        LedgerDamaged: if it is not what was written.
        LedgerConflict: if its secret is not known here.
    """
    entry = await entry_of(state, subject)
    header, told = entry.header, entry.state
    counts = Counter(vote for vote in entry.votes if vote is not None)
    rerolls = told.rerolls
    return {
        "subject_sha256": subject,
        "draft_sha256": entry.draft,
        "in_use": told.current == subject,
        "subject": dict(header.subject),
        "clean": {"vote": header.clean.vote, "model_version": header.clean.model_version},
        "milestone": header.milestone,
        "predict_n": header.predict_n,
        "secret_id": header.secret_id,
        "secret_known": header.secret_id in state.keyring.secrets,
        "key_sha256": header.key_sha256,
        "n": len(entry.votes),
        "counts": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        "abstentions": len(entry.votes) - counts.total(),
        "names": dict(entry.names),
        "alpha_spent": entry.alpha,
        "vouched": entry.vouched,
        "sealed": entry.sealed or None,
        "spoilt_of_draft": told.spoilt,
        "rerolls_of_draft": None if rerolls is None else rerolls.describe(),
    }


async def check(state: State, subject: str) -> Checked:
    """See whether a ledger is what was written."""
    try:
        entry = await entry_of(state, subject)
    except LedgerDamaged as error:
        return Checked(subject, "damaged", str(error))
    except LedgerConflict as error:
        return Checked(subject, "unknown", str(error))
    return Checked(subject, "whole", f"{len(entry.votes)} votes")


async def in_use(state: State, subject: str) -> RedisLedger:
    """Return a ledger that is the one in use for its picture, provider and so on.

    Raises:
        BadRequest: if it is in use no more.
        LedgerDamaged, LedgerConflict: if it cannot be used.
    """
    ledger = await _ledger(state, subject)
    current = await state.ledgers.find(ledger.draft)
    if current is None or current.subject_sha256 != subject:
        other = "none" if current is None else f"{current.subject_sha256[:16]}…"
        raise BadRequest(
            f"the ledger {subject[:16]}… is in use no more: the provider's model has changed, or "
            f"it was re-rolled before (in use now: {other})"
        )
    return ledger


async def _ledger(state: State, subject: str) -> RedisLedger:
    ledger = await state.ledgers.of_subject(subject)
    if ledger is None:
        raise LedgerDamaged(
            f"the ledger {subject[:16]}… is gone from the store: restore it from a backup"
        )
    return ledger
