"""Ledgers on their way between deployments: export to a signed file, import from one."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, BinaryIO

from certification.errors import ClaimLost, InvalidParameter, LedgerConflict, LedgerDamaged
from service.ledger_entry import Entry, from_line, to_line
from service.ledger_file import Writer, opened
from service.ledger_importer import Imported, Importer
from service.state import State
from service.store.drafts import DraftState


@dataclass(frozen=True)
class Exported:
    """What came of an export.

    Attributes:
        count: ledgers written.
        left_out: those that are damaged: subject_sha256 and reason.
    """

    count: int
    left_out: list[dict[str, str]]


async def export_ledgers(
    state: State,
    out: IO[bytes],
    subjects: Sequence[str] | None = None,
    *,
    skip_damaged: bool = False,
) -> Exported:
    """Write ledgers to a file that the deployment's key signs, one after the other.

    Args:
        state: the deployment's.
        out: is not closed here.
        subjects: SHA-256 of each; None for all.
        skip_damaged: leave damaged ones out, and say so in the manifest, for which all are read
            twice. Without it the first one ends the export.

    Raises:
        LedgerDamaged: if a ledger is not what was written.
        LedgerConflict: if a ledger's secret is not known here, so that it cannot be verified.
    """
    wanted = [*dict.fromkeys(await state.ledgers.subjects() if subjects is None else subjects)]
    left_out: list[dict[str, str]] = []
    if skip_damaged:
        for subject in wanted:
            try:
                await entry_of(state, subject)
            except (LedgerDamaged, LedgerConflict) as error:
                left_out.append({"subject_sha256": subject, "reason": str(error)})
        gone = {one["subject_sha256"] for one in left_out}
        wanted = [subject for subject in wanted if subject not in gone]
    writer = Writer(out, state.keyring.signer)
    writer.begin(len(wanted), left_out)
    for subject in wanted:
        writer.add(await asyncio.to_thread(to_line, await entry_of(state, subject)))
    writer.end()
    return Exported(len(wanted), left_out)


async def entry_of(state: State, subject: str) -> Entry:
    """Read a ledger, verified, with all that belongs to it.

    Raises:
        LedgerDamaged: if it is not what was written, or gone.
        LedgerConflict: if its secret is not known here.
    """
    ledger = await state.ledgers.of_subject(subject)
    if ledger is None:
        raise LedgerDamaged(
            f"the ledger {subject[:16]}… is gone from the store: restore it from a backup"
        )
    # A run may add to it meanwhile: in this order nothing is vouched for that is not there, and
    # no vote was looked at with an alpha that is not told.
    vouched = await ledger.vouched()
    votes = await ledger.read()
    alpha, names = await ledger.spent(), await ledger.names()
    draft = await state.ledgers.draft_of(ledger)
    current = subject if draft.current == subject else None
    return Entry(
        ledger.header,
        ledger.draft,
        votes,
        names,
        alpha,
        vouched,
        ledger.sealed,
        DraftState(current, draft.spoilt, draft.rerolls),
    )


async def import_ledgers(
    state: State, file: BinaryIO, trusted: Mapping[str, bytes]
) -> AsyncGenerator[Imported, None]:
    """Take over the ledgers of a file, one after the other. May be interrupted and repeated.

    Args:
        state: the deployment's.
        file: opened for reading, at its beginning.
        trusted: public keys by id, of deployments that the operator has named.

    Yields:
        What came of each.

    Raises:
        InvalidParameter: if the file is not wholly as a trusted deployment has signed it;
            nothing is written then.
        StoreError: if the store refuses; what was yielded until then is kept.
    """
    with contextlib.ExitStack() as stack:
        signed = await asyncio.to_thread(stack.enter_context, opened(file, trusted))
        importer = Importer(state, signed)
        for place, line in enumerate(signed.lines()):
            named = f"line {place + 2}"
            try:
                entry = await asyncio.to_thread(from_line, line)
                named = entry.subject
                yield await importer.take(entry)
            except (LedgerConflict, LedgerDamaged, ClaimLost, InvalidParameter) as error:
                yield Imported(named, "refused", str(error))
